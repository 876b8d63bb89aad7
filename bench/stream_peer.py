"""The raw loop that the stream is compared with: consume with aiokafka, insert each record, commit each poll.

    python -m bench.stream_peer BOOTSTRAP TOPIC DATABASE_URL

One INSERT for each record through the same SQLAlchemy engine and pragmas as the program, one database transaction and
one offset commit for each poll of at most as many records as the program takes in one batch. It writes `ready` and then
a JSON line for each poll: how many records are committed by then, when (monotonic clock), and the age in seconds of
each of this poll's records, by its timestamp.
"""

import asyncio
import json
import sys
import time

from aiokafka import AIOKafkaConsumer
from pydantic import SecretStr
from sqlalchemy import Column, Integer, LargeBinary, MetaData, String, Table, insert

from rtcc_bridge.settings import DatabaseSettings, KafkaSettings
from rtcc_bridge.storage.engine import Database

metadata = MetaData()
records = Table(
    "raw_records",
    metadata,
    Column("topic", String(249), primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("place", Integer, primary_key=True),
    Column("value", LargeBinary, nullable=False),
)


async def consume(bootstrap: str, topic: str, url: str) -> None:
    database = Database(DatabaseSettings(url=SecretStr(url)))
    async with database.write() as tx:
        await tx.run_sync(metadata.create_all)
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap,
        group_id="raw-peer",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=6000,
        fetch_max_wait_ms=200,
    )
    await consumer.start()
    while not consumer.assignment():  # noqa: ASYNC110 - aiokafka has no event for it
        await asyncio.sleep(0.05)
    print("ready", flush=True)
    done = 0
    while True:
        polled = await consumer.getmany(timeout_ms=200, max_records=KafkaSettings().window)
        batch = [record for records_of_one in polled.values() for record in records_of_one]
        if not batch:
            continue
        async with database.write() as tx:
            for record in batch:
                values = {"topic": topic, "partition": record.partition, "place": record.offset, "value": record.value}
                await tx.execute(insert(records).values(values))
        await consumer.commit()
        done += len(batch)
        now = time.time()
        ages = [round(now - record.timestamp / 1000, 4) for record in batch]
        print(json.dumps({"done": done, "at": time.monotonic(), "ages": ages}), flush=True)


if __name__ == "__main__":
    asyncio.run(consume(*sys.argv[1:]))
