"""Probes and leads follow what dispatch says of their incident, through the incident desk as the daemon wires it."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rtcc_bridge.audit.entries import SYSTEM
from rtcc_bridge.errors import PolicyRefusalError
from rtcc_bridge.incidents.arrival import Arrival
from rtcc_bridge.incidents.desk import IncidentDesk
from rtcc_bridge.incidents.incident import IncidentEvent
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.storage import probes, tables
from rtcc_bridge.storage.engine import Database, Transaction
from tests.doubles import ManualClock
from tests.probe_kit import (
    ANALYST,
    SUPERVISOR,
    Gallery,
    ProbeKit,
    build_kit,
    face_search,
    form,
    open_vault,
    record_of,
    search_handler,
    upload,
)


class Dispatch:
    """Reports incidents as the consumer does."""

    def __init__(self, kit: ProbeKit) -> None:
        self._kit = kit
        self._desk = IncidentDesk(kit.parts.outbox, kit.clock, self._authority_ended, self._merged)
        self._reports = 0

    async def reports(self, incident_id: str, status: str = "open", **fields: Any) -> None:
        self._reports += 1
        self._kit.clock.advance(1)
        said = {
            "incidentTypeCommonRegistryText": "ROBBERY",
            "incidentStatusCommonRegistryText": status,
            **fields,
        }
        event = IncidentEvent(
            incident_id=incident_id, event=f"dispatch/{self._reports}", at=self._kit.clock.now(), fields=said
        )
        async with self._kit.database.write() as tx:
            arrival = Arrival(event, "rtcc.incidents", self._kit.clock.now())
            assert await self._desk.apply_incidents(tx, [arrival]) == [None]

    async def _authority_ended(self, tx: Transaction, incident_id: str, reason: str) -> None:
        await self._kit.approvals.withdraw_for_incident(tx, incident_id, reason)
        await self._kit.parts.leads.withdraw_for_incident(tx, incident_id, reason, SYSTEM)

    async def _merged(self, tx: Transaction, incident_id: str, into: str) -> None:
        await probes.move_to_incident(tx, incident_id, into, at=self._kit.clock.now())
        await self._kit.parts.leads.follow_merge(tx, incident_id, into)


@pytest.fixture
async def kit(database: Database, clock: ManualClock, metrics: Metrics, tmp_path: Path) -> AsyncIterator[ProbeKit]:
    async with open_vault(tmp_path, clock) as vault:
        yield build_kit(database, vault, clock, metrics, tmp_path / "objects")


@pytest.fixture
def dispatch(kit: ProbeKit) -> Dispatch:
    return Dispatch(kit)


async def search_all(kit: ProbeKit) -> int:
    """Lets a matcher work on every request; says how many faces it looked up."""
    gallery = Gallery()
    search = face_search(gallery)
    async with search.batcher:
        handler = search_handler(kit, search)
        for row in await kit.requests():
            await handler.handle(record_of(row))
    return len(gallery.seen)


async def test_a_cancelled_incident_ends_its_searches_and_its_leads(kit: ProbeKit, dispatch: Dispatch) -> None:
    await dispatch.reports("incident-1")
    searched = await kit.authorized("incident-1")
    assert await search_all(kit) == 1
    requested = await kit.authorized("incident-1")
    await dispatch.reports("incident-1", "cancelled")
    assert (await kit.desk.find(searched.probe_id)).state == "searched"
    assert (await kit.desk.find(requested.probe_id)).state == "withdrawn"
    (event,) = await kit.events("lead.withdrawn")
    assert event["withdrawal"] == {"cause": "authority_ended"}
    assert await search_all(kit) == 0


async def test_a_deferred_approval_does_not_lapse_after_its_incident_was_cancelled(
    kit: ProbeKit, dispatch: Dispatch
) -> None:
    await dispatch.reports("incident-1")
    await kit.threat("incident-1", expires_at=kit.clock.now() + timedelta(hours=5))
    probe = await kit.chosen("incident-1")
    assert await search_all(kit) == 1
    await dispatch.reports("incident-1", "unfounded")
    assert (await kit.desk.find(probe.probe_id)).state == "withdrawn"
    kit.clock.advance(3600)
    await kit.reconciler.sweep()
    assert len(await kit.events("lead.withdrawn")) == 1
    assert await kit.events("lead.approval_lapsed") == []


async def test_after_a_merge_probes_and_leads_belong_to_the_remaining_incident(
    kit: ProbeKit, dispatch: Dispatch
) -> None:
    await dispatch.reports("first")
    await dispatch.reports("remaining")
    searched = await kit.authorized("first")
    await search_all(kit)
    waiting = await kit.chosen("first")
    await dispatch.reports("first", "merged", mergedInto="remaining")
    assert {(await kit.desk.find(probe.probe_id)).incident_id for probe in (searched, waiting)} == {"remaining"}
    assert (await kit.desk.approve(waiting.probe_id, SUPERVISOR)).state == "authorized"
    assert await search_all(kit) == 1
    await dispatch.reports("remaining", "cancelled")
    assert {row["review_state"] for row in await kit.rows(tables.leads)} == {"withdrawn"}


async def test_a_still_that_arrives_after_the_merge_joins_the_remaining_incident(
    kit: ProbeKit, dispatch: Dispatch
) -> None:
    await dispatch.reports("first")
    await dispatch.reports("first", "merged", mergedInto="remaining")
    await dispatch.reports("remaining", caseNumber="26-900")
    probe = await kit.desk.attach("first", form(case_number=None), ANALYST, upload())
    assert (probe.incident_id, probe.case_number) == ("remaining", "26-900")


async def test_a_reopened_incident_permits_new_stills_but_revives_nothing(kit: ProbeKit, dispatch: Dispatch) -> None:
    await dispatch.reports("incident-1")
    before = await kit.chosen("incident-1")
    await dispatch.reports("incident-1", "cancelled")
    with pytest.raises(PolicyRefusalError):
        await kit.desk.attach("incident-1", form(), ANALYST, upload())
    await dispatch.reports("incident-1", "open")
    assert (await kit.desk.find(before.probe_id)).state == "withdrawn"
    assert (await kit.attached("incident-1")).state == "faces_found"


async def searched_and_waiting(kit: ProbeKit, incident_id: str) -> tuple[str, str]:
    """The probe of a live lead, and one that waits for its approval."""
    searched = await kit.authorized(incident_id)
    await search_all(kit)
    return searched.probe_id, (await kit.chosen(incident_id)).probe_id


async def lies_with(kit: ProbeKit) -> dict[str, set[str]]:
    """By the incident that stills were attached to, where they and their live leads are."""
    found: dict[str, set[str]] = {}
    for row in [*await kit.rows(tables.probes), *await kit.rows(tables.leads)]:
        probe = await kit.desk.find(row["probe_id"])
        found.setdefault(probe.attached_to, set()).add(row["incident_id"])
    return found


@pytest.mark.parametrize(
    ("status", "fields", "with_it"),
    [
        ("open", {}, "part"),
        ("merged", {"mergedInto": "third"}, "third"),
        ("merged", {"mergedInto": "unheard-of"}, "part"),
    ],
    ids=["open", "another", "one to come"],
)
async def test_what_came_from_an_incident_goes_with_it_when_its_merge_is_taken_back(
    kit: ProbeKit, dispatch: Dispatch, status: str, fields: dict[str, str], with_it: str
) -> None:
    """What is part of it goes along; what was attached to the other one stays there."""
    for incident_id in ("smaller", "part", "whole", "third"):
        await dispatch.reports(incident_id)
    for incident_id in ("smaller", "part", "whole"):
        await searched_and_waiting(kit, incident_id)
    await dispatch.reports("smaller", "merged", mergedInto="part")
    await dispatch.reports("part", "merged", mergedInto="whole")
    assert await lies_with(kit) == {"smaller": {"whole"}, "part": {"whole"}, "whole": {"whole"}}
    told = len(await kit.events("floor.lead"))
    await dispatch.reports("part", status, **fields)
    assert await lies_with(kit) == {"smaller": {with_it}, "part": {with_it}, "whole": {"whole"}}
    assert [event["incidentId"] for event in (await kit.events("floor.lead"))[told:]] == [with_it] * 2


@pytest.mark.parametrize("at_once", [True, False])
async def test_the_end_of_an_incident_that_was_parted_ends_what_was_attached_to_it(
    kit: ProbeKit, dispatch: Dispatch, at_once: bool
) -> None:
    for incident_id in ("part", "whole"):
        await dispatch.reports(incident_id)
    _, waiting = await searched_and_waiting(kit, "part")
    _, others = await searched_and_waiting(kit, "whole")
    await dispatch.reports("part", "merged", mergedInto="whole")
    after_merge = await kit.desk.attach("part", form(), ANALYST, upload())
    assert after_merge.incident_id == "whole"
    if not at_once:
        await dispatch.reports("part", "open")
    await dispatch.reports("part", "unfounded")
    states = {row["incident_id"]: row["review_state"] for row in await kit.rows(tables.leads)}
    assert states == {"part": "withdrawn", "whole": "unreviewed"}
    assert {(await kit.desk.find(probe)).state for probe in (waiting, after_merge.probe_id)} == {"withdrawn"}
    assert (await kit.desk.approve(others, SUPERVISOR)).state == "authorized"


async def test_what_a_merge_that_was_taken_back_left_behind_is_ended_all_the_same(
    kit: ProbeKit, dispatch: Dispatch
) -> None:
    """As if an earlier program had taken it back: the net under the incident desk, and the gates."""
    await dispatch.reports("whole")
    await dispatch.reports("part")
    _, waiting = await searched_and_waiting(kit, "part")
    await searched_and_waiting(kit, "whole")
    await kit.set_incident("part", status="unfounded")
    async with kit.database.write() as tx:
        for table in (tables.probes, tables.leads):
            await tx.execute(table.update().values(incident_id="whole"))
    with pytest.raises(PolicyRefusalError) as refused:
        await kit.desk.approve(waiting, SUPERVISOR)
    assert refused.value.rule == "P08"
    assert await kit.reconciler.withdraw_ended() == 1
    assert await kit.reconciler.withdraw_ended() == 0
    assert (await kit.desk.find(waiting)).state == "withdrawn"
    assert sorted(row["review_state"] for row in await kit.rows(tables.leads)) == ["unreviewed", "withdrawn"]


async def test_of_a_still_from_before_it_was_kept_nobody_knows_where_it_came_from(
    kit: ProbeKit, dispatch: Dispatch
) -> None:
    """It is searched as before, and stays where a merge has put it."""
    await dispatch.reports("part")
    await dispatch.reports("whole")
    probe = await kit.chosen("part")
    async with kit.database.write() as tx:
        await tx.execute(tables.probes.update().values(named_incident_id=None))
    await kit.desk.approve(probe.probe_id, SUPERVISOR)
    await dispatch.reports("part", "merged", mergedInto="whole")
    assert await search_all(kit) == 1
    await dispatch.reports("part", "open")
    assert (await kit.desk.find(probe.probe_id)).incident_id == "whole"
