"""The entries of the removals ledger: what is written can be read, and what was forged is refused."""

import json

import pytest

from rtcc_bridge.errors import IntegrityError
from rtcc_bridge.storage.galleries import RemovalKind
from rtcc_bridge.storage.removals_ledger import Destruction, Expungement, read_entry, write_entry

ENTRY = {"entry_id": "2026-11-25T120000.5Z-0123456789abcdef", "at": "2026-11-25T12:00:00.5Z"}
EXPUNGEMENT = {**ENTRY, "gallery": "city", "kind": "subject", "digest": "d" * 64, "images": ["a" * 64]}
DESTRUCTION = {**ENTRY, "objects": ["picture/x"]}


def test_what_is_written_is_read_as_it_was() -> None:
    without_images = Expungement(**ENTRY, gallery="city", kind=RemovalKind.IMAGE, digest="d")
    expungement = Expungement(**ENTRY, gallery="city", kind=RemovalKind.SUBJECT, digest="d", images=["a", "b"])
    for entry in (without_images, expungement, Destruction(**ENTRY, objects=["picture/x", "crop/y"])):
        read = read_entry(write_entry(entry))
        assert (type(read), write_entry(read)) == (type(entry), write_entry(entry))


def test_an_entry_of_an_earlier_program_says_what_it_does_not_know() -> None:
    absent: dict[str, object] = {"gallery": None, "kind": None, "digest": None, "images": []}
    assert read_entry(json.dumps({**absent, **DESTRUCTION}).encode()) == Destruction(**ENTRY, objects=["picture/x"])
    read = read_entry(json.dumps({**EXPUNGEMENT, "objects": []}).encode())
    assert isinstance(read, Expungement)
    assert (read.kind, read.images) == (RemovalKind.SUBJECT, ["a" * 64])


@pytest.mark.parametrize(
    "values",
    [
        {**DESTRUCTION, "entry_id": "../ledger"},
        {**DESTRUCTION, "entry_id": "2026/../../x"},
        {**DESTRUCTION, "entry_id": 7},
        {**EXPUNGEMENT, "kind": "everybody"},
        {**EXPUNGEMENT, "gallery": None},
        {**EXPUNGEMENT, "objects": ["picture/x"]},
        {**DESTRUCTION, "more": 1},
        ENTRY,
        {},
        [],
    ],
)
def test_a_forged_entry_is_refused(values: object) -> None:
    with pytest.raises(IntegrityError, match="altered"):
        read_entry(json.dumps(values).encode())
