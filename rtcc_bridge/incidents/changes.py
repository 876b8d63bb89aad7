"""Rows in memory while a batch changes them."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Generic, TypeVar

Row = TypeVar("Row")


class Changes(Generic[Row]):
    """The newest states of some rows by their names, and which of them are not stored yet."""

    def __init__(self, stored: Mapping[str, Row]) -> None:
        self._states = dict(stored)
        self._stored = set(stored)
        self._unsaved: set[str] = set()

    def __iter__(self) -> Iterator[Row]:
        return iter(self._states.values())

    def get(self, name: str) -> Row | None:
        return self._states.get(name)

    def get_all(self, names: Iterable[str]) -> list[Row]:
        """Those of these that there are."""
        return [self._states[name] for name in names if name in self._states]

    @property
    def of_stored(self) -> list[Row]:
        """New states of rows that are stored, in the order of their names."""
        return [self._states[name] for name in sorted(self._unsaved & self._stored)]

    @property
    def of_new(self) -> list[Row]:
        """Rows that are not stored at all yet, in the order of their names."""
        return [self._states[name] for name in sorted(self._unsaved - self._stored)]

    def put(self, name: str, row: Row) -> None:
        self._states[name] = row
        self._unsaved.add(name)

    def saved(self) -> None:
        self._stored |= self._unsaved
        self._unsaved.clear()
