"""Events are remembered as long as a topic may deliver them again, and no longer."""

import pytest

from rtcc_bridge.consumers.forgetting import EventForgetter
from rtcc_bridge.errors import InvalidInputError
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.input_events import first_time
from tests.doubles import ManualClock


async def note(database: Database, event_id: str, clock: ManualClock, value_sha256: str = "0" * 64) -> bool:
    async with database.write() as tx:
        return await first_time(tx, "urn:dispatch", event_id, "rtcc.incidents", value_sha256, clock.now())


async def test_an_id_that_is_used_again_for_something_else_is_refused(database: Database, clock: ManualClock) -> None:
    assert await note(database, "1", clock)
    assert not await note(database, "1", clock)
    with pytest.raises(InvalidInputError) as raised:
        await note(database, "1", clock, "f" * 64)
    assert raised.value.reason == "identity_reused"


async def test_only_what_is_old_enough_is_forgotten(database: Database, clock: ManualClock) -> None:
    forgetter = EventForgetter(database, clock, keep_hours=24)
    for number in range(1500):
        await note(database, f"old-{number}", clock)
    clock.advance(23 * 3600)
    await note(database, "young", clock)
    assert await forgetter.forget() == 0
    clock.advance(2 * 3600)
    assert await forgetter.forget() == 1500
    assert not await note(database, "young", clock)
    assert await note(database, "old-7", clock)
