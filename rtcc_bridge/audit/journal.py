"""Entries of acts that went on although the log could not be written, since they only make things safer (P23).

Each lies in a file of its own, safe on the disk before its act commits, and is renamed when it has. Later it is entered
in the log as it is: events cite its hash already. One whose act is not known to have committed is entered as well, and
named: an act too many in the log is found by looking, one too few is not.
"""

import asyncio
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rtcc_bridge.errors import UnavailableError
from rtcc_bridge.secret_files import draft_beside
from rtcc_bridge.storage.durability import sync_folder

_BEGUN: Final = ".begun.json"
_DONE: Final = ".done.json"
_ASIDE: Final = ".set-aside"


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """An entry that waits. content: as it lies there. is_done: its act has committed, as far as this machine knows."""

    file: Path
    content: bytes
    noted_at: float
    is_done: bool


class AuditJournal:
    """A folder of entries. Several processes of a machine may share it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def note(self, entry: dict[str, Any]) -> None:
        """Returns when the entry is safe on the disk. Raises UnavailableError: then the act must not be done either."""
        try:
            await asyncio.to_thread(self._write, entry)
        except OSError as error:
            cause = error.strerror or type(error).__name__
            raise UnavailableError(f"neither the audit log nor its journal can be written ({cause})") from error

    def done(self, entry_id: str) -> None:
        """The act has committed. A rename, which waits for no disk; when it fails, the entry is one of unknown end."""
        try:
            (self._folder / f"{entry_id}{_BEGUN}").rename(self._folder / f"{entry_id}{_DONE}")
        except OSError:
            return

    def waiting(self) -> list[JournalEntry]:
        """What lies here, oldest first. Blocks. Raises UnavailableError."""
        try:
            return sorted(self._read(), key=lambda one: (one.noted_at, one.file.name))
        except OSError as error:
            raise self._unreadable(error) from error

    def set_aside(self, entry: JournalEntry) -> None:
        """It stays in the folder for somebody to look at, and waits no longer. Blocks."""
        with suppress(FileNotFoundError):  # by another process
            entry.file.rename(entry.file.with_suffix(_ASIDE))

    def count_aside(self) -> int:
        """How many files were set aside, and are still here. Blocks. Raises UnavailableError."""
        try:
            return sum(file.suffix == _ASIDE for file in self._folder.iterdir()) if self._folder.is_dir() else 0
        except OSError as error:
            raise self._unreadable(error) from error

    def remove(self, entries: list[JournalEntry]) -> None:
        """Blocks. One that stays, since it cannot be deleted, is entered only once all the same."""
        for one in entries:
            one.file.unlink(missing_ok=True)

    def _unreadable(self, error: OSError) -> UnavailableError:
        return UnavailableError(f"the audit journal {self._folder} cannot be read ({error.strerror})")

    def _write(self, entry: dict[str, Any]) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = self._folder / f"{entry['entryId']}{_BEGUN}"
        draft_beside(file, json.dumps(entry, ensure_ascii=False)).replace(file)
        sync_folder(self._folder)

    def _read(self) -> Iterator[JournalEntry]:
        if not self._folder.is_dir():
            return
        for file in self._folder.iterdir():
            if not file.name.endswith((_BEGUN, _DONE)):
                continue  # half of one, by a process that died: its act was not done
            try:
                content = file.read_bytes()
                noted_at = file.stat().st_mtime
            except FileNotFoundError:  # renamed, or entered by another process
                continue
            yield JournalEntry(file, content, noted_at, file.name.endswith(_DONE))
