"""Sealed objects: pictures, candidate lists and gallery segments, each under a key of its own.

The bytes live in an object store, the wrapped key lives in the database, and nothing plain is ever written. An object
is sealed before the transaction that refers to it; when that fails, or the process dies in between, what is left has
no key.
"""

import asyncio
import hashlib
import re
import secrets
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import obstore

from rtcc_bridge.clock import Clock
from rtcc_bridge.errors import (
    ConfigurationError,
    ConfigurationProblem,
    IntegrityError,
    NotFoundError,
    ObjectUnavailableError,
    UnavailableError,
)
from rtcc_bridge.settings import ObjectSettings, store_folder
from rtcc_bridge.storage import object_keys, sealing
from rtcc_bridge.storage.durability import sync_to_disk
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.master_keys import MasterKeys, Withheld, WrappedKey
from rtcc_bridge.storage.object_keys import GALLERY_PREFIX, ObjectKeyRecord
from rtcc_bridge.storage.removals_ledger import PREFIX, RemovalsLedger
from rtcc_bridge.storage.store_errors import translated
from rtcc_bridge.storage.store_marker import require_marker
from rtcc_bridge.storage.store_opening import open_store

if TYPE_CHECKING:
    from obstore import AsyncWritableFile
    from obstore.store import ObjectStore

Result = TypeVar("Result")

SMALL_BYTES: Final = 1 << 20
"""The longest object that is sealed and put in one piece."""

_PIECE_BYTES: Final = SMALL_BYTES
_PART_BYTES: Final = 5 << 20  # the least that S3 takes for a part of a multipart upload
_KIND = re.compile(r"[a-z][a-z0-9-]{0,63}")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
_PING: Final = "ping"


@dataclass(frozen=True, slots=True)
class SealedObject:
    """An object that lies in the store. Others can read it once its key has been recorded (`ObjectVault.record`)."""

    object_key: str
    wrapped_key: bytes
    master_key_id: str
    size_bytes: int
    sha256: str
    """Of the plain bytes, in hex."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """What the store says of an object. size_bytes: as it lies there."""

    object_key: str
    size_bytes: int
    stored_at: datetime


@dataclass(frozen=True, slots=True)
class _NewObject:
    """A small object on its way to the store."""

    object_key: str
    key: bytes
    content: bytes

    def sealed(self) -> tuple[bytes, str]:
        """The sealed bytes and the digest of the plain ones."""
        sealer = sealing.Sealer(self.key, self.object_key)
        return sealer.update(self.content) + sealer.finish(), hashlib.sha256(self.content).hexdigest()


class ObjectVault:
    """Seals and unseals objects. Use it as an async context manager."""

    def __init__(
        self,
        settings: ObjectSettings,
        master_keys: MasterKeys,
        clock: Clock,
        gallery_keys: MasterKeys | Withheld | None = None,
    ) -> None:
        """gallery_keys: wrap the templates of galleries in place of the others (P30); None: the others do it.

        Where they are withheld no template is opened or sealed here, by whichever key: UnavailableError says why.
        """
        self._gallery_keys = gallery_keys
        self._settings = settings
        self._folder = store_folder(settings.url)
        self._master_keys = master_keys
        self._clock = clock
        self._opened: ObjectStore | None = None
        self._ledger: RemovalsLedger | None = None

    async def __aenter__(self) -> Self:
        """Opens the store; a local folder is created for the owner alone, and marked as a store while it is empty.

        Raises ConfigurationError when the address is not one, or the folder cannot be made or written to.
        """
        self._opened = await self._open(self._settings.url, "objects.url")
        store, url = self._opened, self._settings.ledger_url or self._settings.url
        if url != self._settings.url:
            store = await self._open(url, "objects.ledger_url")
        self._ledger = RemovalsLedger(store, store_folder(url), self._settings.timeout_seconds)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._opened = self._ledger = None

    async def _open(self, url: str, setting: str) -> "ObjectStore":
        return await asyncio.to_thread(open_store, url, setting, self._settings.timeout_seconds)

    @property
    def ledger(self) -> RemovalsLedger:
        """What no backup may bring back."""
        if self._ledger is None:
            raise RuntimeError("the vault is used outside its context")
        return self._ledger

    @property
    def _store(self) -> "ObjectStore":
        if self._opened is None:
            raise RuntimeError("the vault is used outside its context")
        return self._opened

    async def seal(self, kind: str, chunks: bytes | AsyncIterator[bytes]) -> SealedObject:
        """Seals bytes, or a stream of them with a few MiB of memory, under a new key.

        The object appears whole or not at all.
        kind: a lower-case word that begins the object's key. An error of the stream passes through, and nothing is
        left. Raises UnavailableError when the store is full, read-only, not mounted or does not answer.
        """
        if isinstance(chunks, bytes) and len(chunks) <= SMALL_BYTES:
            (sealed,) = await self.seal_together(kind, [chunks])
            return sealed
        object_key, key = _new_name(kind), sealing.generate_key()
        await self._require_same_store()
        sealer = sealing.Sealer(key, object_key)
        digest = hashlib.sha256()
        size = 0
        async with self._upload(object_key) as upload:
            async for piece in _pieces(chunks):
                await upload.write(await asyncio.to_thread(_sealed, sealer, digest.update, piece))
                size += len(piece)
            await upload.write(sealer.finish())
            wrapped = await self._wrapped(object_key, key)
        return SealedObject(object_key, wrapped.wrapped, wrapped.master_key_id, size, digest.hexdigest())

    async def seal_together(self, kind: str, contents: Sequence[bytes]) -> list[SealedObject]:
        """Seals several small objects, each of at most `SMALL_BYTES`: all of them or none. Otherwise as `seal`.

        Each is put there in one request, and the limit of one call to the store is that of all: a stream of one piece
        takes several times as much. In a local store their folder is brought to the disk once.
        """
        if not contents:
            return []
        new = [_NewObject(_new_name(kind), sealing.generate_key(), content) for content in contents]
        wrapped = [await self._wrapped(one.object_key, one.key) for one in new]
        store, folder = self._store, self._folder
        putting = self._put(store, new) if folder is None else self._put_in_folder(store, folder, new)
        digests = await self._to_its_end([one.object_key for one in new], putting)
        return [
            SealedObject(one.object_key, key.wrapped, key.master_key_id, len(one.content), digest)
            for one, key, digest in zip(new, wrapped, digests, strict=True)
        ]

    async def _put(self, store: "ObjectStore", new: Sequence["_NewObject"]) -> list[str]:
        """Puts sealed objects; the result is the digests of the plain bytes."""
        with translated(_unwritten(new)):
            async with asyncio.timeout(self._settings.timeout_seconds):
                sealed = await asyncio.to_thread(lambda: [one.sealed() for one in new])
                putting = (
                    obstore.put_async(store, one.object_key, data) for one, (data, _) in zip(new, sealed, strict=True)
                )
                # All are waited for, since one that goes on could put back what is deleted after a failure.
                for outcome in await asyncio.gather(*putting, return_exceptions=True):
                    if isinstance(outcome, BaseException):
                        raise outcome
                return [digest for _, digest in sealed]

    async def _put_in_folder(self, store: "ObjectStore", folder: Path, new: Sequence["_NewObject"]) -> list[str]:
        """As `_put`, to the disk in one visit to a thread: each visit costs as much as to seal a small picture."""

        def put() -> list[str]:
            require_marker(folder)
            digests = []
            for one in new:
                sealed, digest = one.sealed()
                obstore.put(store, one.object_key, sealed)
                digests.append(digest)
            sync_to_disk(*(folder / one.object_key for one in new))
            return digests

        with translated(_unwritten(new)):
            async with asyncio.timeout(self._settings.timeout_seconds):
                return await asyncio.to_thread(put)

    async def record(self, tx: Transaction, *sealed: SealedObject) -> None:
        """Records the keys in the transaction that refers to the objects."""
        now = self._clock.now()
        await object_keys.add(
            tx,
            [
                ObjectKeyRecord(
                    object_key=one.object_key,
                    wrapped_key=one.wrapped_key,
                    master_key_id=one.master_key_id,
                    size_bytes=one.size_bytes,
                    created_at=now,
                )
                for one in sealed
            ],
        )

    async def key_of(self, tx: Transaction, object_key: str) -> ObjectKeyRecord:
        """What `unseal` needs. Raises NotFoundError when the key was destroyed or never recorded."""
        record = await object_keys.find(tx, object_key)
        if record is None:
            raise NotFoundError(f"the key of {object_key} was destroyed: nobody can read it any more")
        return record

    async def unseal(self, object_key: str, wrapped: ObjectKeyRecord | SealedObject) -> bytes:
        """The plain bytes; of an object whose key is not recorded yet, for whoever holds what sealing returned.

        Not to be called inside a transaction: it reads from the store.

        Raises NotFoundError when the bytes are gone, IntegrityError when they are not what was sealed,
        ObjectUnavailableError when it is this object alone that the store does not give, UnavailableError when the
        master key is not known here, or the store does not answer or is not the one that was used.
        """
        key, sealed = await self._read(object_key, wrapped)
        return await asyncio.to_thread(sealing.unseal, key, object_key, sealed)

    async def unseal_into(
        self, object_key: str, wrapped: ObjectKeyRecord | SealedObject, places: Sequence[memoryview]
    ) -> None:
        """As `unseal`, to places in memory that together are as large as the plain bytes (`sealing.unseal_into`)."""
        key, sealed = await self._read(object_key, wrapped)
        await asyncio.to_thread(sealing.unseal_into, key, object_key, sealed, places)

    async def _read(self, object_key: str, wrapped: ObjectKeyRecord | SealedObject) -> tuple[bytes, memoryview]:
        """The object's own key, and its bytes as they lie in the store. Errors as in `unseal`."""
        keys = self._gallery_keys_for(object_key)
        if keys is None or self._master_keys.opens(wrapped.master_key_id):  # from before there were keys for galleries
            keys = self._master_keys
        key = await keys.unwrap(WrappedKey(wrapped.wrapped_key, wrapped.master_key_id))
        try:
            with translated(f"{object_key} cannot be read"):
                async with asyncio.timeout(self._settings.timeout_seconds):
                    sealed = await (await obstore.get_async(self._store, object_key)).bytes_async()
        except NotFoundError:
            await self._require_same_store()
            raise
        except UnavailableError as error:
            await self.ping()
            raise ObjectUnavailableError(str(error)) from error
        if len(sealed) != sealing.sealed_size(wrapped.size_bytes):
            raise IntegrityError(f"{object_key} has {len(sealed)} bytes, which is not what was sealed")
        return key, memoryview(sealed)

    async def destroy(self, tx: Transaction, *keys: str) -> int:
        """Destroys the objects' keys in this transaction: from its commit on nobody can read them.

        They are noted in the removals ledger first, so that no restoration brings them back. Says how many keys there
        were. Call `delete` after the commit, so that the bytes go as well. Raises UnavailableError.
        """
        await self._require_same_store()
        await self.ledger.note_destroyed(self._clock.now(), keys)
        return await object_keys.remove(tx, keys)

    async def destroy_noted(self, tx: Transaction, *keys: str) -> int:
        """As `destroy`, for objects that the caller has noted in the removals ledger itself."""
        await self._require_same_store()
        return await object_keys.remove(tx, keys)

    async def digest_of_sealed(self, object_key: str) -> str | None:
        """The sha256 of the bytes as they lie in the store, which a backup lists too; None when there are none.

        Raises UnavailableError.
        """
        digest = hashlib.sha256()
        try:
            async for piece in self.read_sealed(object_key):
                digest.update(piece)
        except NotFoundError:
            await self._require_same_store()
            return None
        return digest.hexdigest()

    async def delete(self, *keys: str) -> None:
        """Removes the bytes; ones that are not there are no error. Raises UnavailableError."""
        for key in keys:
            try:
                with translated(f"{key} cannot be deleted"):
                    async with asyncio.timeout(self._settings.timeout_seconds):
                        await obstore.delete_async(self._store, key)
            except NotFoundError:
                await self._require_same_store()

    async def discard(self, *sealed: SealedObject) -> None:
        """The transaction that should have referred to them failed. They have no key: bytes that stay harm nobody."""
        try:
            await self.delete(*(one.object_key for one in sealed))
        except UnavailableError:
            return

    def require_master_keys(self, master_key_ids: Collection[str]) -> None:
        """Raises ConfigurationError when objects are wrapped by a master key that is not known here."""
        own = self._gallery_keys
        known = [self._master_keys] if own is None or isinstance(own, Withheld) else [self._master_keys, own]
        missing = sorted(name for name in master_key_ids if not any(keys.opens(name) for keys in known))
        if missing:
            problem = ConfigurationProblem(
                "objects.master_key_file",
                f"the objects are wrapped by master key {', '.join(missing)}, which is not configured",
                "Put it there, behind the first one",
            )
            raise ConfigurationError(problem)

    async def _wrapped(self, object_key: str, key: bytes) -> WrappedKey:
        return await (self._gallery_keys_for(object_key) or self._master_keys).wrap(key)

    def _gallery_keys_for(self, object_key: str) -> MasterKeys | None:
        """Raises UnavailableError where templates are none of this process's business."""
        if not object_key.startswith(GALLERY_PREFIX):
            return None
        if isinstance(self._gallery_keys, Withheld):
            raise UnavailableError(f"{object_key} holds templates: {self._gallery_keys.why}")
        return self._gallery_keys

    async def read_sealed(self, object_key: str) -> AsyncIterator[bytes]:
        """The bytes as they lie in the store, for a backup. Each piece has the time limit of a request.

        Raises NotFoundError, UnavailableError.
        """
        with translated(f"{object_key} cannot be read"):
            async with asyncio.timeout(self._settings.timeout_seconds):
                found = await obstore.get_async(self._store, object_key)
            pieces = aiter(found.stream(min_chunk_size=_PIECE_BYTES))
            while True:
                async with asyncio.timeout(self._settings.timeout_seconds):
                    piece = await anext(pieces, None)
                if piece is None:
                    return
                yield bytes(piece)

    async def write_sealed(self, object_key: str, pieces: AsyncIterator[bytes]) -> None:
        """Puts bytes that were sealed before, from a backup. Whole or not at all. Raises UnavailableError."""
        await self._require_same_store()
        async with self._upload(object_key) as upload:
            async for piece in pieces:
                await upload.write(piece)

    async def size_of_sealed(self, object_key: str) -> int | None:
        """Bytes that lie in the store under this name; None when nothing does. Raises UnavailableError."""
        try:
            with translated(f"{object_key} cannot be looked for"):
                async with asyncio.timeout(self._settings.timeout_seconds):
                    return int((await obstore.head_async(self._store, object_key))["size"])
        except NotFoundError:
            await self._require_same_store()
            return None

    async def stored(self) -> AsyncIterator[Sequence[StoredObject]]:
        """All objects in the store, some at a time. Raises UnavailableError."""
        await self._require_same_store()
        with translated("the object store cannot be listed"):
            async for some in obstore.list(self._store):
                yield [
                    StoredObject(one["path"], int(one["size"]), one["last_modified"])
                    for one in some
                    if is_object_key(one["path"])
                ]

    async def ping(self) -> None:
        """Writes a byte, since a store that is full or read-only answers reads. Raises UnavailableError.

        A folder that is no longer the store that was opened, because its disk is not mounted, is unavailable too.
        """
        await self._require_same_store()
        with translated("the object store cannot be written to"):
            async with asyncio.timeout(self._settings.timeout_seconds):
                await obstore.put_async(self._store, _PING, b"\n")

    async def _require_same_store(self) -> None:
        if self._folder is not None:
            with translated("the object store cannot be reached"):
                async with asyncio.timeout(self._settings.timeout_seconds):
                    await asyncio.to_thread(require_marker, self._folder)

    @asynccontextmanager
    async def _upload(self, object_key: str) -> AsyncIterator["_Upload"]:
        upload = _Upload(self._store, object_key, self._settings.timeout_seconds)
        try:
            yield upload
            await self._to_its_end([object_key], self._finish(upload, object_key))
        finally:
            upload.drop()

    async def _to_its_end(self, object_keys: Sequence[str], finishing: Coroutine[Any, Any, Result]) -> Result:
        """Waits for what makes objects visible. When it fails, or the caller is cancelled, nothing is left."""
        task = asyncio.create_task(finishing)
        try:
            return await asyncio.shield(task)
        except BaseException:
            # A cancellation too. An object may be there by now, and nobody else knows its name. Writing goes on in the
            # library's own thread when its caller leaves, so its end is waited for; it has a limit.
            await asyncio.gather(task, return_exceptions=True)
            with suppress(UnavailableError):
                await self.delete(*object_keys)
            raise

    async def _finish(self, upload: "_Upload", object_key: str) -> None:
        await upload.close()
        await self._sync(object_key)

    async def _sync(self, object_key: str) -> None:
        if self._folder is not None:
            with translated(f"{object_key} cannot be written"):
                await asyncio.to_thread(sync_to_disk, self._folder / object_key)


class _Upload:
    """One object on its way to the store. Dropped before it is closed, it leaves nothing that can be seen."""

    def __init__(self, store: "ObjectStore", object_key: str, timeout_seconds: float) -> None:
        self._object_key = object_key
        self._timeout_seconds = timeout_seconds
        self._writer: AsyncWritableFile | None = obstore.open_writer_async(
            store, object_key, buffer_size=_PART_BYTES, max_concurrency=1
        )

    async def write(self, data: bytes) -> None:
        assert self._writer is not None
        with translated(f"{self._object_key} cannot be written"):
            async with asyncio.timeout(self._timeout_seconds):
                await self._writer.write(data)

    async def close(self) -> None:
        """Makes the object visible."""
        assert self._writer is not None
        with translated(f"{self._object_key} cannot be written"):
            async with asyncio.timeout(self._timeout_seconds):
                await self._writer.close()

    def drop(self) -> None:
        """The library removes what was staged when nothing refers to the writer any more."""
        self._writer = None


async def _pieces(chunks: bytes | AsyncIterator[bytes]) -> AsyncIterator[memoryview]:
    """Slices of at most 1 MiB, so that no thread and no buffer gets more at once."""
    if isinstance(chunks, bytes):
        for piece in _slices(chunks):
            yield piece
        return
    async for chunk in chunks:
        for piece in _slices(chunk):
            yield piece


def _slices(data: bytes) -> Iterator[memoryview]:
    view = memoryview(data)
    for start in range(0, len(view), _PIECE_BYTES):
        yield view[start : start + _PIECE_BYTES]


def _sealed(sealer: sealing.Sealer, digest: Callable[[memoryview], None], piece: memoryview) -> bytes:
    digest(piece)
    return sealer.update(piece)


def _new_name(kind: str) -> str:
    if not _KIND.fullmatch(kind):
        raise ValueError(f"{kind!r} is not a kind of object: lower-case letters, digits and hyphens")
    return f"{kind}/{secrets.token_urlsafe(16)}"


def _unwritten(new: Sequence[_NewObject]) -> str:
    """What happened, for an error."""
    others = f" and {len(new) - 1} more" if len(new) > 1 else ""
    return f"{new[0].object_key}{others} cannot be written"


def is_object_key(text: str) -> bool:
    """Whether a sealed object may have this name. Nothing of the removals ledger has, and no path leads elsewhere."""
    kind, _, name = text.partition("/")
    return kind != PREFIX and _KIND.fullmatch(kind) is not None and _NAME.fullmatch(name) is not None
