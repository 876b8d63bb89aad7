"""Small counts are not published: few people are easily told apart, and one who knows a case finds them again (P26).

A count from 1 to 4 is left out. So that it cannot be found by subtracting the others from the total, further counts of
the same table are left out with it, the smallest first, until what is left out together could be otherwise. Nothing
tells which of the gaps is a small count. What this protects, and what it does not, stands in docs/reports.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

SMALLEST_SHOWN: Final = 5
OTHERS: Final = "all others"


@dataclass(frozen=True, slots=True)
class Shown:
    """A table as it may be published: by row the count, None where it is left out. The rows add up to the total."""

    counts: Mapping[str, int | None]
    total: int | None


def shown(count: int) -> int | None:
    """A count that stands by itself, which no other count of the report adds up to."""
    return None if 0 < count < SMALLEST_SHOWN else count


def table(counts: Mapping[str, int]) -> Shown:
    """The table with its small counts left out, and whatever would give them away."""
    total = sum(counts.values())
    if shown(total) is None:
        return Shown(dict.fromkeys(counts), None)
    hidden = {name for name, count in counts.items() if shown(count) is None}
    further = sorted({count for count in counts.values() if count >= SMALLEST_SHOWN}, reverse=True)
    while hidden and not _could_be_otherwise([counts[name] for name in hidden]):
        if not further:  # every row that is not 0 is left out already: the zeros hide which ones these are
            hidden = set(counts)
            break
        smallest = further.pop()
        hidden |= {name for name, count in counts.items() if count == smallest}  # all of them: no row is special
    return Shown({name: None if name in hidden else count for name, count in counts.items()}, total)


def gathered(counts: Mapping[str, int]) -> dict[str, int]:
    """An open list of rows with the small ones in one row: that a rare row is there at all tells of somebody."""
    kept = {name: count for name, count in sorted(counts.items()) if count >= SMALLEST_SHOWN}
    rest = sum(counts.values()) - sum(kept.values())
    return {**kept, OTHERS: rest} if rest else kept


def _could_be_otherwise(counts: list[int]) -> bool:
    """Whether rows that are left out together hide each other, from somebody who subtracts and knows this code.

    Rows are left out by their counts alone, so two that differ could be each other. What has to be ruled out is that
    all are the same and their sum tells it: where it is as small, or as large, as so many small counts can make it.
    """
    total = sum(counts)
    if len(counts) < 2 or total < SMALLEST_SHOWN:
        return False
    return max(counts) >= SMALLEST_SHOWN or 2 * len(counts) <= total < (SMALLEST_SHOWN - 1) * len(counts)
