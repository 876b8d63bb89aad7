"""Receipts: small documents that prove something about the log to whoever has its public key, and nothing else.

They are JSON that anybody can read. An entry stands in it as the very text whose hash is the leaf.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from rtcc_bridge.audit.note import Checkpoint, SignedCheckpoint, VerifierKey
from rtcc_bridge.audit.tree import HASH_BYTES, ProofError, leaf_hash, root_from_inclusion, roots_from_consistency
from rtcc_bridge.errors import IntegrityError, InvalidInputError

INCLUSION: Final = "rtcc-bridge audit inclusion receipt 1"
CONSISTENCY: Final = "rtcc-bridge audit consistency receipt 1"


@dataclass(frozen=True, slots=True)
class EntryReceipt:
    """An entry, its place, and the hashes that lead from it to the root."""

    position: int
    entry: bytes
    proof: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class InclusionReceipt:
    """Proves that the entries are in the log that the checkpoint is of."""

    subject: str
    checkpoint: SignedCheckpoint
    entries: tuple[EntryReceipt, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "format": INCLUSION,
            "subject": self.subject,
            "checkpoint": self.checkpoint.note,
            "entries": [
                {
                    "position": one.position,
                    "leafHash": leaf_hash(one.entry).hex(),
                    "entry": one.entry.decode(),
                    "proof": [hash_.hex() for hash_ in one.proof],
                }
                for one in self.entries
            ],
        }

    def verify(self, key: VerifierKey) -> str:
        """What was proved, in words. Raises IntegrityError that says what is not true."""
        checkpoint = require_signed(self.checkpoint, key)
        for one in self.entries:
            try:
                root = root_from_inclusion(leaf_hash(one.entry), one.position, checkpoint.size, one.proof)
            except ProofError as error:
                raise IntegrityError(f"the proof of entry {one.position} is none: {error}") from error
            if root != checkpoint.root:
                raise IntegrityError(f"entry {one.position} is not in the log: its proof does not lead to the root")
        places = ", ".join(str(one.position) for one in self.entries)
        return f"{len(self.entries)} entries about {self.subject} are in the log {checkpoint.origin}, at {places}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsistencyReceipt:
    """Proves that the log of the newer checkpoint begins with that of the older one."""

    older: SignedCheckpoint
    newer: SignedCheckpoint
    proof: tuple[bytes, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "format": CONSISTENCY,
            "older": self.older.note,
            "newer": self.newer.note,
            "proof": [hash_.hex() for hash_ in self.proof],
        }

    def verify(self, key: VerifierKey) -> str:
        """What was proved, in words. Raises IntegrityError that says what is not true."""
        older, newer = require_signed(self.older, key), require_signed(self.newer, key)
        try:
            roots = roots_from_consistency(older.size, older.root, newer.size, self.proof)
        except ProofError as error:
            raise IntegrityError(f"the proof is none: {error}") from error
        if roots != (older.root, newer.root):
            raise IntegrityError(f"the log over {newer.size} entries does not begin with the one over {older.size}")
        return f"the first {older.size} of the {newer.size} entries of {newer.origin} are those of the older checkpoint"


Receipt: TypeAlias = InclusionReceipt | ConsistencyReceipt


def read_receipt(text: str) -> Receipt:
    """Raises InvalidInputError for what is no receipt."""
    try:
        document = json.loads(text)
        if document["format"] == INCLUSION:
            return InclusionReceipt(
                subject=_text(document["subject"]),
                checkpoint=SignedCheckpoint.read(_text(document["checkpoint"])),
                entries=tuple(_entry(one) for one in document["entries"]),
            )
        if document["format"] == CONSISTENCY:
            return ConsistencyReceipt(
                older=SignedCheckpoint.read(_text(document["older"])),
                newer=SignedCheckpoint.read(_text(document["newer"])),
                proof=_hashes(document["proof"]),
            )
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInputError("that is no receipt of the audit log", "receipt") from error
    raise InvalidInputError("that receipt has a form that this version does not know", "receipt")


def require_signed(signed: SignedCheckpoint, key: VerifierKey) -> Checkpoint:
    """The checkpoint, of whose signature by this key nothing is left to doubt. Raises IntegrityError."""
    try:
        is_signed = signed.signed_by(key)
    except InvalidInputError as error:
        raise IntegrityError(str(error)) from error
    if not is_signed:
        raise IntegrityError(
            f"the checkpoint over {signed.checkpoint.size} entries is not signed by the key {key.label}"
        )
    if signed.checkpoint.origin != key.name:
        raise IntegrityError(f"the checkpoint is of the log {signed.checkpoint.origin}, and the key is of {key.name}")
    return signed.checkpoint


def _entry(document: Mapping[str, Any]) -> EntryReceipt:
    position = document["position"]
    if not isinstance(position, int) or isinstance(position, bool) or position < 0:
        raise ValueError("no position")
    return EntryReceipt(position, _text(document["entry"]).encode(), _hashes(document["proof"]))


def _hashes(values: Sequence[str]) -> tuple[bytes, ...]:
    hashes = tuple(bytes.fromhex(_text(value)) for value in values)
    if any(len(one) != HASH_BYTES for one in hashes):
        raise ValueError("no hash")
    return hashes


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value
