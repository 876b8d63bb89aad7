"""What a backup holds, file by file, with the sha256 of each: a folder without this list is no backup.

| file | content |
|---|---|
| `manifest.json` | this list, the revision of the schema, the program, the removals ledger, offsets |
| `tables/NAME.jsonl` | the rows of a table, one JSON object a line |
| `objects.jsonl` | name, size and sha256 of each sealed object |
| `objects/KIND/NAME` | a sealed object as it lies in the object store |
| `ledger.jsonl` | the removals ledger at that moment |
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from rtcc_bridge.errors import IntegrityError, InvalidInputError

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
OBJECTS: Final = "objects"
OBJECT_LIST: Final = "objects.jsonl"
LEDGER: Final = "ledger.jsonl"
TABLES: Final = "tables"
_READ_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file of the backup. lines: rows, objects or entries in it."""

    name: str
    lines: int
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ObjectEntry:
    """A sealed object of the backup; size and sha256 are those of the sealed bytes."""

    object_key: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The list.

    ledger_id: which removals ledger belongs to this installation; none: it had none yet.
    group_offsets: {group: {topic: {partition: offset}}}, read before the database, so that no record is left out.
    lead_ends: {topic: {partition: offset}} of the lead topics, read before the database too.
    """

    format: int
    backup_id: str
    created_at: str
    program: str
    revision: str
    master_key_ids: tuple[str, ...]
    ledger_id: str | None
    group_offsets: Mapping[str, Mapping[str, Mapping[str, int]]]
    lead_ends: Mapping[str, Mapping[str, int]]
    files: tuple[FileEntry, ...]

    def file(self, name: str) -> FileEntry:
        """Raises IntegrityError when the backup has no such file."""
        for entry in self.files:
            if entry.name == name:
                return entry
        raise IntegrityError(f"the backup has no {name}")


def write_manifest(folder: Path, manifest: Manifest) -> str:
    """Writes the list and returns its sha256. Blocks. Raises OSError."""
    content = json.dumps(asdict(manifest), indent=1).encode() + b"\n"
    path = folder / MANIFEST
    path.touch(mode=0o600)
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def read_manifest(folder: Path, sha256: str | None = None) -> Manifest:
    """sha256: what `write_manifest` returned, kept where nobody could alter it together with the backup.

    Raises InvalidInputError when the folder is no backup that this program can read, IntegrityError when its manifest
    has another sha256. Blocks.
    """
    try:
        content = (folder / MANIFEST).read_bytes()
        if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256.strip().lower():
            raise IntegrityError(f"{folder / MANIFEST} does not have the sha256 that was given: the backup was altered")
        values = json.loads(content)
        if values["format"] != FORMAT:
            raise InvalidInputError(f"the backup has format {values['format']}, this program reads {FORMAT}")
        files = tuple(FileEntry(**entry) for entry in values.pop("files"))
        keys = tuple(values.pop("master_key_ids"))
        return Manifest(files=files, master_key_ids=keys, **values)
    except OSError as error:
        message = f"{folder} is no finished backup: {MANIFEST} cannot be read ({error.strerror})"
        raise InvalidInputError(message) from error
    except (ValueError, TypeError, KeyError) as error:
        raise InvalidInputError(f"{folder / MANIFEST} is not the manifest of a backup") from error


def verify_file(folder: Path, entry: FileEntry) -> None:
    """Raises IntegrityError when the file is not the one that was written. Blocks."""
    digest = hashlib.sha256()
    try:
        with (folder / entry.name).open("rb") as opened:
            while piece := opened.read(_READ_BYTES):
                digest.update(piece)
    except OSError as error:
        raise IntegrityError(f"{entry.name} of the backup cannot be read ({error.strerror})") from error
    if digest.hexdigest() != entry.sha256:
        raise IntegrityError(f"{entry.name} of the backup was altered: its sha256 is not the one of the manifest")


def offsets_as_json(offsets: Mapping[str, Mapping[int, int]]) -> dict[str, dict[str, int]]:
    """JSON has no whole numbers as names."""
    return {topic: {str(number): at for number, at in places.items()} for topic, places in offsets.items()}


def offsets_of_json(offsets: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[int, int]]:
    """The other way round."""
    return {topic: {int(number): int(at) for number, at in places.items()} for topic, places in offsets.items()}
