"""An export tells what a gallery holds, is read again by an enrolment, and never holds a template."""

import csv
from operator import itemgetter
from pathlib import Path

import pytest

from rtcc_bridge.errors import InvalidInputError, NotFoundError
from rtcc_bridge.gallery.export import ExportReceipt, GalleryExport
from rtcc_bridge.gallery.identity import GalleryKind
from rtcc_bridge.gallery.sources import FolderSource, ManifestSource
from tests.gallery_kit import ADMINISTRATOR, SOURCE_WORDS, GalleryKit


async def enroll(kit: GalleryKit, pictures: Path) -> None:
    source = FolderSource(pictures, **SOURCE_WORDS)
    await kit.enroller().enroll(source, "city", GalleryKind.DEMO, account=ADMINISTRATOR)


async def export(kit: GalleryKit, folder: Path, *, pictures: bool = False) -> ExportReceipt:
    return await GalleryExport(kit.parts()).export(
        "city",
        folder,
        with_pictures=pictures,
        account=ADMINISTRATOR,
        order_id=None,
        on_exported=lambda *_: None,
    )


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(newline="", encoding="utf-8") as opened:
        return list(csv.DictReader(opened))


async def test_the_manifest_has_a_row_for_every_image_that_is_searched(
    kit: GalleryKit, pictures: Path, tmp_path: Path
) -> None:
    await enroll(kit, pictures)
    await kit.expunger().expunge_subject("city", "ann", "court order 7", ADMINISTRATOR)
    receipt = await export(kit, tmp_path / "out")
    assert (receipt.version, receipt.images, receipt.pictures, receipt.unreadable) == (2, 2, 0, 0)
    rows = rows_of(tmp_path / "out")
    assert [
        (row["subject_ref"], row["provenance"], row["image"]) for row in sorted(rows, key=itemgetter("subject_ref"))
    ] == [
        ("bob", "booking desk", ""),
        ("cat", "booking desk", ""),
    ]
    assert {row["retain_until"] for row in rows} == {"2031-01-01T00:00:00Z"}
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["manifest.csv"]
    assert (tmp_path / "out" / "manifest.csv").stat().st_mode & 0o777 == 0o600


async def test_with_pictures_another_gallery_is_made_from_it(kit: GalleryKit, pictures: Path, tmp_path: Path) -> None:
    await enroll(kit, pictures)
    receipt = await export(kit, tmp_path / "out", pictures=True)
    assert (receipt.images, receipt.pictures) == (4, 4)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "out" / "pictures").iterdir()} == {0o600}
    manifest = ManifestSource(tmp_path / "out" / "manifest.csv")
    again = await kit.enroller().enroll(manifest, "town", GalleryKind.DEMO, account=ADMINISTRATOR)
    assert (again.enrolled, again.set_aside) == (4, {})


async def test_an_export_is_resumed_and_a_picture_that_cannot_be_read_is_counted(
    kit: GalleryKit, pictures: Path, tmp_path: Path
) -> None:
    await enroll(kit, pictures)
    await export(kit, tmp_path / "out", pictures=True)
    first, second, *_ = sorted((tmp_path / "out" / "pictures").iterdir())
    first.write_bytes(b"cut off")
    before = second.stat().st_mtime_ns
    await export(kit, tmp_path / "out", pictures=True)
    assert first.read_bytes() != b"cut off"
    assert second.stat().st_mtime_ns == before, "it is left as it is"
    for file in (kit.folder / "gallery-picture").iterdir():
        file.unlink()
    second.unlink()
    receipt = await export(kit, tmp_path / "out", pictures=True)
    assert (receipt.images, receipt.pictures, receipt.unreadable) == (4, 3, 1)


async def test_what_cannot_be_exported_is_said(kit: GalleryKit, pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no gallery city"):
        await export(kit, tmp_path / "out")
    await enroll(kit, pictures)
    (tmp_path / "file").write_text("x")
    with pytest.raises(InvalidInputError, match="cannot be written to"):
        await export(kit, tmp_path / "file")
