"""The list of sealed objects in a backup, one a line."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from rtcc_bridge.errors import IntegrityError
from rtcc_bridge.upkeep.manifest import OBJECT_LIST, ObjectEntry


def write_object(entry: ObjectEntry) -> bytes:
    """The line of an object."""
    return json.dumps(asdict(entry), separators=(",", ":")).encode()


def read_objects(folder: Path) -> Iterator[ObjectEntry]:
    """The objects of a backup. Blocks while it reads. Raises IntegrityError."""
    try:
        with (folder / OBJECT_LIST).open("rb") as opened:
            for line in opened:
                yield ObjectEntry(**json.loads(line))
    except (OSError, ValueError, TypeError) as error:
        raise IntegrityError(f"{OBJECT_LIST} of the backup cannot be read") from error
