"""Sealed objects that no committed transaction refers to yet."""

from contextlib import AsyncExitStack

from rtcc_bridge.errors import NotFoundError, TransientError
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
