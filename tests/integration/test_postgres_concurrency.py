"""Real transactions at the same moment, where one writer at a time can no longer be relied upon."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import text, update

from rtcc_bridge.audit.entries import SYSTEM
from rtcc_bridge.clock import SystemClock
from rtcc_bridge.errors import ConflictError, PolicyRefusalError, TransientError
from rtcc_bridge.gallery.identity import GalleryKind
from rtcc_bridge.gallery.sources import FolderSource
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.settings import DatabaseSettings
from rtcc_bridge.storage import galleries, incidents, input_events, outbox, probes, tables
from rtcc_bridge.storage.engine import Database, Transaction
from rtcc_bridge.storage.input_events import InputEvent
from rtcc_bridge.storage.probes import ProbeRecord
from tests.doubles import ManualClock
from tests.gallery_kit import SOURCE_WORDS, open_kit
from tests.integration.pipeline import until
from tests.lead_parts import lead_bench, probe_record
from tests.probe_kit import ANALYST, ProbeKit, form, kit, upload

__all__ = ["kit"]

pytestmark = pytest.mark.postgresql

ROUNDS = 10


@pytest.fixture
async def second(database_url: str) -> AsyncIterator[Database]:
    """The connections of another process."""
    opened = Database(DatabaseSettings(url=SecretStr(database_url)))
    yield opened
    await opened.close()


async def is_waiting_for_a_lock(database: Database) -> bool:
    query = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with database.read() as tx:
        return bool((await tx.execute(query)).scalar_one())


async def cancel(kit: ProbeKit, tx: Transaction, incident_id: str) -> None:
    """What the incident desk does when dispatch cancels."""
    await incidents.get_all(tx, [incident_id], to_change=True)
    table = tables.incidents
    await tx.execute(update(table).where(table.c.incident_id == incident_id).values(status="cancelled"))
    await kit.approvals.withdraw_for_incident(tx, incident_id, "the incident is cancelled")


async def test_a_still_that_comes_while_its_incident_is_cancelled_waits_and_is_refused(
    kit: ProbeKit, second: Database
) -> None:
    await kit.incident()
    async with second.write() as tx:
        await cancel(kit, tx, "incident-1")
        attaching = asyncio.create_task(kit.desk.attach("incident-1", form(), ANALYST, upload()))
        await until(lambda: is_waiting_for_a_lock(second))
    with pytest.raises(PolicyRefusalError):
        await attaching
    assert await kit.rows(tables.probes) == []
    assert kit.object_files() == []


async def test_no_still_is_left_waiting_on_a_cancelled_incident(kit: ProbeKit, second: Database) -> None:
    async def cancel_it(incident_id: str) -> None:
        async with second.write() as tx:
            await cancel(kit, tx, incident_id)

    for number in range(ROUNDS):
        incident_id = f"incident-{number}"
        await kit.incident(incident_id)
        outcomes = await asyncio.gather(
            cancel_it(incident_id),
            *(kit.desk.attach(incident_id, form(), ANALYST, upload()) for _ in range(3)),
            return_exceptions=True,
        )
        assert outcomes[0] is None
        assert {type(error) for error in outcomes[1:]} <= {ProbeRecord, PolicyRefusalError}
    assert {row["state"] for row in await kit.rows(tables.probes)} <= {"withdrawn"}


async def test_one_of_many_that_note_the_same_event_at_once_does_its_work(database: Database, second: Database) -> None:
    event = InputEvent("urn:dispatch", "event-1", "rtcc.incidents", "0" * 64, SystemClock().now())
    ready = asyncio.Barrier(8)

    async def note(one: Database) -> None:
        async with one.write() as tx:
            assert await input_events.noted(tx, [event.identity]) == {}
            await ready.wait()
            await input_events.note(tx, [event])

    outcomes = await asyncio.gather(*(note(one) for one in (database, second) * 4), return_exceptions=True)
    assert sum(outcome is None for outcome in outcomes) == 1
    assert sum(isinstance(outcome, TransientError) for outcome in outcomes) == 7


async def test_all_that_is_done_to_a_lead_at_once_keeps_its_sequence_gapless(
    database: Database, second: Database, tmp_path: Path, clock: ManualClock
) -> None:
    async with lead_bench(database, tmp_path, clock, Metrics()) as bench:
        found = await bench.enroll(1)
        leads = [await bench.record(probe_record(clock.now()), found) for _ in range(ROUNDS)]

        async def withdraw() -> None:
            async with second.write() as tx:
                await bench.desk.withdraw_for_incident(tx, "INC-1", "cancelled", SYSTEM)

        outcomes = await asyncio.gather(
            *(bench.desk.acknowledge(lead.lead_id, account) for lead in leads for account in ("one", "other")),
            *(withdraw() for _ in range(3)),
            return_exceptions=True,
        )
        assert {type(error) for error in outcomes if isinstance(error, Exception)} <= {ConflictError}
        async with database.read() as tx:
            told = await outbox.unpublished(tx, bench.topics.leads, 1000)
    for lead in leads:
        numbers = [one.event["data"]["sequence"] for one in told if one.event["data"]["leadId"] == lead.lead_id]
        assert numbers == list(range(1, len(numbers) + 1))
        assert len(numbers) in {2, 3}, "withdrawn, and perhaps acknowledged before"


async def test_an_outcome_that_two_matchers_report_at_once_is_one_lead(
    database: Database, tmp_path: Path, clock: ManualClock
) -> None:
    async with lead_bench(database, tmp_path, clock, Metrics()) as bench:
        found, probe = await bench.enroll(2), probe_record(clock.now())
        async with database.write() as tx:
            await probes.insert(tx, probe)
        leads = await asyncio.gather(*(bench.record(probe, found) for _ in range(5)))
        assert len({lead.lead_id for lead in leads}) == 1
        async with database.read() as tx:
            assert len(await outbox.unpublished(tx, bench.topics.leads, 1000)) == 1


async def test_two_enrolments_of_the_same_people_at_once_enroll_each_once(
    database: Database, second: Database, tmp_path: Path, clock: ManualClock
) -> None:
    for group, numbers in (("first", range(1)), ("people", range(6))):
        for number in numbers:
            (tmp_path / group / f"p{number}").mkdir(parents=True)
            (tmp_path / group / f"p{number}" / "1").write_text(f"face-{number}")

    async def enroll(into: Database, group: str) -> int:
        async with open_kit(into, tmp_path / "objects", clock, Metrics()) as made:
            source = FolderSource(tmp_path / group, **SOURCE_WORDS)
            return (await made.enroller().enroll(source, "city", GalleryKind.DEMO, actor="administrator")).enrolled

    assert await enroll(database, "first") == 1
    assert sum(await asyncio.gather(enroll(database, "people"), enroll(second, "people"))) == 5
    async with database.read() as tx:
        assert len(await galleries.living_images(tx, "city")) == 6
