"""P06: nothing enters without provenance, basis, a retention date to come and a status; no path leaves its folder."""

import hashlib
import os
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcc_bridge.gallery.checked_rows import (
    CheckedRow,
    check_row,
    check_rows,
    dates_of,
    read_picture,
    read_row,
    retention_from,
    taken_from,
)
from rtcc_bridge.gallery.set_aside import Reason, SetAsideError
from rtcc_bridge.gallery.sources import SourceRow

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ROW = SourceRow("a/1.jpg", "R-1", "booking desk", "statute 12", "2030-12-31", "true")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "1.jpg").write_bytes(b"face")
    (tmp_path / "outside.jpg").write_bytes(b"secret")
    return folder


def check(row: SourceRow, root: Path) -> CheckedRow:
    checked, data = check_row(row, root, NOW, max_bytes=100)
    assert hashlib.sha256(data).hexdigest() == checked.sha256
    return checked


def reason_of(row: SourceRow, root: Path) -> Reason:
    with pytest.raises(SetAsideError) as caught:
        check(row, root)
    return caught.value.reason


def test_a_complete_row_passes(root: Path) -> None:
    checked = check(ROW, root)
    assert read_row(checked, root, 100) == (root / "a" / "1.jpg").read_bytes()
    assert checked.retain_until == datetime(2031, 1, 1, tzinfo=UTC)
    assert len(checked.sha256) == 64
    assert checked.taken_on is None


def test_rows_are_checked_together_and_only_small_pictures_are_kept(root: Path) -> None:
    (root / "a" / "2.jpg").write_bytes(b"larger")
    rows = [replace(ROW, image=image) for image in ("a/1.jpg", "../outside.jpg", "a/2.jpg", "a/1.jpg")]
    first, outside, larger, again = check_rows(rows, root, NOW, max_bytes=100, kept_bytes=len(b"face"))
    assert isinstance(outside, SetAsideError)
    assert outside.reason is Reason.OUTSIDE_FOLDER
    assert first == again == (check(ROW, root), b"face")
    assert larger == (check(rows[2], root), None)


def test_the_day_of_a_picture_is_taken_over(root: Path) -> None:
    checked = check(replace(ROW, taken_on="2019-05-30"), root)
    assert checked.taken_on == date(2019, 5, 30)
    assert dates_of([check(ROW, root)]) == {}
    assert dates_of([checked]) == {checked.sha256: ("R-1", date(2019, 5, 30))}
    assert taken_from("2026-11-24", NOW) == date(2026, 11, 24), "it is that day already somewhere"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (replace(ROW, provenance=""), Reason.NO_PROVENANCE),
        (replace(ROW, provenance=" \t"), Reason.NO_PROVENANCE),
        (replace(ROW, provenance="x" * 1025), Reason.NO_PROVENANCE),
        (replace(ROW, lawful_basis=""), Reason.NO_LAWFUL_BASIS),
        (replace(ROW, retain_until=""), Reason.NO_RETENTION),
        (replace(ROW, retain_until="soon"), Reason.NO_RETENTION),
        (replace(ROW, retain_until="2030-12-31T00:00:00"), Reason.NO_RETENTION),
        (replace(ROW, retain_until="9999-12-31"), Reason.NO_RETENTION),
        (replace(ROW, retain_until="2026-11-22"), Reason.RETENTION_PASSED),
        (replace(ROW, taken_on="May 2019"), Reason.BAD_ROW),
        (replace(ROW, taken_on="2019-05-30T12:00:00Z"), Reason.BAD_ROW),
        (replace(ROW, taken_on="2026-11-25"), Reason.BAD_ROW),
        (replace(ROW, taken_on="1066-10-14"), Reason.BAD_ROW),
        (replace(ROW, retain_until="2026-11-23T12:00:00Z"), Reason.RETENTION_PASSED),
        (replace(ROW, attested_adult=""), Reason.NOT_ADULT),
        (replace(ROW, attested_adult="false"), Reason.NOT_ADULT),
        (replace(ROW, attested_adult="unknown"), Reason.NOT_ADULT),
        (replace(ROW, subject_ref=""), Reason.NO_SUBJECT),
        (replace(ROW, subject_ref="x" * 257), Reason.NO_SUBJECT),
        (replace(ROW, problem=(Reason.BAD_ROW, "line 7")), Reason.BAD_ROW),
        (replace(ROW, image="a/none.jpg"), Reason.UNREADABLE),
        (replace(ROW, image="a"), Reason.UNREADABLE),
        (replace(ROW, image="x" * 5000), Reason.UNREADABLE),
        (replace(ROW, image=""), Reason.OUTSIDE_FOLDER),
        (replace(ROW, image="../outside.jpg"), Reason.OUTSIDE_FOLDER),
        (replace(ROW, image="a/../../outside.jpg"), Reason.OUTSIDE_FOLDER),
    ],
)
def test_p06_an_incomplete_row_is_set_aside_by_reason(root: Path, row: SourceRow, reason: Reason) -> None:
    assert reason_of(row, root) is reason


def test_today_still_counts_until_it_is_over(root: Path) -> None:
    assert check(replace(ROW, retain_until="2026-11-23"), root).retain_until > NOW


def test_an_absolute_path_and_a_link_lead_nowhere(root: Path) -> None:
    outside = root.parent / "outside.jpg"
    (root / "a" / "link.jpg").symlink_to(outside)
    (root / "loop").symlink_to(root / "loop")
    assert reason_of(replace(ROW, image=str(outside)), root) is Reason.OUTSIDE_FOLDER
    assert reason_of(replace(ROW, image=str(root / "a" / "1.jpg")), root) is Reason.OUTSIDE_FOLDER
    assert reason_of(replace(ROW, image="a/link.jpg"), root) is Reason.OUTSIDE_FOLDER
    assert reason_of(replace(ROW, image="loop"), root) is Reason.UNREADABLE


def test_a_pipe_does_not_hold_up_the_enrolment(root: Path) -> None:
    os.mkfifo(root / "a" / "pipe.jpg")
    assert reason_of(replace(ROW, image="a/pipe.jpg"), root) is Reason.UNREADABLE


def test_no_more_than_the_limit_is_read(root: Path) -> None:
    (root / "a" / "large.jpg").write_bytes(b"x" * 101)
    assert reason_of(replace(ROW, image="a/large.jpg"), root) is Reason.TOO_LARGE
    assert read_picture(root / "a" / "large.jpg", 101) == b"x" * 101


def test_one_reference_has_one_spelling(root: Path) -> None:
    composed, decomposed = "Ren\u00e9", " Rene\u0301 "
    refs = {check(replace(ROW, subject_ref=spelling), root).subject_ref for spelling in (composed, decomposed)}
    assert refs == {composed}


@given(st.text(max_size=30))
def test_no_text_makes_the_retention_date_crash(text: str) -> None:
    try:
        assert retention_from(text).tzinfo is UTC
    except SetAsideError as error:
        assert error.reason is Reason.NO_RETENTION  # noqa: PT017 - passing is fine too


@given(st.text(max_size=60))
def test_no_path_leaves_the_folder(tmp_path_factory: pytest.TempPathFactory, image: str) -> None:
    root = tmp_path_factory.getbasetemp()
    try:
        checked = check(replace(ROW, image=image), root)
    except SetAsideError:
        return
    assert (root / checked.image).resolve().is_relative_to(root.resolve())
