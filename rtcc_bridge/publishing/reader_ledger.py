"""Enters in the ledger of receivers who has had the leads of a topic, and how far each of them has read (P19)."""

from collections.abc import Mapping, Sequence

import structlog

from rtcc_bridge.broker.reader_groups import Committed
from rtcc_bridge.clock import Clock
from rtcc_bridge.storage import lead_event_offsets, outside_receivers, topic_readers
from rtcc_bridge.storage.engine import Database, Transaction
from rtcc_bridge.storage.lead_event_offsets import LeadEventOffset
from rtcc_bridge.storage.locks import SoleRight
from rtcc_bridge.storage.topic_readers import Place

EVENTS_AT_ONCE = 500
"""Events that one transaction enters."""

_log = structlog.get_logger(__name__)


class ReaderLedger:
    """Doing it in two processes at once would do no harm."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._had: dict[tuple[str, Place], int] = {}

    async def read_up_to(self, reader: str, committed: Committed) -> None:
        """The reader has had what lies before these offsets, and knows which leads end there. Commits, several times.

        Raises UnavailableError, and TransientError where another process entered the same at the same moment.
        """
        async with self._database.read() as tx:
            entered = await topic_readers.entered(tx, reader, {topic for topic, _ in committed})
        for place, offset in committed.items():
            before = entered.get(place)
            if before is None:
                _log.info("a system reads the topic of leads", reader=reader, topic=place[0], partition=place[1])
            while before is None or before < offset:
                moved = await self._read_some(reader, place, before or 0, offset)
                if moved == before:
                    break
                before = moved

    async def may_have_had_all(self, reader: str, topic: str, ends: Mapping[int, int], right: SoleRight) -> None:
        """The reader may read the topic, so all of its leads count as received. Commits, and raises, as above.

        ends: by partition the offset of the last event. Where it has come to is remembered here, so that each call but
        the first costs what was published since the one before. right: confirmed before each transaction.
        """
        for partition, last in ends.items():
            place = (topic, partition)
            reached = self._had.get((reader, place), 0)
            if reached > last + 1:
                reached = 0
            while reached <= last:
                await right.confirm()
                reached = await self._have_some(reader, place, reached, last + 1)
                self._had[reader, place] = reached

    async def _have_some(self, reader: str, place: Place, first: int, end: int) -> int:
        """One transaction. Returns the offset up to which the leads are in the ledger."""
        async with self._database.write() as tx:
            now = self._clock.now()
            if await topic_readers.begin(tx, reader, place, now):
                first = 0  # a reader that is new, or a topic that was made anew
            events = await lead_event_offsets.between(tx, *place, first, end, EVENTS_AT_ONCE)
            if had := {one.lead_id for one in events}:
                await outside_receivers.enter_system(tx, reader, had, now)
        return _reached(events, end)

    async def _read_some(self, reader: str, place: Place, first: int, end: int) -> int:
        """One transaction. Returns the offset that the ledger has come to.

        It comes no further than to the last event that is noted here: what a reader has read already may be noted as
        published a moment later.
        """
        async with self._database.write() as tx:
            last = await lead_event_offsets.last_offset(tx, *place)
            end = min(end, 0 if last is None else last + 1)
            start = first if first <= end else 0  # the mark was of a topic that was made anew since it was read
            events = await lead_event_offsets.between(tx, *place, start, end, EVENTS_AT_ONCE)
            reached = _reached(events, end)
            await self._note(tx, reader, events)
            await topic_readers.move(tx, reader, place, reached, self._clock.now())
        return reached

    async def _note(self, tx: Transaction, reader: str, events: Sequence[LeadEventOffset]) -> None:
        now = self._clock.now()
        had = {one.lead_id for one in events}
        ended = {one.lead_id for one in events if one.ends}
        if had:
            await outside_receivers.enter_system(tx, reader, had, now)
        if ended:
            await outside_receivers.system_knows(tx, reader, ended, now)


def _reached(events: Sequence[LeadEventOffset], end: int) -> int:
    return events[-1].offset + 1 if len(events) == EVENTS_AT_ONCE else end
