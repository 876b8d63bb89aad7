"""The reconciler: requests what has no outcome, with growing pauses, as long as the authority lasts."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from rtcc_bridge.errors import UnavailableError
from rtcc_bridge.probes.reconciler import Reconciler
from rtcc_bridge.settings import LeadSettings
from rtcc_bridge.storage import tables
from rtcc_bridge.storage.locks import SoleRight
from rtcc_bridge.storage.probes import ProbeRecord
from tests.probe_kit import Gallery, ProbeKit, face_search, record_of, search_handler


async def test_a_probe_without_outcome_is_requested_again_with_growing_pauses(kit: ProbeKit) -> None:
    probe = await kit.authorized()
    elapsed = []
    for second in range(0, 3000, 10):
        if await kit.reconciler.request_unanswered():
            elapsed.append(second)
        kit.clock.advance(10)
    pauses = [later - earlier for earlier, later in zip([0, *elapsed], elapsed, strict=False)]
    assert pauses == [40, 70, 130, 250, 490, 970, 970]
    requests = await kit.requests()
    assert len(requests) == 1 + len(elapsed)
    assert {row["key"] for row in requests} == {probe.probe_id}
    assert len({row["event_id"] for row in requests}) == len(requests)
    assert (await kit.desk.find(probe.probe_id)).requests == len(requests)


async def test_a_request_of_a_clock_that_was_set_back_is_made_again_at_once(kit: ProbeKit) -> None:
    await kit.authorized()
    kit.clock.advance(-3600)
    assert await kit.reconciler.request_unanswered() == 1
    assert await kit.reconciler.request_unanswered() == 0
    assert len(await kit.requests()) == 2


async def test_a_probe_with_an_outcome_is_left_alone(kit: ProbeKit) -> None:
    await kit.authorized()
    search = face_search(Gallery())
    async with search.batcher:
        await search_handler(kit, search).handle(record_of((await kit.requests())[0]))
    kit.clock.advance(3600)
    assert await kit.reconciler.request_unanswered() == 0


async def test_probes_that_wait_for_a_person_are_left_alone(kit: ProbeKit) -> None:
    await kit.attached()
    await kit.chosen()
    kit.clock.advance(3600)
    assert await kit.reconciler.request_unanswered() == 0
    assert await kit.requests() == []


async def test_two_reconcilers_request_once(kit: ProbeKit) -> None:
    await kit.authorized()
    kit.clock.advance(31)
    other = Reconciler(kit.parts, LeadSettings(), kit.provisional)
    acted = await asyncio.gather(kit.reconciler.request_unanswered(), other.request_unanswered())
    assert sum(acted) == 1
    assert len(await kit.requests()) == 2


async def test_two_reconcilers_lapse_once(kit: ProbeKit) -> None:
    await kit.deferred()
    search = face_search(Gallery())
    async with search.batcher:
        await search_handler(kit, search).handle(record_of((await kit.requests())[0]))
    kit.clock.advance(3600)
    other = Reconciler(kit.parts, LeadSettings(), kit.provisional)
    acted = await asyncio.gather(kit.reconciler.lapse_overdue(), other.lapse_overdue())
    assert sum(acted) == 1
    assert len(await kit.events("lead.approval_lapsed")) == 1


async def test_what_stays_without_outcome_is_counted(kit: ProbeKit) -> None:
    await kit.authorized()
    for _ in range(6):
        assert kit.count("probes_stranded") == 0
        kit.clock.advance(1000)
        await kit.reconciler.request_unanswered()
    await kit.reconciler.request_unanswered()
    assert kit.count("probes_stranded") == 1


async def test_a_request_that_is_still_deferred_keeps_its_lane(kit: ProbeKit) -> None:
    await kit.deferred()
    kit.clock.advance(31)
    await kit.reconciler.sweep()
    assert [row["topic"] for row in await kit.requests()] == ["rtcc-bridge.probes.imminent"] * 2


async def test_leads_without_outcome_expire(kit: ProbeKit) -> None:
    kit.workers.faces = ()
    await kit.attached()
    kit.clock.advance(721 * 3600)
    await kit.reconciler.sweep()
    assert len(await kit.events("lead.expired")) == 1


async def an_ended_incident_with_a_lead(kit: ProbeKit) -> ProbeRecord:
    """As if events had crossed each other: nobody withdrew the lead, nor the probe (returned) that waits beside it."""
    await kit.authorized()
    search = face_search(Gallery())
    async with search.batcher:
        await search_handler(kit, search).handle(record_of((await kit.requests())[0]))
    waiting = await kit.chosen()
    await kit.set_incident("incident-1", status="cancelled")
    return waiting


async def lead_states(kit: ProbeKit) -> list[str]:
    return [row["review_state"] for row in await kit.rows(tables.leads)]


async def test_P08_a_sweep_ends_what_is_left_of_an_ended_incident(kit: ProbeKit) -> None:
    waiting = await an_ended_incident_with_a_lead(kit)
    await kit.reconciler.sweep()
    assert await lead_states(kit) == ["withdrawn"]
    assert (await kit.desk.find(waiting.probe_id)).state == "withdrawn"


class RightAtAMoment(SoleRight):
    """A sole right; something happens as it is confirmed, which is after the look and before the step."""

    def __init__(self, happens: Callable[[], Awaitable[None]]) -> None:
        super().__init__(None)
        self._happens = happens

    async def confirm(self) -> None:
        await self._happens()


async def test_P08_an_incident_that_goes_on_again_in_the_meantime_keeps_its_leads(kit: ProbeKit) -> None:
    waiting = await an_ended_incident_with_a_lead(kit)
    goes_on = RightAtAMoment(lambda: kit.set_incident("incident-1", status="open"))
    assert await kit.reconciler.withdraw_ended(goes_on) == 0
    assert await lead_states(kit) == ["unreviewed"]
    assert (await kit.desk.find(waiting.probe_id)).state == "awaiting_approval"


async def test_a_process_that_lost_the_right_to_sweep_withdraws_nothing(kit: ProbeKit) -> None:
    await an_ended_incident_with_a_lead(kit)

    async def lost() -> None:
        raise UnavailableError("the connection was lost")

    with pytest.raises(UnavailableError):
        await kit.reconciler.withdraw_ended(RightAtAMoment(lost))
    assert await lead_states(kit) == ["unreviewed"]


async def test_one_probe_whose_incident_is_broken_does_not_stop_the_others(kit: ProbeKit) -> None:
    """Its incident was merged into one that nobody knows."""
    broken = await kit.deferred("incident-1")
    sound = await kit.deferred("incident-2")
    await kit.set_incident("incident-1", status="merged", merged_into="unheard-of")
    async with kit.database.write() as tx:
        await tx.execute(tables.threats.update().values(state="cancelled"))
    assert await kit.reconciler.suspend_unfounded() == 1
    assert (await kit.desk.find(broken.probe_id)).state == "authorized"
    assert (await kit.desk.find(sound.probe_id)).state == "awaiting_approval"


async def test_it_goes_on_after_an_outage_of_the_database(kit: ProbeKit, monkeypatch: pytest.MonkeyPatch) -> None:
    await kit.authorized()
    kit.clock.advance(31)
    fast = Reconciler(kit.parts, LeadSettings(reconcile_every_seconds=0.001), kit.provisional)
    outages = 3
    sweep, done = fast.sweep, asyncio.Event()

    async def sometimes(_right: SoleRight) -> None:
        nonlocal outages
        if outages:
            outages -= 1
            raise UnavailableError("the database does not answer")
        await sweep()
        done.set()

    monkeypatch.setattr(fast, "sweep", sometimes)
    task = asyncio.create_task(fast.run())
    await done.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(await kit.requests()) == 2


async def test_an_error_that_nobody_foresaw_ends_it(kit: ProbeKit, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_right: SoleRight) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(kit.reconciler, "sweep", broken)
    with pytest.raises(RuntimeError):
        await kit.reconciler.run()
