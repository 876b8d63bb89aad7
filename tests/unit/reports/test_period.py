"""The time that a transparency report is over."""

from datetime import UTC, datetime

import pytest

from rtcc_bridge.errors import InvalidInputError
from rtcc_bridge.reports.period import Period


def test_it_is_whole_months() -> None:
    period = Period.read("2025-12", "2026-02")
    assert (period.since, period.before) == (datetime(2025, 12, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC))
    assert not period.is_over(datetime(2026, 2, 28, 23, 59, tzinfo=UTC))
    assert period.is_over(datetime(2026, 3, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ("2026-13", "2026-13"),
        ("2026-1", "2026-2"),
        ("", ""),
        ("2026-02-01", "2026-02-02"),
        ("2026-02", "2026-01"),
        ("2024-01", "2026-01"),
        ("2026-01\n", "2026-01"),
        ("1999-01", "1999-01"),
    ],
)
def test_nothing_else_is_a_period(first: str, last: str) -> None:
    with pytest.raises(InvalidInputError):
        Period.read(first, last)


@pytest.mark.parametrize(
    ("first", "last", "overlaps"),
    [
        ("2026-04", "2026-06", False),  # the same
        ("2026-01", "2026-03", False),
        ("2026-07", "2026-09", False),
        ("2026-06", "2026-06", True),
        ("2026-01", "2026-12", True),
        ("2026-03", "2026-04", True),
    ],
)
def test_one_that_shares_some_months_and_not_all_overlaps(first: str, last: str, *, overlaps: bool) -> None:
    quarter, other = Period.read("2026-04", "2026-06"), Period.read(first, last)
    assert quarter.overlapping([other, other]) == ((other,) if overlaps else ())
