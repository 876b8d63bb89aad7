"""The time that a transparency report is over: whole calendar months in UTC, so that no day can be subtracted out."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Self

from rtcc_bridge.errors import InvalidInputError

MOST_MONTHS: Final = 24
_MONTH: Final = re.compile(r"(20[0-9]{2})-(0[1-9]|1[0-2])")


@dataclass(frozen=True, slots=True)
class Period:
    """From the first moment of one month to the first one after another."""

    first: str
    last: str

    @classmethod
    def read(cls, first: str, last: str) -> Self:
        """first, last: months as YYYY-MM. Raises InvalidInputError."""
        if not _MONTH.fullmatch(first) or not _MONTH.fullmatch(last):
            raise InvalidInputError("A report is over whole months: name the first and the last as YYYY-MM.", "fields")
        if not 1 <= _number(last) - _number(first) + 1 <= MOST_MONTHS:
            raise InvalidInputError(
                f"A report is over 1 to {MOST_MONTHS} months, and its last one does not come before its first.",
                "fields",
            )
        return cls(first, last)

    @property
    def since(self) -> datetime:
        return _begin(_number(self.first))

    @property
    def before(self) -> datetime:
        """The first moment that does not belong to it."""
        return _begin(_number(self.last) + 1)

    def is_over(self, now: datetime) -> bool:
        return now >= self.before

    def overlapping(self, others: Iterable["Period"]) -> tuple["Period", ...]:
        """Those that share a month with it and are not the same: one could be subtracted from the other."""
        found = {one for one in others if one != self and one.since < self.before and self.since < one.before}
        return tuple(sorted(found, key=lambda one: (one.first, one.last)))

    def __str__(self) -> str:
        return self.first if self.first == self.last else f"{self.first} to {self.last}"


def _number(month: str) -> int:
    return 12 * int(month[:4]) + int(month[5:]) - 1


def _begin(number: int) -> datetime:
    return datetime(number // 12, number % 12 + 1, 1, tzinfo=UTC)
