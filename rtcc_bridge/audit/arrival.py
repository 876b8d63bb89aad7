"""Where an act came from (P22): said where a request or a command comes in, entered with all that follows from it."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum
from typing import Final


class Way(StrEnum):
    """How an act reaches the program."""

    WEB = "web"
    COMMAND = "command"
    DAEMON = "daemon"
    """By a record of a topic, or by itself."""


_arrival: Final[ContextVar[dict[str, str] | None]] = ContextVar("rtcc_bridge_arrival", default=None)


def came_by(way: Way, place: str | None = None) -> None:
    """Says it for the whole process, or the whole task. place: an address, or an account of the machine."""
    _arrival.set(_as_entered(way, place))


@contextmanager
def coming_by(way: Way, place: str | None = None) -> Iterator[None]:
    """Says it for the block. place: as above."""
    token = _arrival.set(_as_entered(way, place))
    try:
        yield
    finally:
        _arrival.reset(token)


def arrival() -> dict[str, str] | None:
    """As it is entered; None where nobody said it."""
    return _arrival.get()


def _as_entered(way: Way, place: str | None) -> dict[str, str]:
    return {"way": way.value} if place is None else {"way": way.value, "place": place}
