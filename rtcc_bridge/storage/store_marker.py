"""Tells the folder of an object store from the empty one that is left in its place when a disk is not mounted.

Without it a store that vanished reads as one whose objects were lost, and what is written goes to the wrong disk.
"""

from pathlib import Path
from typing import Final

from rtcc_bridge.errors import UnavailableError

MARKER: Final = ".rtcc-bridge-store"
_OF_A_NEW_FILE_SYSTEM: Final = "lost+found"


def mark_if_new(root: Path) -> Path | None:
    """Marks a folder that holds nothing yet as a store; says which file was written. Blocks. Raises OSError."""
    if any(entry.name != _OF_A_NEW_FILE_SYSTEM for entry in root.iterdir()):
        return None
    marker = root / MARKER
    marker.touch(mode=0o600)
    return marker


def require_marker(root: Path) -> None:
    """Raises UnavailableError when the folder is not one that was made a store. Blocks."""
    try:
        (root / MARKER).stat()
    except OSError as error:
        raise UnavailableError(
            f"the object store at {root} is not the one that was used: is it mounted? (A copy needs {MARKER} as well.)"
        ) from error
