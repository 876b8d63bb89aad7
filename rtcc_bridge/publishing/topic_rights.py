"""Who may read the leads' topics: by that they count as receivers of each lead, whether they commit or not (P19).

What a reader that never commits has taken is seen by no broker, but whom it lets read is on its list. So each of these
stands in the ledger for all that lies on the topic, and knows of an end when a group that they may read in has come
past it. That errs on the side of too many, and whoever does not read is asked for until their right is taken away.
"""

from collections.abc import Collection, Mapping
from typing import Final, NoReturn

import structlog

from rtcc_bridge.broker.reading_rights import GroupPattern, readers_by_right
from rtcc_bridge.clock import Clock
from rtcc_bridge.periodic import periodically
from rtcc_bridge.publishing.reader_ledger import ReaderLedger
from rtcc_bridge.publishing.topic_readers import name_of_principal
from rtcc_bridge.settings import KafkaSettings
from rtcc_bridge.storage import lead_event_offsets, topic_readers
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.locks import SoleRight, Work, alone

_EVERY_SECONDS: Final = 30.0

_log = structlog.get_logger(__name__)


class TopicRightsWatch:
    """Enters them in the ledger. One process at a time does; twice would do no harm."""

    def __init__(self, database: Database, kafka: KafkaSettings, clock: Clock) -> None:
        self._database = database
        self._kafka = kafka
        self._ledger = ReaderLedger(database, clock)
        self._topics = (kafka.topics.leads, kafka.topics.leads_exercise)
        self._said = False

    async def run(self) -> NoReturn:
        """Looks now and then, until it is cancelled. An outage, of the broker too, is told once and waited for."""
        await periodically("asking who may read the topics of leads", self._in_turn, every_seconds=_EVERY_SECONDS)

    async def look(self, right: SoleRight) -> None:
        """Raises UnavailableError, and TransientError where another process entered the same at the same moment."""
        for topic in self._topics:
            found = await readers_by_right(self._kafka, topic)
            if found is None:
                self._say_that_anybody_reads()
                return
            for principal in sorted(found.keys() - set(self._kafka.operators)):
                await self._enter(name_of_principal(principal), found[principal], topic, right)

    async def _in_turn(self) -> None:
        await alone(self._database, Work.TOPIC_RIGHTS, self.look)

    async def _enter(self, reader: str, groups: Collection[GroupPattern], topic: str, right: SoleRight) -> None:
        async with self._database.read() as tx:
            ends = await lead_event_offsets.last_offsets(tx, topic)
            marks = await topic_readers.of_topic(tx, topic)
        await self._ledger.may_have_had_all(reader, topic, ends, right)
        committed = _furthest(marks, groups)
        await self._ledger.read_up_to(reader, {(topic, partition): offset for partition, offset in committed.items()})

    def _say_that_anybody_reads(self) -> None:
        if not self._said:
            _log.warning("the broker has no list of rights: of who reads leads, those who commit alone are known (P19)")
        self._said = True


def _furthest(marks: Mapping[tuple[str, int], int], groups: Collection[GroupPattern]) -> Mapping[int, int]:
    """By partition the furthest offset of the groups that fit."""
    found: dict[int, int] = {}
    for (reader, partition), offset in marks.items():
        if any(pattern.fits(reader) for pattern in groups):
            found[partition] = max(found.get(partition, 0), offset)
    return found
