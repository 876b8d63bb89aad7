"""Topics that are paused for their rate of dead letters: one row for each topic that ever was."""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import select, update

from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.inserts import replace_all
from rtcc_bridge.storage.tables import topic_pauses


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicPause:
    """One row. ends_at: when the topic is tried again by itself."""

    topic: str
    paused_at: datetime
    ends_at: datetime
    reason: str
    resume_requested_at: datetime | None = None

    def is_in_force(self, now: datetime) -> bool:
        return self.resume_requested_at is None and now < self.ends_at


async def put(tx: Transaction, pause: TopicPause) -> None:
    """Writes the topic's pause instead of an earlier one, also when two processes pause it at the same moment."""
    await replace_all(tx, topic_pauses, [asdict(pause)])


async def of_topics(tx: Transaction, topics: Collection[str]) -> dict[str, TopicPause]:
    """The last pause of each of these topics that ever had one."""
    rows = (await tx.execute(select(topic_pauses).where(topic_pauses.c.topic.in_(topics)))).mappings()
    return {row["topic"]: TopicPause(**row) for row in rows}


async def every(tx: Transaction) -> list[TopicPause]:
    """The last pause of every topic that ever had one, by topic."""
    rows = (await tx.execute(select(topic_pauses).order_by(topic_pauses.c.topic))).mappings()
    return [TopicPause(**row) for row in rows]


async def request_resumption(tx: Transaction, topic: str, at: datetime) -> bool:
    """Ends the topic's pause; says whether there was one in force."""
    statement = update(topic_pauses).where(
        topic_pauses.c.topic == topic, topic_pauses.c.resume_requested_at.is_(None), topic_pauses.c.ends_at > at
    )
    return (await tx.execute(statement.values(resume_requested_at=at))).rowcount == 1
