"""Rotation of the master key: wraps every key anew that it wraps, in batches, while the daemon goes on.

Those are the keys of sealed objects, and those of the audit log's commitments to names.

No object is read or written. A key that is destroyed meanwhile stays destroyed, and one that is sealed meanwhile is
wrapped by whichever master key its process knows: both open. What is done is done, so an interrupted run is resumed by
the next one.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog

from rtcc_bridge.errors import IntegrityError, UnavailableError
from rtcc_bridge.storage import commitments, object_keys
from rtcc_bridge.storage.commitments import CommitmentRecord
from rtcc_bridge.storage.engine import Database, Transaction
from rtcc_bridge.storage.master_keys import MasterKeys, WrappedKey
from rtcc_bridge.storage.object_keys import Kinds, ObjectKeyRecord
from rtcc_bridge.turns import limited

_AT_ONCE: Final = 200
_ASKED_AT_ONCE: Final = 16
"""Requests to a key management service that are under way at the same time."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class KeyCounts:
    """How many object keys each master key wraps; `current` is the one that wraps new ones."""

    current: str
    by_master_key: Mapping[str, int]

    @property
    def left(self) -> int:
        """Object keys that still need an earlier master key."""
        return sum(count for name, count in self.by_master_key.items() if name != self.current)


@dataclass(frozen=True, slots=True)
class RotationReport:
    """What a run did. failed: object keys that did not open: their master key is missing, or they were altered."""

    rewrapped: int
    failed: int
    counts: KeyCounts


@dataclass(frozen=True, slots=True)
class _KeptKey:
    """A wrapped key. label: what the log may call it, so no name of a person. rewrap: puts it in another wrapping."""

    label: str
    key: WrappedKey
    rewrap: Callable[[Transaction, WrappedKey], Awaitable[bool]]


class KeyRotation:
    """Wraps keys anew."""

    def __init__(self, database: Database, keys: MasterKeys, kinds: Kinds = Kinds.ALL) -> None:
        """kinds: of which objects `keys` are the master keys."""
        self._kinds = kinds
        self._database = database
        self._keys = keys

    async def counts(self) -> KeyCounts:
        """Raises UnavailableError when the database or the key management service does not answer."""
        current = await self._keys.current_id()
        async with self._database.read() as tx:
            return KeyCounts(current, await count_by_master_key(tx, self._kinds))

    async def rewrap_all(self, on_progress: Callable[[int, int], None] = lambda _done, _all: None) -> RotationReport:
        """Wraps every key with the present master key. Commits each batch. Raises UnavailableError.

        on_progress: told how many are done, and of how many, after each batch.
        """
        before = await self.counts()
        total, done, failed = before.left, 0, 0
        for batches in self._batches(before.current):
            async for kept in batches:
                rewrapped = await self._rewrap(kept)
                async with self._database.write() as tx:
                    for one, key in rewrapped:
                        await one.rewrap(tx, key)
                done += len(rewrapped)
                failed += len(kept) - len(rewrapped)
                on_progress(done + failed, max(total, done + failed))
        return RotationReport(done, failed, await self.counts())

    def _batches(self, current: str) -> Iterator[AsyncIterator[Sequence[_KeptKey]]]:
        """What another master key wraps. The keys of names belong to the master key that is not the galleries'."""
        yield _object_keys(self._database, current, self._kinds)
        if self._kinds is not Kinds.GALLERY:
            yield _name_keys(self._database, current)

    async def _rewrap(self, records: Sequence[_KeptKey]) -> list[tuple[_KeptKey, WrappedKey]]:
        async def one(record: _KeptKey) -> WrappedKey | None:
            try:
                key = await self._keys.unwrap(record.key)
            except (IntegrityError, UnavailableError) as error:
                await self._keys.current_id()  # raises when nobody answers: the other keys would fare no better
                _log.error("a key cannot be wrapped anew", object_key=record.label, error=str(error))
                return None
            return await self._keys.wrap(key)

        keys = await limited(asyncio.Semaphore(_ASKED_AT_ONCE), one, records)
        return [(record, key) for record, key in zip(records, keys, strict=True) if key is not None]


async def count_by_master_key(tx: Transaction, kinds: Kinds = Kinds.ALL) -> Mapping[str, int]:
    """How many keys each master key wraps, of objects and, unless they are those of galleries alone, of names."""
    counts = Counter(await object_keys.count_by_master_key(tx, kinds))
    if kinds is not Kinds.GALLERY:
        counts.update(await commitments.count_by_master_key(tx))
    return dict(sorted(counts.items()))


async def _object_keys(database: Database, current: str, kinds: Kinds) -> AsyncIterator[Sequence[_KeptKey]]:
    """Those that another master key wraps, some at a time."""
    after = ""
    while True:
        async with database.read() as tx:
            records = await object_keys.wrapped_by_others(tx, current, after, _AT_ONCE, kinds)
        if not records:
            return
        after = records[-1].object_key
        yield [_KeptKey(one.object_key, _key_of(one), partial(_rewrap_object, one)) for one in records]


async def _name_keys(database: Database, current: str) -> AsyncIterator[Sequence[_KeptKey]]:
    """As `_object_keys`."""
    after = ("", "")
    while True:
        async with database.read() as tx:
            records = await commitments.wrapped_by_others(tx, current, after, _AT_ONCE)
        if not records:
            return
        after = (records[-1].kind, records[-1].name)
        yield [_KeptKey(f"commitment/{one.commitment}", _key_of(one), partial(_rewrap_name, one)) for one in records]


def _key_of(record: ObjectKeyRecord | CommitmentRecord) -> WrappedKey:
    return WrappedKey(record.wrapped_key, record.master_key_id)


async def _rewrap_object(record: ObjectKeyRecord, tx: Transaction, key: WrappedKey) -> bool:
    return await object_keys.rewrap(tx, record, key.wrapped, key.master_key_id)


async def _rewrap_name(record: CommitmentRecord, tx: Transaction, key: WrappedKey) -> bool:
    return await commitments.rewrap(tx, record, key.wrapped, key.master_key_id)
