"""Where checkpoints are kept outside the database. Each place also says when what it holds contradicts this log.

A place that holds a checkpoint of this very log that is larger than the newest one, or another one of the same size,
was told of a history that the database does not know any more: it was rolled back, or rewritten.
"""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Protocol

import obstore
from obstore.exceptions import AlreadyExistsError

from rtcc_bridge.audit.note import SignedCheckpoint
from rtcc_bridge.errors import BridgeError, InvalidInputError, NotFoundError, UnavailableError
from rtcc_bridge.secret_files import draft_beside
from rtcc_bridge.storage.durability import sync_folder
from rtcc_bridge.storage.store_errors import translated

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_READABLE: Final = 0o644


class ContradictionError(BridgeError):
    """What a place holds does not fit this log: the database was rolled back or rewritten."""


class Place(Protocol):
    """Somewhere that takes checkpoints."""

    @property
    def name(self) -> str:
        """One of `metrics.CHECKPOINT_PLACES`."""
        ...

    @property
    def is_outside(self) -> bool:
        """Whether it may lie outside the agency's control, so that its acknowledgement is one in the sense of P22."""
        ...

    @property
    def wants_all(self) -> bool:
        """Whether it takes every checkpoint, or the newest alone."""
        ...

    async def deliver(self, checkpoints: Sequence[SignedCheckpoint], acknowledged: int) -> str:
        """Returns when the place holds them, with what it gave in return (a witness's signature lines), or nothing.

        checkpoints: the smallest first. acknowledged: the size of the last that it took, 0 for none. Raises
        UnavailableError, ContradictionError.
        """
        ...


class FilePlace:
    """A file with the newest checkpoint, replaced at once. What reads it may be anybody's."""

    name: Final = "file"
    is_outside: Final = False
    wants_all: Final = False

    def __init__(self, file: Path) -> None:
        self._file = file

    async def deliver(self, checkpoints: Sequence[SignedCheckpoint], acknowledged: int) -> str:  # noqa: ARG002 - of others
        newest = checkpoints[-1]
        try:
            require_continued(await asyncio.to_thread(self._read), newest, str(self._file))
            await asyncio.to_thread(self._write, newest.note)
        except OSError as error:
            raise UnavailableError(f"{self._file} cannot be written ({error.strerror})") from error
        return ""

    def _read(self) -> str:
        try:
            return self._file.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""

    def _write(self, note: str) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        draft = draft_beside(self._file, note)
        try:
            os.chmod(draft, _READABLE)  # noqa: PTH101 - it is no secret
            draft.replace(self._file)
        finally:
            draft.unlink(missing_ok=True)
        sync_folder(self._file.parent)


class StorePlace:
    """An object store: each checkpoint under its log and size, written once; and the newest one."""

    name: Final = "store"
    is_outside: Final = True
    wants_all: Final = True

    def __init__(self, store: "ObjectStore", timeout_seconds: float) -> None:
        self._store = store
        self._timeout_seconds = timeout_seconds

    async def deliver(self, checkpoints: Sequence[SignedCheckpoint], acknowledged: int) -> str:  # noqa: ARG002 - of others
        newest = checkpoints[-1]
        folder = newest.checkpoint.origin
        require_continued(await self._get(f"{folder}/newest"), newest, "the store of checkpoints")
        for checkpoint in checkpoints:
            path = f"{folder}/{checkpoint.checkpoint.size:019d}"
            if not await self._put(path, checkpoint, mode="create"):
                require_continued(await self._get(path), checkpoint, "the store of checkpoints")
        await self._put(f"{folder}/newest", newest, mode="overwrite")
        return ""

    async def ping(self) -> None:
        """Reads, as each delivery does first, and writes nothing: what such a store takes may stay there for years.

        Raises UnavailableError.
        """
        await self._get("ping")

    async def _put(self, path: str, checkpoint: SignedCheckpoint, *, mode: Literal["create", "overwrite"]) -> bool:
        """False when there is one already, which stays."""
        with translated("a checkpoint cannot be stored"):
            async with asyncio.timeout(self._timeout_seconds):
                try:
                    await obstore.put_async(self._store, path, checkpoint.note.encode(), mode=mode)
                except AlreadyExistsError:
                    return False
        return True

    async def _get(self, path: str) -> str:
        try:
            with translated("a stored checkpoint cannot be read"):
                async with asyncio.timeout(self._timeout_seconds):
                    return bytes(await (await obstore.get_async(self._store, path)).bytes_async()).decode()
        except NotFoundError:
            return ""


def require_continued(held: str, newer: SignedCheckpoint, where: str) -> None:
    """Raises ContradictionError when the checkpoint that is held is of this log and no earlier one of it.

    What is no checkpoint, or one of another log, says nothing.
    """
    try:
        known = SignedCheckpoint.read(held).checkpoint
    except InvalidInputError:
        return
    ours = newer.checkpoint
    if known.origin == ours.origin and (known.size > ours.size or (known.size == ours.size and known != ours)):
        raise ContradictionError(
            f"{where} holds a checkpoint of this log over {known.size} entries, and the database's is over {ours.size} "
            "entries and does not continue it: the database was rolled back or rewritten"
        )
