"""The one sequencer: gives every committed entry its leaf in the tree, and signs what the tree has become.

Acts take no lock on the log: each commits its entry for itself, in any order and any number at once. An entry has its
leaf when it has committed, not when it was inserted, so nothing that a checkpoint covers can appear or go afterwards.
"""

import asyncio
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NoReturn

import structlog

from rtcc_bridge.audit.checkpoint_event import checkpoint_event
from rtcc_bridge.audit.entries import SYSTEM, AuditLog
from rtcc_bridge.audit.note import Checkpoint, NoteSigner, SignedCheckpoint, signed
from rtcc_bridge.audit.signing_key import SigningKeys
from rtcc_bridge.audit.stored_hashes import edge_of, hashes_of_ranges
from rtcc_bridge.audit.tiles import appended
from rtcc_bridge.audit.tree import Leaves
from rtcc_bridge.audit_settings import AuditSettings
from rtcc_bridge.clock import Clock
from rtcc_bridge.errors import TransientError
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.outage_log import OutageLog
from rtcc_bridge.publishing.outbox import Outbox
from rtcc_bridge.storage import audit_tree
from rtcc_bridge.storage.audit_tree import CheckpointRecord, LogRecord
from rtcc_bridge.storage.engine import Database, Transaction
from rtcc_bridge.storage.locks import SoleRight, Work, sole_right

BATCH_SIZE: Final = 1000
KEY_ACTION: Final = "audit.key"
"""The action of the entry that names the key which signs from there on, and of the one with which a log begins."""

_IDLE_SECONDS: Final = 1.0
"""A round costs its reads and the tree's right edge, however few entries there are; nobody waits for a place."""

_STANDBY_SECONDS: Final = 1.0
_CONFIRMED_WITHIN_SECONDS: Final = 10.0
_log = structlog.get_logger(__name__)


class Sequencer:
    """Sequences and signs, in one process at a time."""

    def __init__(
        self,
        database: Database,
        audit: AuditLog,
        outbox: Outbox,
        keys: SigningKeys | None,
        settings: AuditSettings,
        topic: str,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        """keys: None signs nothing. topic: where checkpoints are published."""
        self._database = database
        self._audit = audit
        self._outbox = outbox
        self._keys = keys
        self._settings = settings
        self._topic = topic
        self._metrics = metrics
        self._clock = clock
        self._outage = OutageLog("giving audit entries their places")
        self._oldest_at: datetime | None = None
        metrics.audit_unsequenced_seconds.set_function(self._oldest_age_seconds)

    async def run(self) -> NoReturn:
        """Works until cancelled. An outage of the database is waited for; any other error ends it."""
        if self._keys is None:
            _log.warning("audit_checkpoints_unsigned", remedy="set audit.signing_key_file for the role relay")
        while True:
            try:
                async with sole_right(
                    self._database, Work.AUDIT_SEQUENCER, confirmed_within_seconds=_CONFIRMED_WITHIN_SECONDS
                ) as right:
                    if right is not None:
                        await self._keep_sequencing(right)
                    else:
                        self._oldest_at = None  # the active sequencer's to tell
            except TransientError as error:
                self._outage.failed(error)
            await asyncio.sleep(_STANDBY_SECONDS)

    async def _keep_sequencing(self, right: SoleRight) -> NoReturn:
        while True:
            await right.confirm()
            await self.sequence_all()
            await self.sign_if_due()
            self._outage.succeeded()
            await asyncio.sleep(_IDLE_SECONDS)

    async def sequence_all(self) -> int:
        """Gives everything that has committed its place, batch by batch; returns how many. Raises UnavailableError."""
        placed = 0
        while batch := await self._sequence_batch():
            placed += batch
            if batch < BATCH_SIZE:
                break
        return placed

    async def sign_if_due(self) -> SignedCheckpoint | None:
        """Signs the tree when it has grown enough, or long enough ago. Raises UnavailableError."""
        async with self._database.read() as tx:
            size, newest = await audit_tree.size(tx), await audit_tree.newest_checkpoint(tx)
        self._metrics.audit_entries.set(size)
        return await self.sign() if self._is_due(size, newest) else None

    async def sign(self) -> SignedCheckpoint | None:
        """Signs the tree as it is; None without a key. Raises UnavailableError.

        The first time a key signs, an entry says so, and the key before signs that checkpoint too, if it is still
        known: so whoever trusts that one can trust this one.
        """
        if self._keys is None:
            return None
        async with self._database.write() as tx:
            log = await audit_tree.log(tx)
            origin = self._new_origin() if log is None else log.origin
            present, *earlier = self._keys.signers(origin)
            before = None if log is None else log.public_key
            signers = [present]
            if str(present.verifier) != before:
                await self._take_over(tx, origin, before, present)
                signers += [signer for signer in earlier if str(signer.verifier) == before]
            return await self._sign(tx, origin, signers)

    def _oldest_age_seconds(self) -> float:
        """It grows while the database, which would tell of a later one, does not answer."""
        return 0.0 if self._oldest_at is None else _age(self._oldest_at, self._clock.now())

    def _is_due(self, size: int, newest: CheckpointRecord | None) -> bool:
        if newest is None or size <= newest.size:
            return newest is None and size > 0
        waited = self._clock.now() - newest.signed_at
        enough = size - newest.size >= self._settings.checkpoint_entries
        return enough or waited >= timedelta(seconds=self._settings.checkpoint_seconds)

    def _new_origin(self) -> str:
        """Random behind the name, so that a log that a restoration began is never taken for the one before it."""
        return f"{self._settings.origin}/{secrets.token_hex(8)}"

    async def _take_over(self, tx: Transaction, origin: str, before: str | None, present: NoteSigner) -> None:
        key = str(present.verifier)
        leaf = await self._audit.append(
            tx,
            actor=SYSTEM,
            action=KEY_ACTION,
            subject=f"audit-log/{origin}",
            outcome="begun" if before is None else "changed",
            authority={},
            details={"before": before, "key": key},
        )
        begun_at = self._clock.now() if (log := await audit_tree.log(tx)) is None else log.begun_at
        await audit_tree.put_log(tx, LogRecord(origin=origin, public_key=key, begun_at=begun_at))
        while await audit_tree.position_of(tx, leaf) is None:  # and no longer: others commit meanwhile, without end
            await self._place_some(tx)
        _log.info("audit_log_begun" if before is None else "audit_signing_key_changed", origin=origin, key=key)

    async def _sign(self, tx: Transaction, origin: str, signers: Sequence[NoteSigner]) -> SignedCheckpoint:
        size = await audit_tree.size(tx)
        (root,) = await hashes_of_ranges(tx, [Leaves(0, size)])
        checkpoint = SignedCheckpoint.read(signed(Checkpoint(origin, size, root), signers))
        record = CheckpointRecord(size=size, note=checkpoint.note, signed_at=self._clock.now())
        await audit_tree.add_checkpoint(tx, record)
        await self._outbox.put(tx, checkpoint_event(checkpoint, self._topic))
        return checkpoint

    async def _sequence_batch(self) -> int:
        async with self._database.read() as tx:
            found = await audit_tree.waiting(tx, 1)
        self._oldest_at = found[0].at if found else None
        if not found:
            return 0
        async with self._database.write() as tx:
            ages = await self._place_some(tx)
        for seconds in ages:
            self._metrics.audit_sequencing_seconds.observe(seconds)
        return len(ages)

    async def _place_some(self, tx: Transaction) -> list[float]:
        """Gives a batch its places; returns for each entry how old it is."""
        entries = await audit_tree.waiting(tx, BATCH_SIZE)
        if not entries:
            return []
        size = await audit_tree.size(tx)
        edge = await edge_of(tx, size)
        await audit_tree.place(tx, entries, size)
        await audit_tree.put_tiles(tx, appended(size, edge, [entry.leaf_hash for entry in entries]).items())
        now = self._clock.now()
        return [_age(entry.at, now) for entry in entries]


def _age(at: datetime, now: datetime) -> float:
    return max(0.0, (now - at).total_seconds())
