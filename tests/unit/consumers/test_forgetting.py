"""Events are remembered as long as a topic may deliver them again, and no longer."""

import pytest

from rtcc_bridge.consumers.forgetting import EventForgetter
from rtcc_bridge.errors import TransientError
from rtcc_bridge.storage import input_events
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.input_events import Identity, InputEvent
from tests.doubles import ManualClock

SOURCE = "urn:dispatch"


async def note(database: Database, clock: ManualClock, *event_ids: str) -> None:
    notes = [InputEvent(SOURCE, event_id, "rtcc.incidents", "0" * 64, clock.now()) for event_id in event_ids]
    async with database.write() as tx:
        await input_events.note(tx, notes)


async def noted(database: Database, *event_ids: str) -> dict[Identity, str | None]:
    async with database.read() as tx:
        return await input_events.noted(tx, [(SOURCE, event_id) for event_id in event_ids])


async def test_a_note_is_found_again_with_what_was_said(database: Database, clock: ManualClock) -> None:
    await note(database, clock, "1", "2")
    assert await noted(database, "2", "3") == {(SOURCE, "2"): "0" * 64}


async def test_an_event_that_another_transaction_noted_makes_this_one_start_anew(
    database: Database, clock: ManualClock
) -> None:
    await note(database, clock, "1")
    with pytest.raises(TransientError):
        await note(database, clock, "0", "1", "2")
    assert await noted(database, "0", "2") == {}


async def test_only_what_is_old_enough_is_forgotten(database: Database, clock: ManualClock) -> None:
    forgetter = EventForgetter(database, clock, keep_hours=24)
    await note(database, clock, *(f"old-{number}" for number in range(1500)))
    clock.advance(23 * 3600)
    await note(database, clock, "young")
    assert await forgetter.forget() == 0
    clock.advance(2 * 3600)
    assert await forgetter.forget() == 1500
    assert set(await noted(database, "young", "old-7")) == {(SOURCE, "young")}
