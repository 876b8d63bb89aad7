"""Verifies an export of the audit log offline, with nothing but the public key and, better, a checkpoint kept outside.

The hashes in `leaves.txt` are held against the signed roots first: where they give the root, they are the log's own,
and the first entry that does not have its hash is named exactly. Where they do not, they were altered as well, and what
can be said is between which two checkpoints.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rtcc_bridge.audit import export_files
from rtcc_bridge.audit.note import SignedCheckpoint, VerifierKey
from rtcc_bridge.audit.receipts import require_signed
from rtcc_bridge.audit.tree import HASH_BYTES, GrowingTree, leaf_hash
from rtcc_bridge.errors import IntegrityError, InvalidInputError

_KEY_ACTION: Final = "audit.key"


class SpoiledLogError(IntegrityError):
    """The log is not what was signed. position: of the first bad entry, from 0; None where it is no single entry."""

    def __init__(self, message: str, position: int | None = None) -> None:
        super().__init__(message)
        self.position = position


@dataclass(frozen=True, slots=True)
class Verified:
    """What was proved. of_other_keys: earlier checkpoints that keys signed of which nothing is known here."""

    origin: str
    size: int
    checkpoints: int
    of_other_keys: int
    outside: tuple[int, ...]
    key: VerifierKey


@dataclass(slots=True)
class _Entries:
    """What the lines of entries gave: their hashes as leaves, and where a key handed over to another."""

    hashes: list[bytes] = field(default_factory=list)
    hand_overs: list[tuple[int, str, str]] = field(default_factory=list)


def verify_export(folder: Path, key: VerifierKey, outside: Sequence[SignedCheckpoint] = ()) -> Verified:
    """Blocks; takes 32 bytes of memory twice for each entry.

    key: the log's. A later key is trusted where an entry that a checkpoint of this one covers names it. outside:
    checkpoints that were kept elsewhere. Raises SpoiledLogError, InvalidInputError for what is no export.
    """
    checkpoints = list(_read_checkpoints(folder))
    if not checkpoints:
        raise InvalidInputError(f"{folder} holds no checkpoint", "export")
    if (origin := checkpoints[-1].checkpoint.origin) != key.name:
        raise SpoiledLogError(
            f"the export is of the log {origin}, and the key is of {key.name}: a restoration begins a new log, whose "
            "key you should ask for elsewhere"
        )
    return _Verification(_read_leaves(folder), _read_entries(folder), key).run(checkpoints, outside)


class _Verification:
    def __init__(self, leaves: Sequence[bytes], entries: _Entries, key: VerifierKey) -> None:
        self._leaves = leaves
        self._entries = entries
        self._key = key
        self._keys = [key]
        self._tree = GrowingTree()
        self._roots: dict[int, bytes] = {}
        self._good = 0
        """So many leaves are proved to be the log's, and so many entries to be theirs."""

    def run(self, checkpoints: Sequence[SignedCheckpoint], outside: Sequence[SignedCheckpoint]) -> Verified:
        sizes = [one.checkpoint.size for one in checkpoints]
        if sizes != sorted(set(sizes)):
            raise SpoiledLogError("the checkpoints are not in the order of their sizes")
        self._find_roots({*sizes, *(one.checkpoint.size for one in outside)})
        signed = [self._accept(one) for one in checkpoints]
        if not signed[-1]:
            raise SpoiledLogError(
                f"the newest checkpoint, over {sizes[-1]} entries, is not signed by the key {self._key.label}: the "
                "key was swapped, or no entry that this key vouches for names the new one"
            )
        self._require_nothing_behind(sizes[-1])
        for one in outside:
            self._compare(one)
        return Verified(
            origin=checkpoints[-1].checkpoint.origin,
            size=sizes[-1],
            checkpoints=sum(signed),
            of_other_keys=len(signed) - sum(signed),
            outside=tuple(one.checkpoint.size for one in outside),
            key=self._key,
        )

    def _find_roots(self, sizes: set[int]) -> None:
        for leaf in self._leaves:
            self._tree.append(leaf)
            if self._tree.size in sizes:
                self._roots[self._tree.size] = self._tree.root()

    def _accept(self, signed: SignedCheckpoint) -> bool:
        """Whether the present key signed it. Then everything up to it has to be as it says."""
        try:
            if not signed.signed_by(self._key):
                return False
        except InvalidInputError as error:
            raise SpoiledLogError(str(error)) from error
        size = signed.checkpoint.size
        if signed.checkpoint.origin != self._key.name:
            raise SpoiledLogError(f"the checkpoint over {size} entries is of the log {signed.checkpoint.origin}")
        if self._roots.get(size) != signed.checkpoint.root:
            self._name_first_bad(size)
        self._require_entries(size)
        self._good = size
        self._hand_over()
        return True

    def _name_first_bad(self, size: int) -> None:
        """The leaves do not give the root: they were altered, and perhaps the entries with them."""
        if len(self._leaves) < size:
            missing = min(len(self._leaves), len(self._entries.hashes))
            self._require_entries(min(missing, size))
            raise SpoiledLogError(f"the export ends before entry {missing}, and {size} were signed", missing)
        self._require_entries(size)
        raise SpoiledLogError(
            f"the first bad entry is one of {self._good} to {size - 1}: the checkpoint over {size} entries has another "
            "root, and the hashes in leaves.txt were altered together with the entry",
            self._good,
        )

    def _require_entries(self, size: int) -> None:
        """Each entry from the last good one on has its hash."""
        found = self._entries.hashes
        for position in range(self._good, size):
            leaf = self._leaves[position]
            if position >= len(found):
                raise SpoiledLogError(f"entry {position} is missing: the entries end before it", position)
            if found[position] != leaf:
                raise SpoiledLogError(f"entry {position} {self._what_happened(position)}", position)

    def _what_happened(self, position: int) -> str:
        found, leaves = self._entries.hashes, self._leaves
        here = found[position]
        following = leaves[position + 1] if position + 1 < len(leaves) else None
        if here == following and leaves[position] not in found[position:]:
            return "is missing: the entry after it stands in its place"
        if position + 1 < len(found) and found[position + 1] == leaves[position] and here not in leaves:
            return "was not written by the log: the entry that was stands behind it"
        if here in leaves or leaves[position] in found:
            return "is out of its place"
        return "was changed: it does not have the hash that was signed"

    def _require_nothing_behind(self, size: int) -> None:
        for name, count in (("entries", len(self._entries.hashes)), ("hashes of leaves", len(self._leaves))):
            if count > size:
                raise SpoiledLogError(f"there are {count} {name}, and {size} were signed", size)

    def _hand_over(self) -> None:
        """The present key signed that another one follows it."""
        for position, before, after in self._entries.hand_overs:
            if position < self._good and before == str(self._key):
                self._key = VerifierKey.read(after)
                self._keys.append(self._key)

    def _compare(self, held: SignedCheckpoint) -> None:
        """A checkpoint that was kept outside is one of this very history. Any key of the log may have signed it."""
        checkpoint = held.checkpoint
        _require_signed_by_one(held, self._keys)
        if checkpoint.size > self._good:
            raise SpoiledLogError(
                f"the log was rolled back or cut off: a checkpoint from outside is over {checkpoint.size} entries, and "
                f"the export ends after {self._good}",
                self._good,
            )
        if self._roots.get(checkpoint.size) != checkpoint.root:
            raise SpoiledLogError(
                f"the log was rewritten: its first {checkpoint.size} entries are not those of the checkpoint from "
                "outside. The first bad entry is one of them",
                0,
            )


def _require_signed_by_one(held: SignedCheckpoint, keys: Sequence[VerifierKey]) -> None:
    problems = []
    for key in keys:
        try:
            require_signed(held, key)
        except IntegrityError as error:
            problems.append(str(error))
        else:
            return
    raise SpoiledLogError(f"from outside: {problems[0]}")


def _read_checkpoints(folder: Path) -> Iterator[SignedCheckpoint]:
    for line in _lines(folder / export_files.CHECKPOINTS):
        try:
            document = json.loads(line)
            note = document["note"]
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidInputError(f"{export_files.CHECKPOINTS} holds a line that is none of an export") from error
        yield SignedCheckpoint.read(str(note))


def _read_leaves(folder: Path) -> list[bytes]:
    try:
        leaves = [bytes.fromhex(line.decode("ascii")) for line in _lines(folder / export_files.LEAVES)]
    except ValueError as error:
        raise InvalidInputError(f"{export_files.LEAVES} holds a line that is no hash", "export") from error
    if any(len(leaf) != HASH_BYTES for leaf in leaves):
        raise InvalidInputError(f"{export_files.LEAVES} holds a line that is no hash", "export")
    return leaves


def _read_entries(folder: Path) -> _Entries:
    found = _Entries()
    for position, line in enumerate(_lines(folder / export_files.ENTRIES)):
        found.hashes.append(leaf_hash(line))
        if f'"{_KEY_ACTION}"'.encode() in line:
            found.hand_overs.extend((position, before, after) for before, after in _hand_over_in(line))
    return found


def _hand_over_in(line: bytes) -> Iterator[tuple[str, str]]:
    try:
        entry: Any = json.loads(line)
    except ValueError:
        return
    if isinstance(entry, dict) and entry.get("action") == _KEY_ACTION and isinstance(entry.get("details"), dict):
        before, after = entry["details"].get("before"), entry["details"].get("key")
        if isinstance(before, str) and isinstance(after, str):
            yield before, after


def _lines(file: Path) -> Iterator[bytes]:
    try:
        with file.open("rb") as opened:
            for line in opened:
                yield line.removesuffix(b"\n")
    except OSError as error:
        raise InvalidInputError(f"{file} cannot be read ({error.strerror}): that is no export", "export") from error
