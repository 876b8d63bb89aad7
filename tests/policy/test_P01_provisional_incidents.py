"""P01: while the feed is down a supervisor may open an incident; it is reconciled within four hours or withdrawn."""

from datetime import timedelta
from typing import Any

import pytest

from rtcc_bridge.errors import ConflictError, InvalidInputError, NotFoundError, PolicyRefusalError
from rtcc_bridge.policy.accounts import Account, Role
from rtcc_bridge.probes.provisional import ProvisionalForm
from rtcc_bridge.storage import input_events, processes, tables
from rtcc_bridge.storage.input_events import InputEvent
from tests.life_kit import FIRST, PEER, REQUESTOR, LifeKit
from tests.probe_kit import (
    SUPERVISOR,
    Gallery,
    ProbeKit,
    face_search,
    record_of,
    search_handler,
)

FORM = ProvisionalForm("HOMICIDE", "dispatch cannot be reached, the suspect is armed")
REPORTED = {"versions": {"incidentId": ["2026-11-26T12:00:00.000000+00:00", 0, "dispatch/1"]}}
"""Of an incident that dispatch has told of."""


async def feed(kit: ProbeKit, *, reading: str | None = None, minutes_ago: int = 0) -> None:
    """A consumer that reports how it is, and an event on the feed."""
    async with kit.database.write() as tx:
        await processes.report(tx, "one", ["consumer"], {"consumer": reading})
        at = kit.clock.now() - timedelta(minutes=minutes_ago)
        await input_events.note(tx, [InputEvent("urn:cad", "1", kit.parts.topics.incidents, "0" * 64, at)])


async def searched_provisionally(kit: ProbeKit) -> str:
    """A provisional incident with a lead and with a search that waits."""
    opened = await kit.provisional.open(FORM, SUPERVISOR)
    await kit.authorized(opened.incident_id)
    search = face_search(Gallery())
    async with search.batcher:
        await search_handler(kit, search).handle(record_of((await kit.requests())[0]))
    await kit.chosen(opened.incident_id)
    return opened.incident_id


async def test_it_can_be_searched_for_as_any_other_and_is_on_the_floor(kit: ProbeKit) -> None:
    opened = await kit.provisional.open(FORM, SUPERVISOR)
    assert opened.reconcile_by == kit.clock.now() + timedelta(hours=4)
    assert (await kit.authorized(opened.incident_id)).state == "authorized"
    (told,) = await kit.events("floor.incident")
    assert (told["incidentId"], told["incidentType"], told["status"]) == (opened.incident_id, "HOMICIDE", "open")
    (entry,) = await kit.audited("incident.open_provisional")
    assert (entry["actor"], entry["outcome"]) == ("supervisor", "opened")
    assert FORM.reason not in str(entry)


@pytest.mark.parametrize(
    ("reading", "minutes_ago", "down"),
    [(None, 0, False), (None, 29, False), (None, 30, True), ("the broker does not answer", 0, True)],
)
async def test_only_while_the_feed_is_down(kit: ProbeKit, reading: str | None, minutes_ago: int, down: bool) -> None:
    await feed(kit, reading=reading, minutes_ago=minutes_ago)
    if down:
        await kit.provisional.open(FORM, SUPERVISOR)
        return
    with pytest.raises(PolicyRefusalError) as refused:
        await kit.provisional.open(FORM, SUPERVISOR)
    assert refused.value.rule == "P01"
    assert await kit.rows(tables.incidents) == []
    (entry,) = await kit.audited("incident.open_provisional")
    assert entry["outcome"] == "refused"


@pytest.mark.parametrize("role", sorted(set(Role) - {Role.SUPERVISOR}))
async def test_only_a_supervisor_opens_and_reconciles(kit: ProbeKit, role: Role) -> None:
    somebody = Account("somebody", frozenset({role}))
    with pytest.raises(PolicyRefusalError) as refused:
        await kit.provisional.open(FORM, somebody)
    assert refused.value.rule == "P10"
    opened = await kit.provisional.open(FORM, SUPERVISOR)
    await kit.incident("dispatched", **REPORTED)
    with pytest.raises(PolicyRefusalError):
        await kit.provisional.reconcile(opened.incident_id, "dispatched", somebody)
    with pytest.raises(PolicyRefusalError):
        await kit.provisional.waiting(somebody)


async def test_it_needs_a_type_and_a_reason(kit: ProbeKit) -> None:
    for form in (ProvisionalForm("", "because"), ProvisionalForm("x" * 65, "because"), ProvisionalForm("SHOOT", " ")):
        with pytest.raises(InvalidInputError):
            await kit.provisional.open(form, SUPERVISOR)
    assert await kit.rows(tables.provisional_incidents) == []


async def test_reconciled_it_goes_on_as_the_incident_of_dispatch(kit: ProbeKit) -> None:
    incident_id = await searched_provisionally(kit)
    await kit.incident("dispatched", **REPORTED)
    kit.clock.advance(4 * 3600 - 1)
    done = await kit.provisional.reconcile(incident_id, "dispatched", SUPERVISOR)
    assert (done.reconciled_with, done.reconciled_by) == ("dispatched", "supervisor")
    assert {row["incident_id"] for row in await kit.rows(tables.probes)} == {"dispatched"}
    kit.clock.advance(3600)
    await kit.reconciler.sweep()
    assert {row["review_state"] for row in await kit.rows(tables.leads)} == {"unreviewed"}
    assert await kit.provisional.waiting(SUPERVISOR) == []
    assert len(await kit.audited("incident.reconcile")) == 1


async def test_without_a_reconciliation_its_searches_and_leads_are_withdrawn(kit: ProbeKit) -> None:
    incident_id = await searched_provisionally(kit)
    kit.clock.advance(4 * 3600 - 1)
    await kit.reconciler.sweep()
    assert [one.incident_id for one in await kit.provisional.waiting(SUPERVISOR)] == [incident_id]
    kit.clock.advance(1)
    await kit.reconciler.sweep()
    await kit.reconciler.sweep()
    (withdrawn,) = await kit.events("lead.withdrawn")
    assert withdrawn["withdrawal"] == {"cause": "authority_ended"}
    assert sorted(row["state"] for row in await kit.rows(tables.probes)) == ["searched", "withdrawn"]
    (row,) = await kit.rows(tables.provisional_incidents)
    assert row["withdrawn_at"] == kit.clock.now()
    assert len(await kit.audited("incident.withdraw_provisional")) == 1
    with pytest.raises(PolicyRefusalError) as refused:
        await kit.attached(incident_id)
    assert refused.value.rule == "P08"


async def test_once_its_time_is_over_it_permits_nothing_although_no_sweep_has_come_to_it(life: LifeKit) -> None:
    """The role that withdraws it may be down; neither its searches nor its leads live on for that."""
    kit = life.kit
    opened = await kit.provisional.open(FORM, SUPERVISOR)
    released = await life.lead(incident_id=opened.incident_id)
    await life.leads.acknowledge(released, FIRST)
    await life.conclude(released, (0,))
    review_id = await life.review(released, PEER, (0,))
    await life.life.release.release(released, FIRST, ())
    untaken = await life.lead(incident_id=opened.incident_id)
    kit.clock.advance(4 * 3600 - 60)
    waiting = await kit.chosen(opened.incident_id)
    authorized = await kit.authorized(opened.incident_id)
    request = (await kit.requests())[-1]
    kit.clock.advance(60)
    search = face_search(Gallery())
    async with search.batcher:
        await search_handler(kit, search).handle(record_of(request))
    assert (await kit.desk.find(authorized.probe_id)).state == "withdrawn"
    for refused in (
        kit.attached(opened.incident_id),
        kit.desk.approve(waiting.probe_id, SUPERVISOR),
        life.leads.acknowledge(untaken, FIRST),
        life.life.examination.view(released, FIRST),
        life.life.review.view(review_id, PEER),
        life.life.release.received(released, REQUESTOR),
    ):
        with pytest.raises(PolicyRefusalError) as caught:
            await refused
        assert caught.value.rule == "P01"


async def test_it_is_reconciled_once_and_in_time(kit: ProbeKit) -> None:
    opened = await kit.provisional.open(FORM, SUPERVISOR)
    late = await kit.provisional.open(FORM, SUPERVISOR)
    await kit.incident("dispatched", **REPORTED)
    await kit.provisional.reconcile(opened.incident_id, "dispatched", SUPERVISOR)
    with pytest.raises(ConflictError):
        await kit.provisional.reconcile(opened.incident_id, "dispatched", SUPERVISOR)
    kit.clock.advance(4 * 3600)
    with pytest.raises(ConflictError):
        await kit.provisional.reconcile(late.incident_id, "dispatched", SUPERVISOR)


async def test_it_is_reconciled_with_what_dispatch_has_told_of_alone(kit: ProbeKit) -> None:
    opened, other = [await kit.provisional.open(FORM, SUPERVISOR) for _ in range(2)]
    await kit.incident("dispatched", **REPORTED)
    for into in ("nobody told of it", other.incident_id, opened.incident_id):
        with pytest.raises(NotFoundError):
            await kit.provisional.reconcile(opened.incident_id, into, SUPERVISOR)
    with pytest.raises(NotFoundError):
        await kit.provisional.reconcile("dispatched", "dispatched", SUPERVISOR)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"status": "cancelled"}, "P08"),
        ({"incident_type": "CIVDIS"}, "P02"),
        ({"refused_type": "CIVDIS"}, "P02"),
        ({"incident_type": "THEFT"}, "P02"),
        ({"exercise": True}, "P07"),
    ],
    ids=str,
)
async def test_what_dispatch_does_not_permit_takes_back_what_was_searched_meanwhile(
    kit: ProbeKit, changes: dict[str, Any], rule: str
) -> None:
    incident_id = await searched_provisionally(kit)
    await kit.incident("dispatched", **REPORTED, **changes)
    await kit.provisional.reconcile(incident_id, "dispatched", SUPERVISOR)
    assert {row["review_state"] for row in await kit.rows(tables.leads)} == {"withdrawn"}
    assert sorted(row["state"] for row in await kit.rows(tables.probes)) == ["searched", "withdrawn"]
    with pytest.raises(PolicyRefusalError) as refused:
        await kit.attached("dispatched")
    assert refused.value.rule == rule


async def test_of_what_comes_with_it_each_search_is_judged_by_its_own_purpose(kit: ProbeKit) -> None:
    """Dispatch knows of a death and of no killing; and its own searches are left as they are."""
    opened = await kit.provisional.open(FORM, SUPERVISOR)
    violent = await kit.authorized(opened.incident_id)
    deceased = await kit.attached(opened.incident_id, purpose="identify_deceased")
    await kit.incident("dispatched", incident_type="DEATH", **REPORTED)
    own = await kit.attached("dispatched", purpose="identify_deceased")
    await kit.provisional.reconcile(opened.incident_id, "dispatched", SUPERVISOR)
    assert (await kit.desk.find(violent.probe_id)).state == "withdrawn"
    assert {(await kit.desk.find(probe.probe_id)).state for probe in (deceased, own)} == {"faces_found"}
    (entry,) = await kit.audited("probe.withdraw")
    assert (entry["subject"], entry["entry"]["details"]["rule"]) == (violent.probe_id, "P02")
