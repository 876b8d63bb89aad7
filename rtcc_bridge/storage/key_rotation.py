"""Rotation of the master key: wraps every object key anew, in batches, while the daemon goes on.

No object is read or written. A key that is destroyed meanwhile stays destroyed, and one that is sealed meanwhile is
wrapped by whichever master key its process knows: both open. What is done is done, so an interrupted run is resumed by
the next one.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from rtcc_bridge.errors import IntegrityError, UnavailableError
from rtcc_bridge.storage import object_keys
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.master_keys import MasterKeys, WrappedKey
from rtcc_bridge.storage.object_keys import Kinds, ObjectKeyRecord

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


class KeyRotation:
    """Wraps object keys anew."""

    def __init__(self, database: Database, keys: MasterKeys, kinds: Kinds = Kinds.ALL) -> None:
        """kinds: of which objects `keys` are the master keys."""
        self._kinds = kinds
        self._database = database
        self._keys = keys

    async def counts(self) -> KeyCounts:
        """Raises UnavailableError when the database or the key management service does not answer."""
        current = await self._keys.current_id()
        async with self._database.read() as tx:
            return KeyCounts(current, await object_keys.count_by_master_key(tx, self._kinds))

    async def rewrap_all(self, on_progress: Callable[[int, int], None] = lambda _done, _all: None) -> RotationReport:
        """Wraps every key with the present master key. Commits each batch. Raises UnavailableError.

        on_progress: told how many are done, and of how many, after each batch.
        """
        before = await self.counts()
        total, done, failed, after = before.left, 0, 0, ""
        while True:
            async with self._database.read() as tx:
                records = await object_keys.wrapped_by_others(tx, before.current, after, _AT_ONCE, self._kinds)
            if not records:
                return RotationReport(done, failed, await self.counts())
            rewrapped = await self._rewrap(records)
            async with self._database.write() as tx:
                for record, key in rewrapped:
                    await object_keys.rewrap(tx, record, key.wrapped, key.master_key_id)
            done += len(rewrapped)
            failed += len(records) - len(rewrapped)
            after = records[-1].object_key
            on_progress(done + failed, max(total, done + failed))

    async def _rewrap(self, records: list[ObjectKeyRecord]) -> list[tuple[ObjectKeyRecord, WrappedKey]]:
        turns = asyncio.Semaphore(_ASKED_AT_ONCE)

        async def one(record: ObjectKeyRecord) -> WrappedKey | None:
            async with turns:
                try:
                    key = await self._keys.unwrap(WrappedKey(record.wrapped_key, record.master_key_id))
                except (IntegrityError, UnavailableError) as error:
                    await self._keys.current_id()  # raises when nobody answers: the other keys would fare no better
                    _log.error("a key cannot be wrapped anew", object_key=record.object_key, error=str(error))
                    return None
                return await self._keys.wrap(key)

        work = [asyncio.create_task(one(record)) for record in records]
        try:
            keys = await asyncio.gather(*work)  # the first failure goes up at once: none waits for its turn after it
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
        return [(record, key) for record, key in zip(records, keys, strict=True) if key is not None]
