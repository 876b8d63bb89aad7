"""Real transactions at the same moment, where one writer at a time can no longer be relied upon."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog
from pydantic import SecretStr
from sqlalchemy import update
from structlog.testing import capture_logs

from rtcc_bridge.audit.entries import SYSTEM
from rtcc_bridge.clock import SystemClock
from rtcc_bridge.cloud_event import CloudEvent
from rtcc_bridge.consumers.threats import to_threat_event
from rtcc_bridge.errors import ConflictError, PolicyRefusalError, TransientError, UnavailableError
from rtcc_bridge.gallery.identity import GalleryKind
from rtcc_bridge.gallery.scrub import SegmentScrubber
from rtcc_bridge.gallery.sources import FolderSource
from rtcc_bridge.incidents.arrival import Arrival
from rtcc_bridge.incidents.desk import IncidentDesk
from rtcc_bridge.incidents.incident import Field, IncidentEvent
from rtcc_bridge.incidents.threat import ThreatEvent
from rtcc_bridge.incidents.threat_desk import ThreatDesk
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.settings import DatabaseSettings
from rtcc_bridge.simulate import SENDER, threat_data
from rtcc_bridge.storage import galleries, incidents, input_events, outbox, probes, tables
from rtcc_bridge.storage.engine import Database, Transaction
from rtcc_bridge.storage.input_events import InputEvent
from rtcc_bridge.storage.locks import Work, sole_right
from rtcc_bridge.storage.probes import ProbeRecord
from tests.doubles import ManualClock
from tests.gallery_kit import ADMINISTRATOR, SOURCE_WORDS, open_kit
from tests.integration.lock_waits import reaches, waiting_for_a_lock
from tests.integration.pipeline import until
from tests.lead_parts import lead_bench, probe_record
from tests.probe_kit import ANALYST, Gallery, ProbeKit, face_search, form, kit, record_of, search_handler, upload

__all__ = ["kit"]

pytestmark = pytest.mark.postgresql

ROUNDS = 10


@pytest.fixture
async def second(database_url: str) -> AsyncIterator[Database]:
    """The connections of another process."""
    opened = Database(DatabaseSettings(url=SecretStr(database_url)))
    yield opened
    await opened.close()


async def is_free(database: Database, work: Work) -> bool:
    async with sole_right(database, work) as right:
        return right is not None


async def cancel(kit: ProbeKit, tx: Transaction, incident_id: str) -> None:
    """What the incident desk does when dispatch cancels."""
    await incidents.lock_all(tx, [incident_id])
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
        await until(lambda: waiting_for_a_lock(second))
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


async def lead_on(kit: ProbeKit, incident_id: str) -> None:
    """A live lead."""
    await kit.authorized(incident_id)
    search = face_search(Gallery())
    async with search.batcher:
        await search_handler(kit, search).handle(record_of((await kit.requests())[-1]))


def desk_of(kit: ProbeKit) -> IncidentDesk:
    """The incident desk with what hangs on an incident, as `app` wires it."""

    async def ended(tx: Transaction, incident_id: str, reason: str) -> None:
        await kit.approvals.withdraw_for_incident(tx, incident_id, reason)
        await kit.parts.leads.withdraw_for_incident(tx, incident_id, reason, SYSTEM)

    async def merged(tx: Transaction, incident_id: str, into: str) -> None:
        await probes.move_to_incident(tx, incident_id, into, at=kit.clock.now())
        await kit.parts.leads.follow_merge(tx, incident_id, into)

    return IncidentDesk(kit.parts.outbox, kit.clock, ended, merged)


def said(kit: ProbeKit, incident_id: str, **fields: Any) -> Arrival[IncidentEvent]:
    now = kit.clock.now()
    event = IncidentEvent(incident_id=incident_id, event=f"cad {secrets.token_hex(4)}", at=now, fields=fields)
    return Arrival(event, "rtcc.incidents", now)


async def apply(kit: ProbeKit, tx: Transaction, *arrivals: Arrival[IncidentEvent]) -> None:
    assert await desk_of(kit).apply_incidents(tx, arrivals) == [None] * len(arrivals)


async def one_after_the_other(
    kit: ProbeKit,
    second: Database,
    first: Callable[[Transaction], Awaitable[None]],
    other: Callable[[Transaction], Awaitable[None]],
) -> None:
    """Begins the second transaction when the first has done its work, and ends that one when the second waits for it.

    One that does not wait has read what the first is about to change, and commits before it.
    """

    async def run_other() -> None:
        async with kit.database.write() as tx:
            await other(tx)

    async with second.write() as tx:
        await first(tx)
        task = asyncio.create_task(run_other())
        await until(lambda: task.done() or waiting_for_a_lock(second))
    await task


@pytest.mark.parametrize("chain", [False, True])
@pytest.mark.parametrize("merge_first", [True, False])
async def test_p08_no_live_lead_is_left_when_a_merge_meets_the_end_of_the_incident_that_goes_on(
    kit: ProbeKit, second: Database, chain: bool, merge_first: bool
) -> None:
    """`chain`: the one that goes on was itself merged into the one that ends."""
    await lead_on(kit, "incident-2")
    await kit.incident("incident-1")
    last = "incident-1"
    if chain:
        last = "incident-0"
        await kit.incident(last)
        await kit.set_incident("incident-1", status="merged", merged_into=last)
    kit.clock.advance(1)

    async def merge(tx: Transaction) -> None:
        merged = {Field.STATUS: "merged", Field.MERGED_INTO: "incident-1"}
        await apply(kit, tx, said(kit, "incident-2", **merged))

    async def end(tx: Transaction) -> None:
        await apply(kit, tx, said(kit, last, **{Field.STATUS: "cancelled"}))

    await one_after_the_other(kit, second, *((merge, end) if merge_first else (end, merge)))
    assert [row["review_state"] for row in await kit.rows(tables.leads)] == ["withdrawn"]


async def test_a_merge_and_a_batch_with_both_incidents_do_not_wait_for_each_other(
    kit: ProbeKit, second: Database
) -> None:
    """The merge names them in the other order than that in which they are locked."""
    await kit.incident("a")
    await kit.incident("d")
    kit.clock.advance(1)

    async def run(*arrivals: Arrival[IncidentEvent]) -> None:
        async with kit.database.write() as tx:
            await apply(kit, tx, *arrivals)

    async with second.write() as tx:
        await incidents.lock_all(tx, ["a"])
        both = asyncio.create_task(run(said(kit, "a", **{Field.PRIORITY: 1}), said(kit, "d", **{Field.PRIORITY: 1})))
        await until(lambda: reaches(second, 1))
        merge = asyncio.create_task(run(said(kit, "d", **{Field.STATUS: "merged", Field.MERGED_INTO: "a"})))
        await until(lambda: reaches(second, 2))
    await both
    await merge


def threat(kit: ProbeKit, identifier: str, kind: str, incident_id: str, *references: str) -> Arrival[ThreatEvent]:
    now = kit.clock.now()
    data = threat_data(identifier, "Active shooter", now, incident_ids=(incident_id,))
    data |= {"msgType": kind.capitalize(), "references": list(references)}
    event = CloudEvent(id=f"e-{identifier}", source="urn:watch", type=f"rtcc.threat.{kind}", data=data)
    return Arrival(to_threat_event(event, {}), "rtcc.threats", now)


async def alarm(kit: ProbeKit, tx: Transaction, *arrivals: Arrival[ThreatEvent]) -> None:
    desk = ThreatDesk(desk_of(kit), kit.clock, lambda: {SENDER})
    assert await desk.apply_threats(tx, arrivals) == [None] * len(arrivals)


@pytest.mark.parametrize("update_first", [True, False])
async def test_p14_a_cancel_ends_also_the_update_that_another_consumer_applies_at_the_same_moment(
    kit: ProbeKit, second: Database, update_first: bool
) -> None:
    await kit.incident("incident-1")
    async with second.write() as tx:
        await alarm(kit, tx, threat(kit, "A", "alert", "incident-1"))
    kit.clock.advance(1)
    arrivals = {"update": threat(kit, "B", "update", "incident-1", "A")}
    kit.clock.advance(1)
    arrivals["cancel"] = threat(kit, "C", "cancel", "incident-1", "A")

    async def update_it(tx: Transaction) -> None:
        await alarm(kit, tx, arrivals["update"])

    async def cancel_it(tx: Transaction) -> None:
        await alarm(kit, tx, arrivals["cancel"])

    await one_after_the_other(kit, second, *((update_it, cancel_it) if update_first else (cancel_it, update_it)))
    assert {row["identifier"]: row["state"] for row in await kit.rows(tables.threats)} == dict.fromkeys(
        "ABC", "cancelled"
    )


@pytest.mark.parametrize("cancel_first", [True, False])
async def test_the_floor_is_told_last_that_a_threat_is_over_when_dispatch_speaks_at_the_same_moment(
    kit: ProbeKit, second: Database, cancel_first: bool
) -> None:
    await kit.incident("incident-1")
    async with second.write() as tx:
        await alarm(kit, tx, threat(kit, "A", "alert", "incident-1"))
    kit.clock.advance(1)

    async def cancel_it(tx: Transaction) -> None:
        await alarm(kit, tx, threat(kit, "B", "cancel", "incident-1", "A"))

    async def report(tx: Transaction) -> None:
        await apply(kit, tx, said(kit, "incident-1", **{Field.PRIORITY: 1}))

    await one_after_the_other(kit, second, *((cancel_it, report) if cancel_first else (report, cancel_it)))
    told = await kit.rows(tables.outbox)
    views = [row["event"]["data"] for row in sorted(told, key=lambda row: int(row["id"]))]
    assert [view["imminent"] for view in views] == [True, *([False, False] if cancel_first else [True, False])]


async def test_threats_and_batches_of_incidents_do_not_wait_for_each_other(kit: ProbeKit, second: Database) -> None:
    """The threats name the incidents in the other order than that in which they are locked."""
    for name in ("a", "d"):
        await kit.incident(name)
    kit.clock.advance(1)
    reports = [said(kit, name, **{Field.PRIORITY: 1}) for name in ("a", "d")]
    alerts = [threat(kit, f"T-{name}", "alert", name) for name in ("d", "a")]

    async def report() -> None:
        async with kit.database.write() as tx:
            await apply(kit, tx, *reports)

    async def warn() -> None:
        async with kit.database.write() as tx:
            await alarm(kit, tx, *alerts)

    async with second.write() as tx:
        await incidents.lock_all(tx, ["a"])
        reporting = asyncio.create_task(report())
        await until(lambda: reaches(second, 1))
        warning = asyncio.create_task(warn())
        await until(lambda: reaches(second, 2))
    await reporting
    await warning


async def test_a_reconciler_that_hangs_in_a_sweep_loses_its_right_and_goes_no_further(
    kit: ProbeKit, second: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rtcc_bridge.storage.locks.LONGEST_STEP_SECONDS", 1.0)
    monkeypatch.setattr("rtcc_bridge.probes.reconciler.log", structlog.get_logger("reconciler"))
    waiting = [await kit.authorized(), await kit.authorized()]
    kit.clock.advance(31)

    with capture_logs() as logs:
        async with second.write() as tx:
            for probe in waiting:
                await probes.find(tx, probe.probe_id, lock=True)
            frozen = asyncio.create_task(kit.reconciler.run())
            await until(lambda: waiting_for_a_lock(second))
            await until(lambda: is_free(second, Work.RECONCILER))
        await until(lambda: any(line["log_level"] == "warning" for line in logs))
    frozen.cancel()
    await asyncio.wait([frozen])
    assert [line["event"] for line in logs if line["log_level"] != "debug"] == [
        "search requested again",
        "interrupted: it is tried again",
    ]


async def test_a_scrubber_that_lost_its_right_rewrites_nothing(
    database: Database, second: Database, tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "people" / "ann").mkdir(parents=True)
    (tmp_path / "people" / "ann" / "1").write_text("face-1")

    async def not_now(*_: object) -> int:
        raise UnavailableError("later")

    async with open_kit(database, tmp_path / "objects", clock, Metrics()) as made:
        source = FolderSource(tmp_path / "people", **SOURCE_WORDS)
        await made.enroller().enroll(source, "city", GalleryKind.DEMO, account=ADMINISTRATOR)
        with monkeypatch.context() as patched:
            patched.setattr(SegmentScrubber, "scrub", not_now)
            await made.expunger().expunge_subject("city", "ann", "court order", ADMINISTRATOR)
        scrubber = made.scrubber()
        async with sole_right(second, Work.SEGMENT_SCRUBBER, confirmed_within_seconds=0.2) as right:
            assert right is not None
            await until(lambda: is_free(database, Work.SEGMENT_SCRUBBER))
            with pytest.raises(UnavailableError):
                await scrubber.scrub_all(right)
        assert await scrubber.scrub_all() == 1


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
        found, accounts = await bench.enroll(1), [replace(ANALYST, name=name) for name in ("one", "other")]
        leads = [await bench.record(probe_record(clock.now()), found) for _ in range(ROUNDS)]

        async def withdraw() -> None:
            async with second.write() as tx:
                await bench.desk.withdraw_for_incident(tx, "INC-1", "cancelled", SYSTEM)

        outcomes = await asyncio.gather(
            *(bench.desk.acknowledge(lead.lead_id, account) for lead in leads for account in accounts),
            *(withdraw() for _ in range(3)),
            return_exceptions=True,
        )
        assert {type(error) for error in outcomes if isinstance(error, Exception)} <= {ConflictError}
        async with database.read() as tx:
            told = await outbox.unpublished(tx, bench.topics.leads, 1000)
    for lead in leads:
        numbers = [one.event["data"]["sequence"] for one in told if one.event["data"]["leadId"] == lead.lead_id]
        assert numbers == list(range(1, len(numbers) + 1))
        assert len(numbers) in {2, 4}, "withdrawn, and perhaps acknowledged and opened for review before"


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
            return (await made.enroller().enroll(source, "city", GalleryKind.DEMO, account=ADMINISTRATOR)).enrolled

    assert await enroll(database, "first") == 1
    assert sum(await asyncio.gather(enroll(database, "people"), enroll(second, "people"))) == 5
    async with database.read() as tx:
        assert len(await galleries.living_images(tx, "city")) == 6
