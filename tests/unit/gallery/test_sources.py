"""Folders and manifests: every picture is named once, and what cannot be read costs one row."""

from pathlib import Path

import pytest

from rtcc_bridge.errors import InvalidInputError
from rtcc_bridge.gallery.set_aside import Reason
from rtcc_bridge.gallery.sources import FolderSource, ManifestSource, SourceRow
from tests.gallery_kit import SOURCE_WORDS

HEADER = b"image,subject_ref,provenance,lawful_basis,retain_until,attested_adult\n"


def folder_source(root: Path) -> FolderSource:
    return FolderSource(root, **SOURCE_WORDS)


def manifest(tmp_path: Path, content: bytes) -> ManifestSource:
    file = tmp_path / "manifest.csv"
    file.write_bytes(content)
    return ManifestSource(file)


def problems(rows: list[SourceRow]) -> list[Reason | None]:
    return [None if row.problem is None else row.problem[0] for row in rows]


def test_a_folder_names_its_people_and_reports_what_belongs_to_nobody(tmp_path: Path) -> None:
    for name in ("b/2.jpg", "b/1.jpg", "a/x.png", "b/nested/3.jpg", ".hidden/4.jpg", "a/.DS_Store", "stray.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    source = folder_source(tmp_path)
    rows = list(source.rows())
    assert [(row.image, row.subject_ref) for row in rows] == [
        ("a/x.png", "a"),
        ("b/1.jpg", "b"),
        ("b/2.jpg", "b"),
        ("b/nested", "b"),
        ("stray.jpg", ""),
    ]
    assert problems(rows) == [None, None, None, Reason.BAD_ROW, Reason.NO_SUBJECT]
    assert {(row.provenance, row.attested_adult) for row in rows} == {("booking desk", "true")}
    assert source.count() == 5
    assert list(source.rows()) == rows


def test_a_folder_that_is_not_there_is_an_error_of_the_whole(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="cannot be read"):
        folder_source(tmp_path / "nowhere").count()


def test_a_manifest_is_read_with_its_quotes_its_mark_and_its_own_columns(tmp_path: Path) -> None:
    content = (
        b"\xef\xbb\xbfnote,subject_ref,image,attested_adult,provenance,retain_until,lawful_basis\r\n"
        b'x, R-1 ,a.jpg,TRUE,"desk, 2nd floor",2030-12-31,"says ""so"""\r\n'
    )
    source = manifest(tmp_path, content)
    assert list(source.rows()) == [SourceRow("a.jpg", "R-1", "desk, 2nd floor", 'says "so"', "2030-12-31", "TRUE")]
    assert source.root == tmp_path


def test_a_manifest_may_say_when_each_picture_was_taken(tmp_path: Path) -> None:
    content = (
        HEADER[:-1]
        + b",taken_on\na.jpg,R,desk,basis,2030-12-31,true, 2019-05-30 \nb.jpg,R,desk,basis,2030-12-31,true,\n"
    )
    assert [row.taken_on for row in manifest(tmp_path, content).rows()] == ["2019-05-30", ""]


@pytest.mark.parametrize(
    "line",
    [
        b"a.jpg,R,desk,basis,2030-12-31\n",
        b"a.jpg,R,desk,basis,2030-12-31,true,more\n",
        b"a.jpg,R\xff,desk,basis,2030-12-31,true\n",
        b"a.jpg,R\x00,desk,basis,2030-12-31,true\n",
        b'a.jpg,"R\nS",desk,basis,2030-12-31,true\n',
        b'a.jpg,"R"x,desk,basis,2030-12-31,true\n',
        b"a.jpg," + b"R" * 200_000 + b",desk,basis,2030-12-31,true\n",
    ],
)
def test_a_bad_line_costs_itself_and_no_other(tmp_path: Path, line: bytes) -> None:
    good = b"%d.jpg,R,desk,basis,2030-12-31,true\n"
    rows = list(manifest(tmp_path, HEADER + good % 1 + line + good % 2).rows())
    assert problems(rows) == [None, Reason.BAD_ROW, None]
    assert (rows[0].image, rows[2].image) == ("1.jpg", "2.jpg")


def test_missing_columns_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="attested_adult, lawful_basis, retain_until"):
        manifest(tmp_path, b"image,subject_ref,provenance\n").count()
    with pytest.raises(InvalidInputError, match="lacks the column"):
        manifest(tmp_path, b"").count()


def test_a_manifest_that_is_not_there_is_an_error_of_the_whole(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="cannot be read"):
        ManifestSource(tmp_path / "nothing.csv").count()
