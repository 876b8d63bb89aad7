"""When the outbox is too full for further work."""

import pytest

from rtcc_bridge.errors import BusyError
from rtcc_bridge.publishing.backlog import require_room
from rtcc_bridge.publishing.outbox import Outbox, OutgoingEvent
from rtcc_bridge.settings import RelaySettings
from rtcc_bridge.storage import outbox
from rtcc_bridge.storage.engine import Database
from tests.doubles import ManualClock

SETTINGS = RelaySettings(backlog_limit=3, backlog_age_limit_seconds=60)


async def put(database: Database, clock: ManualClock, topic: str | None, count: int) -> None:
    event = OutgoingEvent(event_type="test", topic=topic, key=None, subject=None, data={}, on_feed=topic is None)
    async with database.write() as tx:
        await Outbox(clock).put_all(tx, [event] * count)


async def publish_all(database: Database, clock: ManualClock) -> None:
    async with database.write() as tx:
        waiting = await outbox.unpublished(tx, "leads", 100)
        await outbox.mark_published(tx, [record.id for record in waiting], clock.now())


async def test_there_is_room_until_too_many_wait(database: Database, clock: ManualClock) -> None:
    await require_room(database, SETTINGS, clock.now())
    await put(database, clock, "leads", 3)
    await require_room(database, SETTINGS, clock.now())
    await put(database, clock, "leads", 1)
    with pytest.raises(BusyError, match="More than 3"):
        await require_room(database, SETTINGS, clock.now())
    await publish_all(database, clock)
    await require_room(database, SETTINGS, clock.now())


@pytest.mark.parametrize("topic", ["leads", None])
async def test_there_is_no_room_while_the_oldest_has_waited_too_long(
    database: Database, clock: ManualClock, topic: str | None
) -> None:
    """Without a topic an event waits for its place on the feed: then no relay works at all."""
    await put(database, clock, topic, 1)
    clock.advance(60)
    await put(database, clock, topic, 1)
    await require_room(database, SETTINGS, clock.now())
    clock.advance(1)
    with pytest.raises(BusyError, match="61 s"):
        await require_room(database, SETTINGS, clock.now())
