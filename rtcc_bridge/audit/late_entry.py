"""What a file of the journal says, in the form in which the log can hold it (P23). Pure."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from rtcc_bridge.audit.canonical import canonical_json
from rtcc_bridge.audit.entries import leaf_hash, may_be_late, record_of
from rtcc_bridge.errors import InvalidInputError
from rtcc_bridge.storage.audit_entries import LONGEST, AuditEntryRecord

ORIGINAL: Final = "original"
"""Where an entry that is not entered as it was noted has the noted one, whole."""

_COLUMNS: Final = {
    "entryId": "entry_id", "actor": "actor", "action": "action", "subject": "subject", "outcome": "outcome",
}  # fmt: skip
"""The parts of an entry that are repeated in a column of their own."""


@dataclass(frozen=True, slots=True)
class LateEntry:
    """An entry to be entered. is_altered: not as it was noted, since no table of PostgreSQL holds it so."""

    record: AuditEntryRecord
    is_altered: bool


def read_late(content: bytes) -> LateEntry:
    """The entry of a file.

    Raises InvalidInputError, with the cause, for what is none, and for an act that never goes on without the log: else
    whoever writes to the folder enters an approval that nobody gave.
    """
    try:
        noted = json.loads(content)
        entry = _as_it_can_be_held(noted)
        record = record_of(entry, datetime.fromisoformat(entry["at"]).astimezone(UTC))
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidInputError("it holds no entry of this program", "journal") from error
    if not may_be_late(record.action, record.outcome):
        raise InvalidInputError("no such act is entered late", "journal")
    return LateEntry(record, entry is not noted)


def _as_it_can_be_held(noted: Mapping[str, Any]) -> Mapping[str, Any]:
    """The entry itself, or a copy without zero characters and overlong parts, with the original in it.

    An earlier version noted refused attempts at what somebody had named so. The original's canonical form is kept, so
    that its leaf hash can be had from the log: nothing is lost, and nothing is altered unseen. Raises TypeError where
    it is no entry, and ValueError for what canonical JSON cannot hold.
    """
    if not all(isinstance(noted[part], str) for part in _COLUMNS):
        raise TypeError
    held = _without_zeros(noted)
    held |= {part: held[part][: LONGEST[column]] for part, column in _COLUMNS.items()}
    if held == noted:
        return noted
    original = canonical_json(noted)
    return {**held, ORIGINAL: {"leafHash": leaf_hash(noted), "canonical": base64.b64encode(original).decode()}}


def _without_zeros(value: Any) -> Any:
    match value:
        case str():
            return value.replace("\0", "\N{REPLACEMENT CHARACTER}")
        case dict():
            return {_without_zeros(key): _without_zeros(item) for key, item in value.items()}
        case list():
            return [_without_zeros(item) for item in value]
    return value
