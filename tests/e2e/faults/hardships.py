"""A full disk, a clock that jumps, a process that freezes and wakes up."""

import asyncio
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import asyncpg

from tests.e2e.faults.disks import fill_disk
from tests.e2e.faults.plant import Plant
from tests.e2e.faults.readers import DatabaseReader
from tests.e2e.faults.replica import Replica


async def fill_database_disk(plant: Plant, reader: DatabaseReader, seconds: float) -> int:
    """As `fill_disk`. A database server that ended for want of space is started again, as its operator would."""
    done = await fill_disk(plant.postgres.folder, seconds)
    try:
        await reader.number("SELECT 1")
    except (OSError, asyncpg.PostgresError):
        await asyncio.to_thread(plant.postgres.stop)
        await asyncio.to_thread(plant.postgres.start)
    return done


async def fill_broker_disk(plant: Plant, seconds: float) -> int:
    """As `fill_disk`, for the first broker, which gives up then, and is started again as its operator would do."""
    done = await fill_disk(plant.kafka.folder_of(1), seconds)
    await plant.kafka.restart(1)
    return done


async def jump_clocks(replicas: Sequence[Replica], by_seconds: float, seconds: float) -> int:
    """The wall clock of these processes is wrong for a while, and then right again."""
    for replica in replicas:
        replica.clock.write_text(str(by_seconds), encoding="utf-8")
    await asyncio.sleep(seconds)
    for replica in replicas:
        replica.clock.unlink()
    return len(replicas)


@contextmanager
def standing_still(replica: Replica) -> Iterator[None]:
    """The process stands still, with everything that it holds, and then goes on where it stood."""
    replica.send(signal.SIGSTOP)
    try:
        yield
    finally:
        replica.send(signal.SIGCONT)
