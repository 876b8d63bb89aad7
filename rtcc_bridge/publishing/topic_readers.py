"""Who reads the leads' topics outside this program, out of what the broker knows of them (P19).

A system that reads a topic commits how far it has come under the name of its consumer group. Whatever lies before that
it has had, so it is in the ledger of that lead's receivers; when it has come past the lead's end, it knows of that.
"""

import hashlib
from collections.abc import Sequence
from typing import Final, NoReturn

import structlog

from rtcc_bridge.broker.reader_groups import Committed, reader_groups
from rtcc_bridge.clock import Clock
from rtcc_bridge.periodic import periodically
from rtcc_bridge.settings import KafkaSettings
from rtcc_bridge.storage import lead_event_offsets, outside_receivers, topic_readers
from rtcc_bridge.storage.engine import Database, Transaction
from rtcc_bridge.storage.lead_event_offsets import LeadEventOffset
from rtcc_bridge.storage.locks import SoleRight, Work, alone
from rtcc_bridge.storage.topic_readers import Place

_EVERY_SECONDS: Final = 30.0
GROUPS_AT_ONCE: Final = 100
"""Groups of the whole cluster that one look asks about; the next one goes on behind them."""
EVENTS_AT_ONCE: Final = 500
"""Events that one transaction enters."""
_LONGEST_NAME: Final = 256

_log = structlog.get_logger(__name__)


class TopicReaderWatch:
    """Enters the readers in the ledger. One process at a time does; twice would do no harm."""

    def __init__(self, database: Database, kafka: KafkaSettings, clock: Clock) -> None:
        self._database = database
        self._kafka = kafka
        self._clock = clock
        self._topics = (kafka.topics.leads, kafka.topics.leads_exercise)
        self._after = ""

    async def run(self) -> NoReturn:
        """Looks now and then, until it is cancelled. An outage, of the broker too, is told once and waited for."""
        await periodically("asking who reads the topics of leads", self._in_turn, every_seconds=_EVERY_SECONDS)

    async def look(self, right: SoleRight) -> bool:
        """Says whether there are groups left for the next look.

        Raises UnavailableError, and TransientError where another process entered the same at the same moment.
        """
        found = await reader_groups(self._kafka, self._topics, self._after, GROUPS_AT_ONCE)
        self._after = found.last or ""
        for group, committed in found.found.items():
            await right.confirm()
            await self._enter(name_of(group), committed)
        return found.last is not None

    async def _in_turn(self) -> None:
        await alone(self._database, Work.TOPIC_READERS, self.look)

    async def _enter(self, reader: str, committed: Committed) -> None:
        async with self._database.read() as tx:
            entered = await topic_readers.entered(tx, reader, self._topics)
        for place, offset in committed.items():
            before = entered.get(place)
            if before is None:
                _log.info("a system reads the topic of leads", reader=reader, topic=place[0], partition=place[1])
            while before is None or before < offset:
                moved = await self._enter_some(reader, place, before or 0, offset)
                if moved == before:
                    break
                before = moved

    async def _enter_some(self, reader: str, place: Place, first: int, end: int) -> int:
        """One transaction. Returns the offset that the ledger has come to.

        It comes no further than to the last event that is noted here: what a reader has read already may be noted as
        published a moment later.
        """
        async with self._database.write() as tx:
            last = await lead_event_offsets.last_offset(tx, *place)
            end = min(end, 0 if last is None else last + 1)
            start = first if first <= end else 0  # the mark was of a topic that was made anew since it was read
            events = await lead_event_offsets.between(tx, *place, start, end, EVENTS_AT_ONCE)
            reached = events[-1].offset + 1 if len(events) == EVENTS_AT_ONCE else end
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


def name_of(group: str) -> str:
    """The group as the ledger calls it: a name that is longer than a column keeps its beginning, and a digest."""
    if len(group) <= _LONGEST_NAME:
        return group
    digest = hashlib.sha256(group.encode()).hexdigest()[:16]
    return f"{group[: _LONGEST_NAME - len(digest) - 1]}~{digest}"
