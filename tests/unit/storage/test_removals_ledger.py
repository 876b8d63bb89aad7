"""The entries of the removals ledger: what is written can be read, and what was forged is refused."""

import json
from typing import Any

import pytest

from rtcc_bridge.errors import IntegrityError
from rtcc_bridge.storage.galleries import RemovalKind
from rtcc_bridge.storage.removals_ledger import (
    Destruction,
    Expungement,
    HoldNote,
    LedgerEntry,
    ProbePurge,
    ReopenedNote,
    purges_in_effect,
    read_entry,
    write_entry,
)

ENTRY = {"entry_id": "2026-11-25T120000.5Z-0123456789abcdef", "at": "2026-11-25T12:00:00.5Z"}
EXPUNGEMENT = {**ENTRY, "gallery": "city", "kind": "subject", "digest": "d" * 64, "images": ["a" * 64]}
DESTRUCTION = {**ENTRY, "objects": ["picture/x"]}
MOMENT: Any = ENTRY
PURGE = {**ENTRY, "probe_id": "p", "outcome": "expired", "objects": {"crop/y": "b" * 64, "picture/x": None}}
HOLD = {**ENTRY, "hold_id": "h", "probes": ["p", "q"]}


def test_what_is_written_is_read_as_it_was() -> None:
    without_images = Expungement(**ENTRY, gallery="city", kind=RemovalKind.IMAGE, digest="d")
    expungement = Expungement(**ENTRY, gallery="city", kind=RemovalKind.SUBJECT, digest="d", images=["a", "b"])
    destruction = Destruction(**ENTRY, objects=["picture/x", "crop/y"])
    digests = {"crop/y": "b" * 64, "picture/x": None}
    purges = (ProbePurge(**MOMENT, probe_id="p", outcome="expired", objects=digests), purge("p", "refused"))
    holds = (hold("p", "q"), hold(lifted=True))
    for entry in (without_images, expungement, destruction, *purges, *holds, reopened("p", "q")):
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
        {**PURGE, "outcome": None},
        {**PURGE, "hold_id": "h"},
        {**HOLD, "digest": "d"},
        {**HOLD, "disposition_id": "d"},
        ENTRY,
        {},
        [],
    ],
)
def test_a_forged_entry_is_refused(values: object) -> None:
    with pytest.raises(IntegrityError, match="altered"):
        read_entry(json.dumps(values).encode())


def purge(probe_id: str, outcome: str = "expired") -> ProbePurge:
    return ProbePurge(**MOMENT, probe_id=probe_id, outcome=outcome)


def hold(*probes: str, lifted: bool = False) -> HoldNote:
    return HoldNote(**MOMENT, hold_id="h", probes=probes, lifted=lifted)


def reopened(*probes: str) -> ReopenedNote:
    return ReopenedNote(**MOMENT, disposition_id="d", probes=probes)


@pytest.mark.parametrize(
    ("entries", "in_effect"),
    [
        ([purge("p"), purge("q")], ["p", "q"]),
        ([purge("p"), purge("p")], ["p"]),
        ([purge("p"), purge("q"), hold("p")], ["q"]),
        ([purge("p"), hold("p"), hold(lifted=True)], []),
        ([purge("p"), hold("p"), hold(lifted=True), purge("p")], ["p"]),
        ([hold("p"), purge("q"), Destruction(**ENTRY, objects=["picture/x"])], ["q"]),
        ([purge("p"), purge("q"), reopened("p")], ["q"]),
        ([reopened("p"), purge("p")], ["p"]),
        ([], []),
    ],
)
def test_of_a_purge_and_what_holds_the_later_one_counts(entries: list[LedgerEntry], in_effect: list[str]) -> None:
    assert [one.probe_id for one in purges_in_effect(entries)] == in_effect
