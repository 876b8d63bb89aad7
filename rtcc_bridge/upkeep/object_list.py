"""The list of sealed objects in a backup, one a line."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from rtcc_bridge.errors import IntegrityError
from rtcc_bridge.storage.objects import is_object_key
from rtcc_bridge.upkeep.manifest import OBJECT_LIST, ObjectEntry


def write_object(entry: ObjectEntry) -> bytes:
    """The line of an object."""
    return json.dumps(asdict(entry), separators=(",", ":")).encode()


def read_objects(folder: Path) -> Iterator[ObjectEntry]:
    """The objects of a backup. Blocks while it reads.

    Raises IntegrityError, also for a name that no object has: else a doctored list could write into the removals
    ledger.
    """
    try:
        with (folder / OBJECT_LIST).open("rb") as opened:
            for line in opened:
                entry = ObjectEntry(**json.loads(line))
                if not is_object_key(entry.object_key):
                    raise IntegrityError(f"{OBJECT_LIST} of the backup was altered: it names {entry.object_key!r}")
                yield entry
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise IntegrityError(f"{OBJECT_LIST} of the backup cannot be read") from error
