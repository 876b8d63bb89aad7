"""Who was on shift when, as the department's own roster says: a CSV file that its shift system writes.

account,begins,ends
analyst,2026-11-23T06:00:00Z,2026-11-23T14:00:00Z
"""

import csv
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Self

from rtcc_bridge.errors import ConfigurationError, ConfigurationProblem

SETTING: Final = "reports.roster_file"
_COLUMNS: Final = ["account", "begins", "ends"]
_MOST_BYTES: Final = 20_000_000


@dataclass(frozen=True, slots=True)
class Roster:
    """Shifts by account, and the time that it covers: from its first shift's beginning to its last one's end."""

    shifts: Mapping[str, Sequence[tuple[datetime, datetime]]]
    covers_from: datetime
    covers_until: datetime

    @classmethod
    def of(cls, rows: Sequence[tuple[str, datetime, datetime]]) -> Self | None:
        """None where there is no shift, so that nothing is covered."""
        if not rows:
            return None
        shifts: dict[str, list[tuple[datetime, datetime]]] = defaultdict(list)
        for account, begins, ends in rows:
            shifts[_plain(account)].append((begins, ends))
        return cls(shifts, min(row[1] for row in rows), max(row[2] for row in rows))

    def is_off_shift(self, account: str, at: datetime, grace: timedelta) -> bool:
        """Whether the roster covers that moment and has the account on no shift then."""
        if not self.covers_from <= at <= self.covers_until:
            return False
        return not any(begins - grace <= at <= ends + grace for begins, ends in self.shifts.get(_plain(account), ()))


def read_roster(file: Path) -> Roster | None:
    """Blocks. Raises ConfigurationError that names the line."""
    try:
        with file.open("r", encoding="utf-8-sig", newline="") as opened:
            return Roster.of(list(_rows(file, opened.read(_MOST_BYTES + 1))))
    except (OSError, UnicodeDecodeError) as error:
        raise _problem(f"{file} cannot be read ({error})") from error


def _rows(file: Path, text: str) -> Iterator[tuple[str, datetime, datetime]]:
    if len(text) > _MOST_BYTES:
        raise _problem(f"{file} is larger than {_MOST_BYTES} bytes")
    lines = csv.reader(text.splitlines())
    if next(lines, None) != _COLUMNS:
        raise _problem(f"{file} does not begin with {','.join(_COLUMNS)}")
    for row in lines:
        try:
            account, begins, ends = row[0].strip(), datetime.fromisoformat(row[1]), datetime.fromisoformat(row[2])
        except (IndexError, ValueError) as error:
            raise _problem(f"{file}, line {lines.line_num}: {error}") from error
        if not account or begins.tzinfo is None or ends.tzinfo is None or begins >= ends:
            raise _problem(f"{file}, line {lines.line_num}: no account, no time zone, or an end before the beginning")
        yield account, begins, ends


def _plain(account: str) -> str:
    """As `same_person` compares."""
    return account.strip().casefold()


def _problem(cause: str) -> ConfigurationError:
    remedy = "Write account,begins,ends with times as 2026-11-23T06:00:00Z, a shift on each line"
    return ConfigurationError(ConfigurationProblem(SETTING, cause, remedy))
