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
