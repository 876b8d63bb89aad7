"""Checks rows before a picture is looked at: nothing enters without provenance, basis, retention and status (P06)."""

import hashlib
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

from rtcc_bridge.gallery.identity import normal_ref
from rtcc_bridge.gallery.set_aside import Reason, SetAsideError
from rtcc_bridge.gallery.sources import ATTESTED, SourceRow

_LONGEST_REF: Final = 256
_LONGEST_TEXT: Final = 1024
_FIRST_PHOTOGRAPH: Final = date(1826, 1, 1)


@dataclass(frozen=True, slots=True)
class CheckedRow:
    """A row that may be enrolled as far as its words go. sha256: of the file's bytes when they were first read; empty
    before that.

    taken_on: when the picture was taken; None: nobody says.
    """

    image: str
    sha256: str
    subject_ref: str
    provenance: str
    lawful_basis: str
    retain_until: datetime
    taken_on: date | None = None


def check_rows(
    rows: Iterable[SourceRow], root: Path, now: datetime, max_bytes: int, kept_bytes: int
) -> list[tuple[CheckedRow, bytes | None] | SetAsideError]:
    """For each row `check_row`, or why it is set aside. Bytes are given back unless they are over `kept_bytes`.

    root: resolved. Several at a time, since a visit to a thread takes as long as to read a small picture. Blocks.
    """
    checked: list[tuple[CheckedRow, bytes | None] | SetAsideError] = []
    for row in rows:
        try:
            found, data = check_row(row, root, now, max_bytes)
        except SetAsideError as error:
            checked.append(error)
        else:
            checked.append((found, data if len(data) <= kept_bytes else None))
    return checked


def check_row(row: SourceRow, root: Path, now: datetime, max_bytes: int) -> tuple[CheckedRow, bytes]:
    """Checks the words, then reads the file, whose bytes come with it. root: resolved. Raises SetAsideError. Blocks."""
    checked = check_words(row, now)
    data = read_picture(_inside(root, row.image), max_bytes)
    return replace(checked, sha256=hashlib.sha256(data).hexdigest()), data


def check_words(row: SourceRow, now: datetime) -> CheckedRow:
    """The row, of whose picture nobody has seen a byte. Raises SetAsideError."""
    if row.problem is not None:
        raise SetAsideError(*row.problem)
    subject_ref = normal_ref(row.subject_ref)
    provenance = _required(row.provenance, Reason.NO_PROVENANCE, "no provenance is given (P06)")
    lawful_basis = _required(row.lawful_basis, Reason.NO_LAWFUL_BASIS, "no lawful basis is given (P06)")
    retain_until = retention_from(_required(row.retain_until, Reason.NO_RETENTION, "no retention date is given (P06)"))
    if not subject_ref or len(subject_ref) > _LONGEST_REF or not subject_ref.isprintable():
        detail = f"a subject reference of 1 to {_LONGEST_REF} printable characters is needed"
        raise SetAsideError(Reason.NO_SUBJECT, detail)
    taken_on = taken_from(row.taken_on, now) if row.taken_on else None
    if retain_until <= now:
        raise SetAsideError(Reason.RETENTION_PASSED, f"its retention ended on {row.retain_until} (P06)")
    if row.attested_adult.strip().casefold() != ATTESTED:
        raise SetAsideError(
            Reason.NOT_ADULT,
            "nobody attests that the person was an adult, and that the record is neither sealed nor expunged (P06)",
        )
    return CheckedRow(row.image, "", subject_ref, provenance, lawful_basis, retain_until, taken_on)


def read_row(row: CheckedRow, root: Path, max_bytes: int) -> bytes:
    """The bytes of the row's picture once more. root: resolved. Raises SetAsideError. Blocks."""
    return require_same(row, read_picture(_inside(root, row.image), max_bytes))


def require_same(row: CheckedRow, data: bytes) -> bytes:
    """These bytes, which have the row's sha256. SetAsideError: what was read since is something else. Blocks."""
    if hashlib.sha256(data).hexdigest() != row.sha256:
        raise SetAsideError(Reason.UNREADABLE, "its bytes are not those that the sha256 was made of")
    return data


def retention_from(text: str) -> datetime:
    """The moment at which retention ends: that of an aware ISO 8601 time, or the end (UTC) of an ISO 8601 date.

    Raises SetAsideError.
    """
    try:
        if len(text) == len("2030-12-31"):
            day = date.fromisoformat(text)
            return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        raise SetAsideError(Reason.NO_RETENTION, f"{text!r} is no date as in 2030-12-31") from error
    if moment.tzinfo is None:
        raise SetAsideError(
            Reason.NO_RETENTION, f"{text!r} names no time zone: write a date, or a time with its offset"
        )
    return moment.astimezone(UTC)


def taken_from(text: str, now: datetime) -> date:
    """The day of an ISO 8601 date, which no time zone has still before it. Raises SetAsideError."""
    detail = f"{text!r} is no day on which a picture was taken, as in 2019-05-30"
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise SetAsideError(Reason.BAD_ROW, detail) from error
    if not _FIRST_PHOTOGRAPH <= day <= (now + timedelta(days=1)).date():
        raise SetAsideError(Reason.BAD_ROW, detail)
    return day


def dates_of(rows: Iterable[CheckedRow]) -> Mapping[str, tuple[str, date]]:
    """(subject reference, date) by sha256 of those rows that say when their picture was taken."""
    return {row.sha256: (row.subject_ref, row.taken_on) for row in rows if row.taken_on is not None}


def read_picture(path: Path, max_bytes: int) -> bytes:
    """The file's bytes. Only regular files are read, since a pipe or a device would never end. Raises SetAsideError."""
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as opened:
            if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
                raise SetAsideError(Reason.UNREADABLE, "it is not a regular file")
            data = opened.read(max_bytes + 1)
    except OSError as error:
        raise SetAsideError(Reason.UNREADABLE, f"the file cannot be read: {error.strerror}") from error
    if len(data) > max_bytes:
        raise SetAsideError(Reason.TOO_LARGE, f"the file has more than {max_bytes} bytes")
    return data


def _required(text: str, reason: Reason, detail: str) -> str:
    stripped = text.strip()
    if not stripped:
        raise SetAsideError(reason, detail)
    if len(stripped) > _LONGEST_TEXT:
        raise SetAsideError(reason, f"the text is longer than {_LONGEST_TEXT} characters")
    return stripped


def _inside(root: Path, image: str) -> Path:
    """The picture's path, which links must not lead out of the folder either. root: resolved."""
    try:
        if not image or Path(image).is_absolute():
            raise SetAsideError(Reason.OUTSIDE_FOLDER, "the path has to be relative to the source's folder")
        path = (root / image).resolve()
        if not path.is_relative_to(root):
            raise SetAsideError(Reason.OUTSIDE_FOLDER, "the path leads out of the source's folder")
    except (OSError, RuntimeError, ValueError) as error:
        raise SetAsideError(Reason.UNREADABLE, f"the path cannot be followed: {error}") from error
    return path
