"""Brings checkpoints to the places outside, and knows for how long none of them has acknowledged what was done."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Final, NoReturn

import structlog

from rtcc_bridge.audit.note import SignedCheckpoint
from rtcc_bridge.audit.places import ContradictionError, Place
from rtcc_bridge.clock import Clock
from rtcc_bridge.errors import TransientError, UnavailableError
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.outage_log import OutageLog
from rtcc_bridge.storage import audit_tree
from rtcc_bridge.storage.audit_tree import AcknowledgementRecord, CheckpointRecord
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.locks import SoleRight, Work, sole_right

_EVERY_SECONDS: Final = 1.0
_AFTER_FAILURE_SECONDS: Final = 15.0
_CONFIRMED_WITHIN_SECONDS: Final = 120.0
"""Longer than the places of one round take to answer together."""
_AT_ONCE: Final = 100
_log = structlog.get_logger(__name__)


class CheckpointCourier:
    """Delivers, in one process at a time. One place that is away holds up no other."""

    def __init__(self, database: Database, places: Sequence[Place], metrics: Metrics, clock: Clock) -> None:
        self._database = database
        self._places = tuple(places)
        self._metrics = metrics
        self._clock = clock
        self._oldest_at: datetime | None = None
        self._outages = {place.name: OutageLog(f"bringing checkpoints to the {place.name}") for place in places}
        self._lock_outage = OutageLog("looking for checkpoints to bring outside")
        metrics.audit_unacknowledged_seconds.set_function(self._oldest_age_seconds)

    async def run(self) -> NoReturn:
        """Works until cancelled. What does not answer is tried again; any other error ends it."""
        while True:
            try:
                async with sole_right(
                    self._database, Work.AUDIT_COURIER, confirmed_within_seconds=_CONFIRMED_WITHIN_SECONDS
                ) as right:
                    self._lock_outage.succeeded()
                    if right is not None:
                        await self._keep_delivering(right)
            except TransientError as error:
                self._lock_outage.failed(error)
            self._oldest_at = None  # the active courier's to tell
            await asyncio.sleep(_EVERY_SECONDS)

    async def deliver_all(self) -> bool:
        """One round; whether every place has the newest checkpoint. Raises UnavailableError (of the database)."""
        async with self._database.read() as tx:
            newest = await audit_tree.newest_checkpoint(tx)
            known = await audit_tree.acknowledgements(tx)
        delivered = True
        for place in self._places:
            size = known[place.name].size if place.name in known else 0
            if newest is not None and size < newest.size:
                delivered &= await self._deliver(place, newest, size)
        await self._tell()
        return delivered

    async def _keep_delivering(self, right: SoleRight) -> NoReturn:
        while True:
            await right.confirm()
            delivered = await self.deliver_all()
            await asyncio.sleep(_EVERY_SECONDS if delivered else _AFTER_FAILURE_SECONDS)

    async def _deliver(self, place: Place, newest: CheckpointRecord, size: int) -> bool:
        records = [newest]
        if place.wants_all:
            async with self._database.read() as tx:
                records = await audit_tree.checkpoints_after(tx, size, _AT_ONCE)
        try:
            receipt = await place.deliver([SignedCheckpoint.read(record.note) for record in records], size)
        except UnavailableError as error:
            self._outages[place.name].failed(error)
            return False
        except ContradictionError as error:
            self._metrics.audit_contradicted.labels(place.name).set(1)
            _log.error("the audit log is contradicted from outside", place=place.name, error=str(error))
            return False
        self._outages[place.name].succeeded()
        self._metrics.audit_contradicted.labels(place.name).set(0)
        await self._note(place, records[-1].size, receipt)
        return records[-1].size == newest.size

    async def _note(self, place: Place, size: int, receipt: str) -> None:
        now = self._clock.now()
        async with self._database.write() as tx:
            await audit_tree.acknowledge(
                tx, AcknowledgementRecord(place=place.name, size=size, receipt=receipt, acknowledged_at=now)
            )

    async def _tell(self) -> None:
        outside = {place.name for place in self._places if place.is_outside}
        async with self._database.read() as tx:
            known = await audit_tree.acknowledgements(tx)
            sizes = [record.size for name, record in known.items() if name in outside]
            self._oldest_at = await audit_tree.oldest_uncovered_at(tx, max(sizes, default=0))

    def _oldest_age_seconds(self) -> float:
        """It grows while the database, which would tell of a later one, does not answer."""
        return 0.0 if self._oldest_at is None else max(0.0, (self._clock.now() - self._oldest_at).total_seconds())
