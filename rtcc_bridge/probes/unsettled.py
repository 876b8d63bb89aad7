"""Sealed objects that no committed transaction refers to yet."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

from rtcc_bridge.errors import InvalidInputError, NotFoundError, TransientError
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.objects import ObjectVault, SealedObject


def undo_seal(undo: AsyncExitStack, database: Database, vault: ObjectVault, sealed: SealedObject) -> None:
    """Has `undo` discard the object, unless its key was recorded after all.

    A transaction that was cut off while it committed may have done so, which is why the database is asked. When it does
    not answer, the bytes stay: without a key nobody can read them.
    """

    async def discard() -> None:
        try:
            async with database.read() as tx:
                await vault.key_of(tx, sealed.object_key)
        except NotFoundError:
            await vault.discard(sealed)
        except TransientError:
            return

    undo.push_async_callback(discard)


class UploadSealer:
    """Seals uploads as they arrive. They never lie plain on a disk, and occupy no worker however slow they are."""

    def __init__(
        self, kind: str, what: str, database: Database, vault: ObjectVault, most_bytes: int, timeout_seconds: float
    ) -> None:
        """kind: of the sealed object. what: it is called in words."""
        self._kind = kind
        self._what = what
        self._database = database
        self._vault = vault
        self._most_bytes = most_bytes
        self._timeout_seconds = timeout_seconds

    async def seal(self, upload: AsyncIterator[bytes], undo: AsyncExitStack) -> SealedObject:
        """The sealed upload; `undo` discards it unless its key was recorded.

        Raises InvalidInputError (too large, too slow), UnavailableError, and what `upload` raises; nothing is left.
        """
        try:
            async with asyncio.timeout(self._timeout_seconds):
                sealed = await self._vault.seal(self._kind, self._bounded(upload))
                undo_seal(undo, self._database, self._vault, sealed)
                return sealed
        except TimeoutError as error:
            raise InvalidInputError(
                f"The upload did not end within {self._timeout_seconds:g} s: send the {self._what} again.", "stalled"
            ) from error

    async def _bounded(self, upload: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The upload, which may not have said how long it is."""
        taken = 0
        async for piece in upload:
            taken += len(piece)
            if taken > self._most_bytes:
                raise too_large(self._what, self._most_bytes)
            yield piece


def too_large(what: str, most_bytes: int) -> InvalidInputError:
    """The refusal of an upload of more bytes than that."""
    return InvalidInputError(f"The {what} is larger than {most_bytes / 1e6:g} MB: send a smaller copy.", "too_large")
