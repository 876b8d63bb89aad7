"""Who reads the leads' topics outside this program, out of what the broker knows of them (P19).

A system that reads a topic commits how far it has come under the name of its consumer group. Whatever lies before that
it has had, so it is in the ledger of that lead's receivers; when it has come past the lead's end, it knows of that.
"""

import hashlib
from typing import Final, NoReturn

from rtcc_bridge.broker.reader_groups import reader_groups
from rtcc_bridge.clock import Clock
from rtcc_bridge.periodic import periodically
from rtcc_bridge.publishing.reader_ledger import ReaderLedger
from rtcc_bridge.settings import KafkaSettings
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.locks import SoleRight, Work, alone

_EVERY_SECONDS: Final = 30.0
GROUPS_AT_ONCE: Final = 100
"""Groups of the whole cluster that one look asks about; the next one goes on behind them."""
_LONGEST_NAME: Final = 256
_BY_RIGHT: Final = "by right: "


class TopicReaderWatch:
    """Enters the readers in the ledger. One process at a time does; twice would do no harm."""

    def __init__(self, database: Database, kafka: KafkaSettings, clock: Clock) -> None:
        self._database = database
        self._kafka = kafka
        self._ledger = ReaderLedger(database, clock)
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
            await self._ledger.read_up_to(name_of(group), committed)
        return found.last is not None

    async def _in_turn(self) -> None:
        await alone(self._database, Work.TOPIC_READERS, self.look)


def name_of(group: str) -> str:
    """The group as the ledger calls it. What is longer than a column, or would pass for a principal, gets a digest."""
    return _told_apart(group) if group.startswith(_BY_RIGHT) else _fitting(group)


def name_of_principal(principal: str) -> str:
    """Somebody whom the broker lets read, as the ledger calls them: no group has such a name there."""
    return _fitting(f"{_BY_RIGHT}{principal}")


def _fitting(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else _told_apart(name)


def _told_apart(name: str) -> str:
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    return f"{name[: _LONGEST_NAME - len(digest) - 1]}~{digest}"
