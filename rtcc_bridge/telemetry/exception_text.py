"""The way to an error for the log, without the texts that quote what was sent."""

import traceback
from collections.abc import Iterator

import pydantic
from structlog.typing import ExcInfo


def format_exception(exc_info: ExcInfo) -> str:
    """As Python writes it. Where an error in its chain quotes values, only the kinds of the errors and their frames."""
    chain = list(_chain(exc_info[1]))
    if not any(map(_quotes_values, chain)):
        return "".join(traceback.format_exception(exc_info[1])).rstrip()
    return "\n".join(
        f"{type(error).__qualname__} (its text is left out: it may quote what was sent), raised at\n"
        f"{''.join(traceback.format_tb(error.__traceback__)).rstrip()}"
        for error in chain
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, those that it is a group of, what caused it, and so on."""
    seen: set[int] = set()
    following = [error]
    while following:
        found = following.pop(0)
        if found is None or id(found) in seen:
            continue
        yield found
        seen.add(id(found))
        if isinstance(found, BaseExceptionGroup):
            following.extend(found.exceptions)
        following.append(found.__cause__ or found.__context__)


def _quotes_values(error: BaseException) -> bool:
    """PostgreSQL's errors tell the values of a row, and so do SQLAlchemy's around them; pydantic's tell the input."""
    return isinstance(error, pydantic.ValidationError) or hasattr(error, "orig") or hasattr(error, "sqlstate")
