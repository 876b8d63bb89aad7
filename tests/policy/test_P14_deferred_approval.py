"""P14: an imminent threat lets the approval follow, by the threat's own fields alone, within the hour or not at all."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from rtcc_bridge.errors import PolicyRefusalError
from rtcc_bridge.storage import tables
from tests.life_kit import FIRST, LifeKit
from tests.probe_kit import (
    ANALYST,
    OTHER_SUPERVISOR,
    SUPERVISOR,
    Gallery,
    ProbeKit,
    face_search,
    form,
    record_of,
    search_handler,
    upload,
)


async def search_all(kit: ProbeKit, gallery: Gallery | None = None) -> None:
    search = face_search(gallery or Gallery())
    async with search.batcher:
        handler = search_handler(kit, search)
        for row in await kit.requests():
            await handler.handle(record_of(row))


async def test_an_imminent_threat_gives_authority_before_the_approval(kit: ProbeKit) -> None:
    probe = await kit.deferred()
    assert (probe.lane, probe.approval) == ("imminent", "pending")
    assert probe.approve_by == kit.clock.now() + timedelta(minutes=60)
    assert probe.authority_at == kit.clock.now()
    (request,) = await kit.requests()
    assert request["topic"] == "rtcc-bridge.probes.imminent"
    assert request["urgent"]
    await search_all(kit)
    (lead,) = await kit.events("lead.no_candidate")
    assert lead["approval"]["state"] == "pending"


@pytest.mark.parametrize(
    "changes",
    [
        {"imminent": False},
        {"state": "superseded"},
        {"state": "cancelled"},
        {"exercise": True},
        {"sender": "urn:somebody-else"},
        {"expires_at": None},
    ],
    ids=str,
)
async def test_nothing_but_an_active_imminent_threat_defers_the_approval(
    kit: ProbeKit, changes: dict[str, Any]
) -> None:
    await kit.incident()
    await kit.threat(**changes)
    probe = await kit.chosen()
    assert (probe.state, probe.lane, probe.approve_by) == ("awaiting_approval", "routine", None)


async def test_a_threat_of_another_incident_defers_nothing(kit: ProbeKit) -> None:
    await kit.incident("other")
    await kit.threat("other")
    assert (await kit.chosen("incident-1")).state == "awaiting_approval"


async def test_an_expired_threat_defers_nothing(kit: ProbeKit) -> None:
    await kit.incident()
    await kit.threat()
    kit.clock.advance(2 * 3600)
    assert (await kit.chosen()).state == "awaiting_approval"


async def test_the_purpose_does_not_make_a_search_imminent(kit: ProbeKit) -> None:
    await kit.incident(incident_type="HOSTAGE", priority=0)
    probe = await kit.desk.attach("incident-1", form(purpose="imminent_threat"), ANALYST, upload())
    chosen = await kit.desk.choose_face(probe.probe_id, 1, ANALYST)
    assert (chosen.lane, chosen.state) == ("routine", "awaiting_approval")


async def test_expiry_between_attaching_and_choosing_ends_the_deferral_but_not_the_lane(kit: ProbeKit) -> None:
    await kit.incident()
    await kit.threat()
    probe = await kit.attached()
    kit.clock.advance(2 * 3600)
    chosen = await kit.desk.choose_face(probe.probe_id, 1, ANALYST)
    assert (chosen.state, chosen.lane) == ("awaiting_approval", "imminent")
    assert await kit.requests() == []


async def test_expiry_before_the_search_sends_it_to_the_supervisor(kit: ProbeKit) -> None:
    await kit.incident()
    await kit.threat(expires_at=kit.clock.now() + timedelta(minutes=5))
    probe = await kit.chosen()
    kit.clock.advance(300)
    gallery = Gallery()
    await search_all(kit, gallery)
    assert gallery.seen == []
    await kit.reconciler.sweep()
    suspended = await kit.desk.find(probe.probe_id)
    assert (suspended.state, suspended.approval, suspended.approve_by) == ("awaiting_approval", "pending", None)
    assert (await kit.desk.approve(probe.probe_id, SUPERVISOR)).state == "authorized"


async def test_expiry_after_the_search_takes_nothing_away(kit: ProbeKit) -> None:
    await kit.incident()
    await kit.threat(expires_at=kit.clock.now() + timedelta(minutes=5))
    probe = await kit.chosen()
    await search_all(kit)
    kit.clock.advance(600)
    await kit.reconciler.sweep()
    assert (await kit.desk.find(probe.probe_id)).state == "searched"
    assert await kit.events("lead.withdrawn") == []


async def test_an_approval_in_time_settles_it(kit: ProbeKit) -> None:
    probe = await kit.deferred()
    await search_all(kit)
    kit.clock.advance(59 * 60)
    approved = await kit.desk.approve(probe.probe_id, SUPERVISOR)
    assert (approved.state, approved.approval) == ("searched", "granted")
    assert len(await kit.requests()) == 1, "it was searched already"
    (lead,) = await kit.rows(tables.leads)
    assert lead["data"]["approval"]["state"] == "granted"
    kit.clock.advance(3600)
    await kit.reconciler.sweep()
    assert (await kit.desk.find(probe.probe_id)).state == "searched"


async def test_without_approval_the_lead_is_withdrawn_by_itself(kit: ProbeKit) -> None:
    probe = await kit.deferred()
    await search_all(kit)
    kit.clock.advance(3599)
    assert await kit.reconciler.lapse_overdue() == 0
    kit.clock.advance(1)
    await kit.reconciler.sweep()
    lapsed = await kit.desk.find(probe.probe_id)
    assert (lapsed.state, lapsed.approval) == ("withdrawn", "lapsed")
    (event,) = await kit.events("lead.approval_lapsed")
    assert event["reviewState"] == "withdrawn"
    assert event["candidates"] == []
    assert len(await kit.audited("probe.approval_lapsed")) == 1
    assert await kit.reconciler.lapse_overdue() == 0


async def test_a_search_that_never_ran_lapses_too(kit: ProbeKit) -> None:
    probe = await kit.deferred()
    kit.clock.advance(3600)
    gallery = Gallery()
    await search_all(kit, gallery)
    assert gallery.seen == []
    await kit.reconciler.sweep()
    assert (await kit.desk.find(probe.probe_id)).state == "withdrawn"
    assert await kit.rows(tables.leads) == []


async def test_an_approval_that_comes_too_late_is_none(kit: ProbeKit) -> None:
    """The reconciler has not come round yet."""
    probe = await kit.deferred()
    await search_all(kit)
    kit.clock.advance(3600)
    with pytest.raises(PolicyRefusalError) as refused:
        await kit.desk.approve(probe.probe_id, SUPERVISOR)
    assert refused.value.rule == "P14"
    await kit.reconciler.sweep()
    assert len(await kit.events("lead.approval_lapsed")) == 1


async def test_without_it_nobody_uses_the_lead_after_the_hour(life: LifeKit) -> None:
    """The reconciler has not come round yet."""
    taken, waiting = await life.taken(imminent=True), await life.lead(imminent=True, incident_id="incident-2")
    life.kit.clock.advance(3599)
    await life.life.examination.view(taken, FIRST)
    life.kit.clock.advance(1)
    for use in (life.life.examination.view(taken, FIRST), life.leads.acknowledge(waiting, FIRST)):
        with pytest.raises(PolicyRefusalError) as refused:
            await use
        assert refused.value.rule == "P14"


async def test_a_supervisor_who_refuses_withdraws_the_lead(kit: ProbeKit) -> None:
    probe = await kit.deferred()
    await search_all(kit)
    refused = await kit.desk.refuse(probe.probe_id, SUPERVISOR, "not necessary")
    assert (refused.state, refused.approval) == ("refused", "refused")
    (event,) = await kit.events("lead.withdrawn")
    assert event["withdrawal"] == {"cause": "approval_refused"}
    kit.clock.advance(3600)
    assert await kit.reconciler.lapse_overdue() == 0


async def test_two_lapses_end_the_deferral_for_that_analyst(kit: ProbeKit) -> None:
    for number in (1, 2):
        await kit.deferred(f"incident-{number}")
        kit.clock.advance(3600)
        await kit.reconciler.sweep()
    await kit.incident("incident-3")
    await kit.threat("incident-3")
    probe = await kit.chosen("incident-3")
    assert (probe.state, probe.lane) == ("awaiting_approval", "imminent")
    assert (await kit.desk.approve(probe.probe_id, OTHER_SUPERVISOR)).state == "authorized"


async def test_one_lapse_does_not(kit: ProbeKit) -> None:
    await kit.deferred("incident-1")
    kit.clock.advance(3600)
    await kit.reconciler.sweep()
    assert (await kit.deferred("incident-2")).state == "authorized"


async def test_outstanding_approvals_count_as_if_they_had_lapsed(kit: ProbeKit) -> None:
    """Or an analyst could begin any number of searches within the hour before the first lapse."""
    first = await kit.deferred("incident-1")
    assert (await kit.chosen("incident-1")).state == "authorized"
    third = await kit.chosen("incident-1")
    assert (third.state, third.approve_by) == ("awaiting_approval", None)
    await kit.desk.approve(first.probe_id, SUPERVISOR)
    assert (await kit.chosen("incident-1")).state == "authorized"


async def test_of_two_choices_at_once_one_counts_the_other(kit: ProbeKit) -> None:
    await kit.deferred("incident-1")
    waiting = [await kit.attached("incident-1") for _ in range(2)]
    chosen = await asyncio.gather(*(kit.desk.choose_face(probe.probe_id, 1, ANALYST) for probe in waiting))
    assert sorted(probe.state for probe in chosen) == ["authorized", "awaiting_approval"]


async def test_a_search_withdrawn_without_its_approval_counts_too(kit: ProbeKit) -> None:
    for incident_id in ("incident-1", "incident-2"):
        await kit.deferred(incident_id)
        async with kit.database.write() as tx:
            await kit.approvals.withdraw_for_incident(tx, incident_id, "the incident is cancelled")
    await kit.incident("incident-3")
    await kit.threat("incident-3")
    assert (await kit.chosen("incident-3")).state == "awaiting_approval"


async def test_a_threat_that_comes_later_speeds_the_approved_search_up(kit: ProbeKit) -> None:
    probe = await kit.chosen()
    await kit.threat()
    approved = await kit.desk.approve(probe.probe_id, SUPERVISOR)
    assert approved.lane == "imminent"
    (request,) = await kit.requests()
    assert request["topic"] == "rtcc-bridge.probes.imminent"
