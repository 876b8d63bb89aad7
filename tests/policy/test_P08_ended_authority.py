"""P08: a cancelled or unfounded incident ends the authority; closing does not, and a merge is followed."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from rtcc_bridge.errors import ConflictError, PolicyRefusalError
from rtcc_bridge.incidents.arrival import Arrival
from rtcc_bridge.incidents.threat import MessageStatus, MessageType, ThreatEvent, ThreatInfo
from rtcc_bridge.incidents.threat_desk import ThreatDesk
from rtcc_bridge.matching.edits import Brightness, Edit
from rtcc_bridge.matching.types import FaceCrop, Lane, Verdict
from rtcc_bridge.probes.search import FoundCandidates
from rtcc_bridge.probes.worker_messages import FoundFacesReport
from rtcc_bridge.storage import probes, tables
from rtcc_bridge.storage.engine import Database, Transaction
from tests.probe_kit import (
    ANALYST,
    OTHER_SUPERVISOR,
    SENDER,
    SUPERVISOR,
    Gallery,
    ProbeKit,
    face,
    face_search,
    form,
    incident_desk,
    record_of,
    search_handler,
    upload,
)

INFO = ThreatInfo(
    categories=frozenset({"Safety"}),
    event="Threat to life",
    urgency="Immediate",
    severity="Extreme",
    certainty="Observed",
    expires=None,
    headline=None,
)
ENDED = pytest.mark.parametrize("status", ["cancelled", "unfounded"])


async def end_authority(kit: ProbeKit, incident_id: str, status: str) -> int:
    """What the incident desk does when dispatch cancels."""
    await kit.set_incident(incident_id, status=status)
    async with kit.database.write() as tx:
        return await kit.approvals.withdraw_for_incident(tx, incident_id, f"the incident is {status}")


@ENDED
async def test_nothing_can_be_attached(kit: ProbeKit, status: str) -> None:
    await kit.incident(status=status)
    with pytest.raises(PolicyRefusalError) as refused:
        await kit.desk.attach("incident-1", form(), ANALYST, upload())
    assert refused.value.rule == "P08"
    assert not kit.workers.inspected


@ENDED
async def test_a_cancellation_during_the_upload_leaves_nothing(kit: ProbeKit, status: str) -> None:
    await kit.incident()

    async def cancelled_half_way() -> AsyncIterator[bytes]:
        yield b"first half "
        await kit.set_incident("incident-1", status=status)
        yield b"second half"

    with pytest.raises(PolicyRefusalError) as refused:
        await kit.desk.attach("incident-1", form(), ANALYST, cancelled_half_way())
    assert refused.value.rule == "P08"
    assert await kit.rows(tables.probes) == []
    assert kit.object_files() == []


@ENDED
async def test_waiting_probes_are_withdrawn(kit: ProbeKit, status: str) -> None:
    waiting = [await kit.attached(), await kit.chosen(), await kit.authorized()]
    other = await kit.chosen("incident-2")
    assert await end_authority(kit, "incident-1", status) == 3
    for probe in waiting:
        found = await kit.desk.find(probe.probe_id)
        assert (found.state, found.state_reason) == ("withdrawn", f"the incident is {status}")
    assert (await kit.desk.find(other.probe_id)).state == "awaiting_approval"
    assert len(await kit.audited("probe.withdraw")) == 3


@ENDED
@pytest.mark.parametrize("through", ["itself", "a merge"])
async def test_live_leads_that_nobody_withdrew_are_found_by_the_reconciler(
    kit: ProbeKit, status: str, through: str
) -> None:
    """As if the events had crossed each other. A lead whose incident goes on stays, and so does one that ended."""
    for number in (1, 2):
        await kit.authorized(f"incident-{number}")
    search = face_search(Gallery())
    async with search.batcher:
        for request in await kit.requests():
            await search_handler(kit, search).handle(record_of(request))
    if through == "itself":
        await kit.set_incident("incident-1", status=status)
    else:
        await kit.incident("incident-0", status=status)
        await kit.set_incident("incident-1", status="merged", merged_into="incident-0")
    assert await kit.reconciler.withdraw_ended() == 1
    assert await kit.reconciler.withdraw_ended() == 0
    (told,) = await kit.events("lead.withdrawn")
    assert (told["incidentId"], told["withdrawal"]) == ("incident-1", {"cause": "authority_ended"})
    states = {row["incident_id"]: row["review_state"] for row in await kit.rows(tables.leads)}
    assert states == {"incident-1": "withdrawn", "incident-2": "unreviewed"}


@ENDED
async def test_no_gate_is_passed_by_a_direct_call_although_nobody_withdrew_the_probe(
    kit: ProbeKit, status: str
) -> None:
    attached, chosen = await kit.attached(), await kit.chosen()
    authorized = await kit.authorized()
    await kit.set_incident("incident-1", status=status)
    with pytest.raises(PolicyRefusalError) as refused:
        await kit.desk.choose_face(attached.probe_id, 1, ANALYST)
    assert refused.value.rule == "P08"
    with pytest.raises(PolicyRefusalError):
        await kit.desk.approve(chosen.probe_id, SUPERVISOR)
    gallery = Gallery()
    search = face_search(gallery)
    async with search.batcher:
        await search_handler(kit, search).handle(record_of((await kit.requests())[0]))
    assert gallery.seen == []
    assert (await kit.desk.find(authorized.probe_id)).state == "withdrawn"


async def test_a_cancellation_while_the_search_runs_leaves_no_lead(
    kit: ProbeKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe = await kit.authorized()
    candidate = await kit.enrol("someone")
    gallery = Gallery(finds=lambda _crop: [candidate])
    search = face_search(gallery)
    original = search.batcher.submit

    async def cancelled_meanwhile(crop: FaceCrop, lane: Lane = Lane.ROUTINE) -> FoundCandidates:
        found = await original(crop, lane)
        await end_authority(kit, "incident-1", "cancelled")
        return found

    monkeypatch.setattr(search.batcher, "submit", cancelled_meanwhile)
    objects_before = set(kit.object_files())
    async with search.batcher:
        await search_handler(kit, search).handle(record_of((await kit.requests())[0]))
    assert len(gallery.seen) == 1
    assert await kit.rows(tables.leads) == []
    assert (await kit.desk.find(probe.probe_id)).state == "withdrawn"
    assert set(kit.object_files()) == objects_before, "the candidate list is gone"


async def test_withdrawing_twice_changes_nothing(kit: ProbeKit) -> None:
    await kit.chosen()
    assert await end_authority(kit, "incident-1", "cancelled") == 1
    assert await end_authority(kit, "incident-1", "cancelled") == 0


async def test_closing_a_call_ends_nothing(kit: ProbeKit) -> None:
    await kit.incident(status="closed")
    probe = await kit.chosen()
    assert (await kit.desk.approve(probe.probe_id, SUPERVISOR)).state == "authorized"


async def test_a_still_for_a_merged_incident_goes_to_the_one_that_remains(kit: ProbeKit) -> None:
    await kit.incident("remaining", incident_type="ROBBERY")
    await kit.incident("middle", status="merged", merged_into="remaining")
    await kit.incident("first", status="merged", merged_into="middle")
    probe = await kit.desk.attach("first", form(), ANALYST, upload())
    assert probe.incident_id == "remaining"


async def test_a_merge_into_a_cancelled_incident_ends_the_authority(kit: ProbeKit) -> None:
    probe = await kit.chosen("first")
    await kit.incident("remaining", status="cancelled")
    await kit.set_incident("first", status="merged", merged_into="remaining")
    with pytest.raises(PolicyRefusalError) as refused:
        await kit.desk.approve(probe.probe_id, SUPERVISOR)
    assert refused.value.rule == "P08"


async def test_a_cancelled_incident_takes_those_that_were_merged_into_it_along(kit: ProbeKit) -> None:
    probe = await kit.chosen("first")
    await kit.incident("remaining")
    await kit.set_incident("first", status="merged", merged_into="remaining")
    assert await end_authority(kit, "remaining", "cancelled") == 1
    assert (await kit.desk.find(probe.probe_id)).state == "withdrawn"


async def test_probes_follow_a_merge(kit: ProbeKit) -> None:
    probe = await kit.chosen("first")
    await kit.incident("remaining")
    async with kit.database.write() as tx:
        assert await probes.move_to_incident(tx, "first", "remaining", at=kit.clock.now()) == 1
    assert (await kit.desk.find(probe.probe_id)).incident_id == "remaining"


async def test_a_merge_into_an_incident_that_nobody_knows_permits_nothing(kit: ProbeKit) -> None:
    await kit.incident("first", status="merged", merged_into="unheard-of")
    with pytest.raises(ConflictError):
        await kit.desk.attach("first", form(), ANALYST, upload())


async def test_the_end_of_an_alert_that_was_all_there_was_ends_the_searches_too(kit: ProbeKit) -> None:
    """A threat that names no incident opens one of its own, which ends with the threat's cancellation."""
    desk = ThreatDesk(incident_desk(kit.parts), kit.clock, lambda: [SENDER])

    async def send(kind: MessageType, identifier: str, *references: str) -> None:
        event = ThreatEvent(
            identifier=identifier,
            sender=SENDER,
            sent=kit.clock.now(),
            status=MessageStatus.ACTUAL,
            message_type=kind,
            references=references,
            incident_ids=(),
            infos=(replace(INFO, expires=kit.clock.now() + timedelta(hours=1)),),
            data={},
            event=identifier,
        )
        async with kit.database.write() as tx:
            assert await desk.apply_threats(tx, [Arrival(event, "rtcc.threats", kit.clock.now())]) == [None]

    await send(MessageType.ALERT, "alert-1")
    (own,) = await kit.rows(tables.incidents)
    assert (own["incident_type"], own["status"]) == ("THREAT", "open")
    stated = form(purpose="imminent_threat")
    searched, waiting = [await kit.desk.attach(own["incident_id"], stated, ANALYST, upload()) for _ in range(2)]
    await kit.desk.choose_face(searched.probe_id, 1, ANALYST)
    search = face_search(Gallery())
    async with search.batcher:
        await search_handler(kit, search).handle(record_of((await kit.requests())[0]))
    kit.clock.advance(1)
    await send(MessageType.CANCEL, "cancel-1", "alert-1")
    assert [row["status"] for row in await kit.rows(tables.incidents)] == ["cancelled"]
    assert {(await kit.desk.find(probe.probe_id)).state for probe in (searched, waiting)} == {"withdrawn"}
    assert [row["review_state"] for row in await kit.rows(tables.leads)] == ["withdrawn"]


@ENDED
async def test_nothing_is_declared_or_attested_of_what_has_ended(kit: ProbeKit, status: str) -> None:
    await kit.incident(status=status, incident_type="ABDUCTF")
    declarations = kit.desk.declarations
    for call in (
        declarations.declare_imminent("incident-1", SUPERVISOR, "a child is missing"),
        declarations.attest_killing("incident-1", SUPERVISOR, "the victim has died"),
        declarations.confirm_killing("incident-1", OTHER_SUPERVISOR),
    ):
        with pytest.raises(PolicyRefusalError) as refused:
            await call
        assert refused.value.rule == "P08"
    assert await kit.rows(tables.imminent_declarations) == []


async def test_the_still_of_an_ended_incident_is_not_even_looked_at_again(kit: ProbeKit) -> None:
    probe = await kit.attached()
    await kit.set_incident("incident-1", status="cancelled")
    asked = kit.workers.asked
    with pytest.raises(PolicyRefusalError) as refused:
        await kit.desk.edit(probe.probe_id, (Brightness(15),), ANALYST)
    assert refused.value.rule == "P08"
    assert kit.workers.asked == asked


async def test_a_cancellation_while_the_edited_still_is_looked_at_leaves_it_as_it_was(
    kit: ProbeKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe = await kit.attached()
    inspect = kit.workers.inspect

    async def cancelled_meanwhile(chunks: AsyncIterator[bytes], lane: Lane, edits: Sequence[Edit]) -> FoundFacesReport:
        found = await inspect(chunks, lane, edits)
        await kit.set_incident("incident-1", status="cancelled")
        return found

    monkeypatch.setattr(kit.workers, "inspect", cancelled_meanwhile)
    with pytest.raises(PolicyRefusalError) as refused:
        await kit.desk.edit(probe.probe_id, (Brightness(15),), ANALYST)
    assert refused.value.rule == "P08"
    assert (await kit.desk.find(probe.probe_id)).edits is None


async def test_a_cancellation_just_before_a_poor_face_is_recorded_leaves_no_lead(
    kit: ProbeKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    await kit.incident()
    kit.workers.faces = (face(1), face(2, Verdict.REFUSED, left=200))
    probe = await kit.attached()
    write = Database.write

    @asynccontextmanager
    async def cancelled_first(database: Database) -> AsyncIterator[Transaction]:
        monkeypatch.setattr(Database, "write", write)
        await kit.set_incident("incident-1", status="cancelled")
        async with write(database) as tx:
            yield tx

    monkeypatch.setattr(Database, "write", cancelled_first)
    with pytest.raises(PolicyRefusalError) as refused:
        await kit.desk.choose_face(probe.probe_id, 2, ANALYST)
    assert refused.value.rule == "P08"
    assert await kit.rows(tables.leads) == []
    assert (await kit.desk.find(probe.probe_id)).state == "faces_found"
