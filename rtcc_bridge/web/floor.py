"""`GET /api/v1/floor`: whether the floor gets what it waits for, whichever process does the work.

`/readyz` speaks of one process. When another one reads the incidents and is dead, or misses something, a board has to
say so too: every process reports to the database how it is, and this reads it.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from aiohttp import web
from pydantic import AwareDatetime, Field

from rtcc_bridge.errors import UnavailableError
from rtcc_bridge.storage import processes
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.processes import SILENT_SECONDS, ProcessRecord
from rtcc_bridge.web.health import KEPT_SECONDS, PROBE_SECONDS
from rtcc_bridge.web.operations import Answer, Operation, WireModel, answer
from rtcc_bridge.web.words import UNATTENDED, outage_words, unattended_words


class FloorProblem(WireModel):
    """Something that the floor has to know."""

    name: str = Field(description="The role that is missing, or the dependency that is not ready.")
    reason: str = Field(description="Why, for operations.")
    meaning: str = Field(description="What it means for the floor, in a sentence.")


class ProcessView(WireModel):
    """A process that has reported and has not taken it back. Times are of the database's clock."""

    process_id: str
    roles: tuple[str, ...]
    started_at: AwareDatetime
    seen_at: AwareDatetime
    alive: bool = Field(description=f"Whether it was seen within {SILENT_SECONDS:g} s.")


class FloorState(WireModel):
    """What every process together can do at this moment."""

    ready: bool
    problems: tuple[FloorProblem, ...]
    processes: tuple[ProcessView, ...]


class FloorWatch:
    """Reads what the processes report, and remembers it for a moment, so that many boards ask the database once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._asking = asyncio.Lock()
        self._latest: FloorState | None = None
        self._asked_at = 0.0

    async def ask(self) -> FloorState:
        """Never raises for a database that is away: that is what it says then. May take up to two seconds."""
        async with self._asking:
            now = asyncio.get_running_loop().time()
            if self._latest is None or now - self._asked_at > KEPT_SECONDS:
                self._latest = await self._read()
                self._asked_at = asyncio.get_running_loop().time()
            return self._latest

    async def _read(self) -> FloorState:
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                await self._database.ping()  # one that refuses writes can still be read, but nobody reports to it
                async with self._database.read() as tx:
                    records = await processes.every(tx)
        except TimeoutError:
            return _without_database(f"no answer within {PROBE_SECONDS:g} s")
        except UnavailableError as error:
            return _without_database(str(error))
        return floor_state(records)


def floor_state(records: Sequence[ProcessRecord]) -> FloorState:
    """What these reports mean together."""
    alive = [record for record in records if record.is_alive]
    problems = (*_missing_roles(records), *_problems_of(alive))
    return FloorState(ready=not problems, problems=problems, processes=tuple(map(_view, records)))


def _missing_roles(records: Sequence[ProcessRecord]) -> Iterator[FloorProblem]:
    for role in UNATTENDED:
        of_role = [record for record in records if role in record.roles]
        if any(record.is_alive for record in of_role):
            continue
        last_seen = max((record.seen_at for record in of_role), default=None)
        reason = f"no process with the role {role} reports: start one, or see the log of the one that should run"
        yield FloorProblem(name=role, reason=reason, meaning=unattended_words(role, last_seen))


def _problems_of(alive: Sequence[ProcessRecord]) -> Iterator[FloorProblem]:
    """One for each dependency that is not ready somewhere, saying so when it is not so everywhere."""
    for name, reports in _by_dependency(alive).items():
        reasons = [reason for reason in reports if reason is not None]
        if reasons:
            where = "" if len(reasons) == len(reports) else f"In {len(reasons)} of {len(reports)} processes: "
            yield FloorProblem(name=name, reason=reasons[0], meaning=where + outage_words(name))


def _by_dependency(alive: Sequence[ProcessRecord]) -> Mapping[str, Sequence[str | None]]:
    """What each process says that needs it, by the dependency's name."""
    found: dict[str, list[str | None]] = {}
    for record in alive:
        for name, reason in record.dependencies.items():
            found.setdefault(name, []).append(reason)
    return found


def _without_database(reason: str) -> FloorState:
    problem = FloorProblem(name="database", reason=reason, meaning=outage_words("database"))
    return FloorState(ready=False, problems=(problem,), processes=())


def _view(record: ProcessRecord) -> ProcessView:
    return ProcessView(
        process_id=record.process_id,
        roles=record.roles,
        started_at=record.started_at,
        seen_at=record.seen_at,
        alive=record.is_alive,
    )


FLOOR = web.AppKey("floor", FloorWatch)


async def floor(request: web.Request) -> web.Response:
    return answer(await request.app[FLOOR].ask())


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/api/v1/floor",
        handler=floor,
        name="getFloor",
        summary="Whether all the processes together do what the floor waits for",
        tag="operations",
        answers=(Answer("How things stand, also when they stand badly.", FloorState),),
    ),
)
