"""What of the journal's files is entered, and in which form."""

import json
from typing import Any

import pytest

from rtcc_bridge.audit.entries import leaf_hash
from rtcc_bridge.audit.late_entry import read_late
from rtcc_bridge.errors import InvalidInputError
from rtcc_bridge.storage.audit_entries import LONGEST

ENTRY: dict[str, Any] = {
    "version": 1, "entryId": "one", "at": "2026-01-05T12:00:00Z", "actor": "analyst", "action": "probe.withdraw",
    "subject": "probe/1", "outcome": "withdrawn", "authority": {}, "details": {"cause": "“unfounded”"},
}  # fmt: skip


def test_p23_an_entry_is_read_as_it_was_noted() -> None:
    late = read_late(json.dumps(ENTRY, ensure_ascii=False).encode())
    assert (late.is_altered, late.record.entry, late.record.leaf_hash) == (False, ENTRY, leaf_hash(ENTRY))


@pytest.mark.parametrize("part", ["actor", "subject", "outcome"])
@pytest.mark.parametrize("odd", ["\0", "é" * 300])
def test_p23_each_column_takes_what_is_kept_of_an_entry(part: str, odd: str) -> None:
    late = read_late(json.dumps({**ENTRY, part: odd}).encode())
    kept = getattr(late.record, part)
    assert late.is_altered
    assert 0 < len(kept) <= LONGEST[part]
    assert "\0" not in kept


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\xff", b"[]", b"null", b'"text"', b"[" * 100_000,
        json.dumps({**ENTRY, "at": "yesterday"}), json.dumps({**ENTRY, "at": 5}),
        json.dumps({**ENTRY, "at": "9999-12-31T23:59:59-12:00"}), json.dumps({**ENTRY, "subject": ["probe/1"]}),
        json.dumps({**ENTRY, "details": {"number": float("nan")}}), json.dumps({**ENTRY, "details": "\ud800"}),
        json.dumps({part: value for part, value in ENTRY.items() if part != "outcome"}),
        json.dumps({**ENTRY, "action": "probe.approve"}),
    ],
)  # fmt: skip
def test_p23_what_is_no_entry_is_named_as_that_and_raises_nothing_else(content: bytes | str) -> None:
    with pytest.raises(InvalidInputError):
        read_late(content if isinstance(content, bytes) else content.encode())
