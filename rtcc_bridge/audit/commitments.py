"""Names in the audit log: each stands there as a keyed digest, whose key goes when the name has to be forgotten (P22).

A plain digest of a name or a case number is guessed in seconds. So each has a random key of its own, and the digest is
HMAC-SHA256 under it. While the key is kept, whoever may see the name can prove that an entry is about it (`proves`).
When the row is deleted, the digest in the log is that of nobody, and the log is as whole as before.
"""

import hashlib
import hmac
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from rtcc_bridge.clock import Clock
from rtcc_bridge.errors import NotFoundError
from rtcc_bridge.storage import commitments, sealing
from rtcc_bridge.storage.commitments import CommitmentRecord
from rtcc_bridge.storage.engine import Database, Transaction
from rtcc_bridge.storage.master_keys import MasterKeys, WrappedKey

_MOST_CHARACTERS: Final = 256
_ACT_TAKES: Final = timedelta(hours=1)
"""Longer than any: from its names' commitments to its own transaction."""


class NameKind(StrEnum):
    """What a name is the name of."""

    PERSON = "person"
    CASE = "case"


@dataclass(frozen=True, slots=True)
class Name:
    """A name of a person or the number of a case, as it was typed but for the space around it."""

    kind: NameKind
    text: str

    @property
    def key(self) -> str:
        """What the row is found by. Longer ones than a column takes do not reach the log: forms refuse them."""
        return self.text.strip()[:_MOST_CHARACTERS]


class Commitments:
    """Makes, looks up and ends commitments."""

    def __init__(self, database: Database, master_keys: MasterKeys, clock: Clock) -> None:
        self._database = database
        self._master_keys = master_keys
        self._clock = clock

    async def prepare(self, names: Collection[Name]) -> None:
        """Sees to it that each name has a commitment, so that an act about it can be entered. Commits.

        To be called before the act's transaction, since wrapping a key may ask a service. Raises UnavailableError.
        """
        for name in names:
            async with self._database.read() as tx:
                if await commitments.find(tx, name.kind, name.key) is not None:
                    continue
            key = sealing.generate_key()
            wrapped = await self._master_keys.wrap(key)
            record = CommitmentRecord(
                kind=name.kind,
                name=name.key,
                commitment=_digest(key, name),
                wrapped_key=wrapped.wrapped,
                master_key_id=wrapped.master_key_id,
                created_at=self._clock.now(),
            )
            async with self._database.write() as tx:
                await commitments.add_if_absent(tx, record)

    async def proves(self, name: Name, commitment: str) -> bool:
        """Whether an entry's commitment is one to this name.

        Raises NotFoundError when its key is gone, IntegrityError when it was altered, UnavailableError.
        """
        async with self._database.read() as tx:
            record = await commitments.find(tx, name.kind, name.key)
        if record is None:
            raise NotFoundError(
                "the key of this name is gone, or the log never knew it: nothing can be proved about it"
            )
        key = await self._master_keys.unwrap(WrappedKey(record.wrapped_key, record.master_key_id))
        return hmac.compare_digest(_digest(key, name), commitment)


async def commitments_to(tx: Transaction, names: Mapping[str, Name]) -> dict[str, str]:
    """The commitments to these names, for an entry; those that were never prepared, or are forgotten, are left out."""
    found: dict[str, str] = {}
    for role, name in names.items():
        record = await commitments.find(tx, name.kind, name.key)
        if record is not None:
            found[role] = record.commitment
    return found


async def forget(tx: Transaction, name: Name) -> bool:
    """Deletes name and key: what the log holds of it says nothing from there on. False when there was none."""
    return await commitments.remove(tx, name.kind, name.key)


async def forget_unborne(tx: Transaction, now: datetime) -> int:
    """Forgets what was noted for something that then did not happen, or for what was purged meanwhile; how many."""
    return await commitments.remove_unborne(tx, now - _ACT_TAKES)


def _digest(key: bytes, name: Name) -> str:
    return hmac.new(key, f"{name.kind}\0{name.key}".encode(), hashlib.sha256).hexdigest()
