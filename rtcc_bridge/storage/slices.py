"""Long lists of values in pieces that fit one IN (…).

Each number of values is a statement of its own, which the database driver prepares and keeps. Where the last value is
repeated up to a power of two, which changes no answer, there are a dozen of each statement and not a thousand.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeVar

VALUES_AT_ONCE: Final = 1024
"""Values in one IN (…): well below the 32,766 that SQLite allows."""

Value = TypeVar("Value")


def slices(values: Iterable[Value]) -> Iterator[Sequence[Value]]:
    """The values in their order, at most `VALUES_AT_ONCE` at a time, each piece as by `padded`."""
    listed = list(values)
    for start in range(0, len(listed), VALUES_AT_ONCE):
        yield padded(listed[start : start + VALUES_AT_ONCE])


def padded(values: Iterable[Value]) -> Sequence[Value]:
    """The values, the last one repeated until there are a power of two of them; nothing stays nothing."""
    listed = list(values)
    missing = (1 << (len(listed) - 1).bit_length()) - len(listed) if listed else 0
    return [*listed, *listed[-1:] * missing]
