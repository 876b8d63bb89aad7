"""The roster that off-shift use is told by."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rtcc_bridge.errors import ConfigurationError
from rtcc_bridge.reports.roster import Roster, read_roster

DAY = datetime(2026, 11, 23, tzinfo=UTC)
GRACE = timedelta(minutes=60)


def roster() -> Roster:
    made = Roster.of(
        [
            ("analyst", DAY + timedelta(hours=6), DAY + timedelta(hours=14)),
            ("Reviewer", DAY + timedelta(hours=14), DAY + timedelta(hours=22)),
        ]
    )
    assert made is not None
    return made


@pytest.mark.parametrize(
    ("account", "hour", "off"),
    [
        ("analyst", 10, False),
        ("analyst", 14.9, False),
        ("analyst", 15.1, True),
        ("reviewer", 20, False),
        ("reviewer", 10, True),
        ("nobody on it", 10, True),
        ("analyst", 3, False),  # before the roster begins
        ("analyst", 23, False),  # after it ends
    ],
)
def test_off_shift_is_outside_ones_own_shifts_where_the_roster_covers(account: str, hour: float, *, off: bool) -> None:
    assert roster().is_off_shift(account, DAY + timedelta(hours=hour), GRACE) == off


def test_it_is_read_from_the_file_of_the_shift_system(tmp_path: Path) -> None:
    file = tmp_path / "roster.csv"
    file.write_text("\ufeffaccount,begins,ends\nanalyst,2026-11-23T06:00:00Z,2026-11-23T14:00:00+01:00\n")
    found = read_roster(file)
    assert found is not None
    assert found.covers_until == DAY + timedelta(hours=13)
    file.write_text("account,begins,ends\n")
    assert read_roster(file) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "does not begin with"),
        ("name,from,to\n", "does not begin with"),
        ("account,begins,ends\nanalyst,today,tomorrow\n", "line 2"),
        ("account,begins,ends\nanalyst,2026-11-23T06:00:00,2026-11-23T14:00:00\n", "no time zone"),
        ("account,begins,ends\nanalyst,2026-11-23T14:00:00Z,2026-11-23T06:00:00Z\n", "an end before"),
        ("account,begins,ends\nanalyst\n", "line 2"),
    ],
)
def test_what_is_none_is_said_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "roster.csv"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=said):
        read_roster(file)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_roster(tmp_path / "none.csv")
