"""How far the readers of a topic have come, and what of that is in the ledger of receivers (P19)."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import TypeAlias

from sqlalchemy import select

from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.inserts import insert_if_absent, replace_all
from rtcc_bridge.storage.slices import padded
from rtcc_bridge.storage.tables import topic_readers

Place: TypeAlias = tuple[str, int]
"""A topic and one of its partitions."""


async def entered(tx: Transaction, reader: str, topics: Collection[str]) -> Mapping[Place, int]:
    """For each partition the offset up to which the reader's events are in the ledger."""
    table = topic_readers
    query = select(table).where(table.c.reader == reader, table.c.topic.in_(padded(topics)))
    return {(row["topic"], row["partition"]): row["offset"] for row in (await tx.execute(query)).mappings()}


async def of_topic(tx: Transaction, topic: str) -> Mapping[tuple[str, int], int]:
    """For each reader of the topic and partition the offset up to which its events are in the ledger."""
    table = topic_readers
    rows = (await tx.execute(select(table).where(table.c.topic == topic))).mappings()
    return {(row["reader"], row["partition"]): row["offset"] for row in rows}


async def begin(tx: Transaction, reader: str, place: Place, at: datetime) -> bool:
    """Lets the reader stand at the beginning of the partition, unless it stands there or further; says whether."""
    topic, partition = place
    row = {"reader": reader, "topic": topic, "partition": partition, "offset": 0, "moved_at": at}
    return await insert_if_absent(tx, topic_readers, row)


async def move(tx: Transaction, reader: str, place: Place, offset: int, at: datetime) -> None:
    """What lies before the offset is in the ledger from this transaction on."""
    topic, partition = place
    row = {"reader": reader, "topic": topic, "partition": partition, "offset": offset, "moved_at": at}
    await replace_all(tx, topic_readers, [row])
