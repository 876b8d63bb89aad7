"""A question that is asked again and again, for what other processes may have committed meanwhile."""

from collections.abc import Awaitable, Callable
from typing import Concatenate, Generic, ParamSpec, TypeVar

from rtcc_bridge.storage.engine import Database, Transaction

_P = ParamSpec("_P")
_T = TypeVar("_T")


class StandingQuery(Generic[_P, _T]):
    """One statement that reads, asked by one task. The last answer is kept, and is the answer while nothing commits.

    On PostgreSQL nothing tells of a commit, so the database is asked each time.
    """

    def __init__(self, database: Database, statement: Callable[Concatenate[Transaction, _P], Awaitable[_T]]) -> None:
        self._database = database
        self._statement = statement
        self._last: tuple[object, _T] | None = None

    async def answer(self, *arguments: _P.args, **options: _P.kwargs) -> _T:
        """Raises UnavailableError. The caller must not change what is returned."""
        commits = self._database.commits()
        question = (commits, arguments, options)
        if commits is not None and self._last is not None and self._last[0] == question:
            return self._last[1]
        async with self._database.look() as tx:
            answer = await self._statement(tx, *arguments, **options)
        self._last = (question, answer)
        return answer
