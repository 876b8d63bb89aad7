"""Long lists of values in pieces that fit one IN (…)."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeVar

VALUES_AT_ONCE: Final = 1000
"""Values in one IN (…): well below the 32,766 that SQLite allows."""

Value = TypeVar("Value")


def slices(values: Iterable[Value]) -> Iterator[Sequence[Value]]:
    """The values in their order, at most `VALUES_AT_ONCE` at a time."""
    listed = list(values)
    for start in range(0, len(listed), VALUES_AT_ONCE):
        yield listed[start : start + VALUES_AT_ONCE]
