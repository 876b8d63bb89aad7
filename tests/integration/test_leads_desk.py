"""What happens to leads, on a real database with real sealed objects."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka_event
from jsonschema import Draft202012Validator

from rtcc_bridge.audit.entries import leaf_hash
from rtcc_bridge.cloud_event import STRUCTURED_HEADERS
from rtcc_bridge.errors import ConflictError, IntegrityError, NotFoundError, PolicyRefusalError
from rtcc_bridge.leads.corroboration import EvidenceItem, OutcomeReport
from rtcc_bridge.leads.lead import Outcome
from rtcc_bridge.leads.life import LeadLife
from rtcc_bridge.leads.schemas import lead_schemas
from rtcc_bridge.matching.types import Candidate
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.policy.accounts import Account, Role
from rtcc_bridge.policy.policy_parts import EvidenceKind
from rtcc_bridge.publishing.outbox import OutgoingEvent
from rtcc_bridge.storage import audit_entries, examinations, leads, outbox, probes
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.outbox import OutboxRecord
from tests.doubles import ManualClock
from tests.lead_parts import ANALYST, LeadBench, lead_bench, outcome_of, pending, probe_record
from tests.life_kit import PEER, bench_parts, opinion
from tests.probe_kit import CERTIFIED, PictureWorkers

SCHEMAS = lead_schemas()


@pytest.fixture
async def bench(database: Database, tmp_path: Path, clock: ManualClock, metrics: Metrics) -> AsyncIterator[LeadBench]:
    async with lead_bench(database, tmp_path, clock, metrics) as built:
        yield built


async def sent(bench: LeadBench, topic: str | None = None) -> list[OutboxRecord]:
    """The events that have committed, of one topic, by default that of live leads."""
    async with bench.database.read() as tx:
        return await outbox.unpublished(tx, topic or bench.topics.leads, 1000)


async def on_feed(bench: LeadBench) -> list[OutboxRecord]:
    """Everything that is on the feed once the relay has numbered what has committed."""
    async with bench.database.write() as tx:
        await outbox.number(tx, [record.id for record in await outbox.unnumbered(tx, 1000)], bench.clock.now())
        return await outbox.feed_after(tx, 0, 1000)


def types_of(records: list[OutboxRecord]) -> list[str]:
    return [record.event_type for record in records]


def data_of(record: OutboxRecord) -> dict[str, Any]:
    data: dict[str, Any] = record.event["data"]
    return data


def sample(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(f"rtcc_bridge_{name}", labels) or 0.0


async def test_a_search_with_candidates_becomes_a_lead_of_opaque_references(bench: LeadBench) -> None:
    found = await bench.enroll(3)
    lead = await bench.record(probe_record(bench.clock.now()), found)
    (event,) = await sent(bench)
    data = data_of(event)
    assert (event.event_type, event.key, event.on_feed) == ("lead.candidates", "INC-1", True)
    assert (data["sequence"], data["result"], data["reviewState"], data["candidateCount"]) == (
        1, "candidates", "unreviewed", 3,
    )  # fmt: skip
    assert data["approval"] == {"state": "granted", "approveBy": None}
    assert data["search"]["estimatedFpir"] == {"value": 0.05, "low": 0.03, "high": 0.08}
    assert data["probeQuality"] == {"unifiedScore": 61, "sentences": ["the light comes from one side"]}
    assert data["expiresAt"] == "2026-12-23T12:00:00Z"
    assert lead.data == data
    async with bench.database.read() as tx:
        rows = await leads.candidates_of(tx, lead.lead_id)
    assert {row.candidate_ref for row in rows} == {entry["candidateRef"] for entry in data["candidates"]}
    assert {row.subject_id for row in rows} == {candidate.subject_id for candidate in found}


async def test_p16_an_event_holds_nothing_of_the_persons_on_the_list(bench: LeadBench) -> None:
    found = await bench.enroll(3)
    await bench.record(probe_record(bench.clock.now()), found)
    (event,) = await sent(bench)
    text = json.dumps(event.event)
    for secret in ("the analyst", "the requestor", "CASE-77", "exigent", "0.99", "0.91", "0.9,", "threshold"):
        assert secret not in text
    assert set(data_of(event)["candidates"][0]) == {"candidateRef"}


async def test_the_sealed_list_can_be_read_again_and_fits_the_references(bench: LeadBench) -> None:
    found = await bench.enroll(3)
    lead = await bench.record(probe_record(bench.clock.now()), found)
    assert lead.candidates_object is not None
    async with bench.database.read() as tx:
        key = await bench.vault.key_of(tx, lead.candidates_object)
        rows = await leads.candidates_of(tx, lead.lead_id)
    listed = json.loads(await bench.vault.unseal(lead.candidates_object, key))["candidates"]
    assert [entry["subjectId"] for entry in listed] == [candidate.subject_id for candidate in found]
    assert {entry["candidateRef"]: entry["subjectId"] for entry in listed} == {
        row.candidate_ref: row.subject_id for row in rows
    }


async def test_a_search_that_finds_nobody_is_a_lead_too(bench: LeadBench) -> None:
    lead = await bench.record(probe_record(bench.clock.now()), [])
    (event,) = await sent(bench)
    assert event.event_type == "lead.no_candidate"
    assert data_of(event)["search"]["gallerySize"] == 100_000
    assert lead.candidates_object is None


async def test_a_picture_that_is_too_poor_is_a_lead_too(bench: LeadBench) -> None:
    probe = probe_record(bench.clock.now(), approval="none", authority_at=None, state="rejected_quality")
    lead = await bench.reject(probe)
    (event,) = await sent(bench)
    data = data_of(event)
    assert event.event_type == "lead.rejected_quality"
    assert (data["search"], data["approval"]) == (None, None)
    assert data["probeQuality"] == {"unifiedScore": None, "sentences": ["no face was found"]}
    assert lead.result == "rejected_quality"


async def test_one_probe_has_one_lead_however_often_its_search_is_recorded(bench: LeadBench) -> None:
    found = await bench.enroll(2)
    probe = probe_record(bench.clock.now())
    first = await bench.record(probe, found)
    again = await bench.record(probe, found)
    assert again == first
    assert types_of(await sent(bench)) == ["lead.candidates"]
    assert sample(bench.metrics, "searches_total", purpose="imminent_threat", outcome="candidates") == 1
    assert sample(bench.metrics, "leads_total", state="candidates") == 1


@pytest.mark.parametrize("approval", ["none", "refused", "lapsed"])
async def test_a_search_without_authority_makes_no_lead(bench: LeadBench, approval: str) -> None:
    with pytest.raises(ConflictError, match="no authority"):
        await bench.record(probe_record(bench.clock.now(), approval=approval), [])
    with pytest.raises(ConflictError, match="no authority"):
        await bench.record(probe_record(bench.clock.now(), authority_at=None), [])
    assert await sent(bench) == []


async def test_p25_a_person_removed_since_the_search_is_on_no_new_lead(bench: LeadBench) -> None:
    found = await bench.enroll(3)
    outcome = outcome_of(found)
    sealed = await bench.seal(outcome)
    probe = probe_record(bench.clock.now())
    gone = found[0]
    async with bench.database.write() as tx:
        await bench.remove(tx, [gone.best.image_id, *(image.image_id for image in gone.others)])
    async with bench.database.write() as tx:
        await probes.insert(tx, probe)
        lead = await bench.desk.record_search(tx, probe, outcome, sealed)
    assert lead.data["candidateCount"] == 2
    async with bench.database.read() as tx:
        rows = await leads.candidates_of(tx, lead.lead_id)
    assert gone.subject_id not in {row.subject_id for row in rows}


async def test_p25_a_search_that_found_only_removed_persons_found_nobody(bench: LeadBench) -> None:
    (gone,) = await bench.enroll(1)
    async with bench.database.write() as tx:
        await bench.remove(tx, [gone.best.image_id, gone.others[0].image_id])
    lead = await bench.record(probe_record(bench.clock.now()), [gone])
    assert (lead.result, lead.candidates_object) == ("no_candidate", None)
    assert types_of(await sent(bench)) == ["lead.no_candidate"]


async def test_p25_live_leads_with_a_removed_person_are_withdrawn_and_others_stay(bench: LeadBench) -> None:
    first, second = await bench.enroll(2)
    both = await bench.record(probe_record(bench.clock.now()), [first, second])
    other = await bench.record(probe_record(bench.clock.now()), [second])
    async with bench.database.write() as tx:
        assert await bench.desk.withdraw_for_subject(tx, first.subject_id, "court order 12", "the administrator") == 1
        assert await bench.desk.withdraw_for_subject(tx, first.subject_id, "court order 12", "the administrator") == 0
    withdrawn = (await sent(bench))[-1]
    assert (withdrawn.event_type, data_of(withdrawn)["leadId"]) == ("lead.withdrawn", both.lead_id)
    assert data_of(withdrawn)["withdrawal"] == {"cause": "no_longer_supported"}
    assert "removal" not in json.dumps(withdrawn.event)
    assert (data_of(withdrawn)["candidateCount"], data_of(withdrawn)["candidates"]) == (0, [])
    assert "court order" not in json.dumps(withdrawn.event)
    async with bench.database.read() as tx:
        kept = await leads.find(tx, other.lead_id)
    assert kept == other


async def test_p08_the_end_of_an_incident_withdraws_its_live_leads(bench: LeadBench) -> None:
    found = await bench.enroll(1)
    await bench.record(probe_record(bench.clock.now()), found)
    await bench.record(probe_record(bench.clock.now()), [])
    elsewhere = await bench.record(probe_record(bench.clock.now(), incident_id="INC-2"), found)
    async with bench.database.write() as tx:
        assert await bench.desk.withdraw_for_incident(tx, "INC-1", "unfounded: a prank", "dispatch") == 2
    events = await sent(bench)
    assert types_of(events).count("lead.withdrawn") == 2
    assert all(data_of(event)["withdrawal"] == {"cause": "authority_ended"} for event in events[-2:])
    assert "prank" not in json.dumps([event.event for event in events])
    assert elsewhere.lead_id not in {data_of(event)["leadId"] for event in events[-2:]}


@pytest.mark.parametrize("result", ["candidates", "no_candidate", "rejected_quality"])
async def test_p07_the_leads_of_an_exercise_never_reach_the_live_topic_or_the_feed(
    bench: LeadBench, result: str
) -> None:
    found = await bench.enroll(1)
    now = bench.clock.now()
    if result == "rejected_quality":
        lead = await bench.reject(probe_record(now, exercise=True))
    else:
        lead = await bench.record(pending(now, exercise=True), found if result == "candidates" else [])
        async with bench.database.read() as tx:
            probe = await probes.find(tx, lead.probe_id)
        assert probe is not None
        async with bench.database.write() as tx:
            await bench.desk.approval_granted(tx, probe)
    await bench.desk.acknowledge(lead.lead_id, ANALYST)
    async with bench.database.write() as tx:
        await bench.desk.follow_merge(tx, "INC-1", "INC-9")
        await bench.desk.withdraw_for_incident(tx, "INC-9", "over", "dispatch")
    assert await sent(bench) == []
    assert await on_feed(bench) == []
    reviewed = ["lead.in_review"] if result == "candidates" else []
    assert types_of(await sent(bench, bench.topics.leads_exercise)) == [
        f"lead.{result}", "lead.acknowledged", *reviewed, "lead.withdrawn",
    ]  # fmt: skip


async def test_an_analyst_takes_a_lead_once(bench: LeadBench) -> None:
    lead = await bench.record(probe_record(bench.clock.now()), await bench.enroll(2))
    bench.clock.advance(42)
    taken = await bench.desk.acknowledge(lead.lead_id, ANALYST)
    bench.clock.advance(10)
    again = await bench.desk.acknowledge(lead.lead_id, ANALYST)
    assert again == taken
    events = await sent(bench)
    assert types_of(events) == ["lead.candidates", "lead.acknowledged", "lead.in_review"]
    assert [data_of(event)["sequence"] for event in events] == [1, 2, 3]
    assert data_of(events[1])["acknowledgedAt"] == "2026-11-23T12:00:42Z"
    assert data_of(events[1])["candidates"] == data_of(events[0])["candidates"]
    assert "the analyst" not in json.dumps(events[1].event)
    assert sample(bench.metrics, "time_to_acknowledge_seconds_sum", lane="imminent") == 42
    assert sample(bench.metrics, "time_to_acknowledge_seconds_count", lane="imminent") == 1


async def test_of_two_analysts_one_gets_the_lead_and_the_other_hears_who(bench: LeadBench) -> None:
    lead = await bench.record(probe_record(bench.clock.now()), await bench.enroll(1))
    accounts = [Account(f"analyst {number}", ANALYST.roles, CERTIFIED) for number in range(5)]
    outcomes = await asyncio.gather(
        *(bench.desk.acknowledge(lead.lead_id, account) for account in accounts), return_exceptions=True
    )
    refused = [outcome for outcome in outcomes if isinstance(outcome, ConflictError)]
    (taken,) = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    assert len(refused) == 4
    assert all(f"taken: {taken.acknowledged_by}" in str(error) for error in refused)
    assert types_of(await sent(bench)) == ["lead.candidates", "lead.acknowledged", "lead.in_review"]


@pytest.mark.parametrize("role", sorted(set(Role) - {Role.ANALYST}))
async def test_p10_the_desk_itself_refuses_who_is_no_analyst_and_audits_that(bench: LeadBench, role: Role) -> None:
    lead = await bench.record(probe_record(bench.clock.now()), await bench.enroll(1))
    with pytest.raises(PolicyRefusalError, match="analyst"):
        await bench.desk.acknowledge(lead.lead_id, Account("somebody", frozenset({role})))
    assert types_of(await sent(bench)) == ["lead.candidates"]
    async with bench.database.read() as tx:
        *_, refusal = await audit_entries.by_subject(tx, lead.lead_id)
    assert (refusal.action, refusal.outcome, refusal.entry["details"]["rule"]) == ("lead.acknowledge", "refused", "P10")


async def test_a_lead_that_is_withdrawn_or_unknown_cannot_be_acknowledged(bench: LeadBench) -> None:
    lead = await bench.record(probe_record(bench.clock.now()), [])
    async with bench.database.write() as tx:
        await bench.desk.withdraw_for_incident(tx, "INC-1", "cancelled", "dispatch")
    with pytest.raises(ConflictError, match="withdrawn"):
        await bench.desk.acknowledge(lead.lead_id, ANALYST)
    with pytest.raises(NotFoundError, match="no lead nowhere"):
        await bench.desk.acknowledge("nowhere", ANALYST)


async def test_p14_a_deferred_approval_shows_as_pending_until_it_comes(bench: LeadBench) -> None:
    probe = pending(bench.clock.now())
    lead = await bench.record(probe, await bench.enroll(1))
    assert lead.data["approval"] == {"state": "pending", "approveBy": "2026-11-23T13:00:00Z"}
    async with bench.database.write() as tx:
        await bench.desk.approval_granted(tx, probe)
        await bench.desk.approval_granted(tx, probe)
    await bench.desk.acknowledge(lead.lead_id, ANALYST)
    assert types_of(await sent(bench)) == ["lead.candidates", "lead.acknowledged", "lead.in_review"]
    board = await on_feed(bench)
    assert types_of(board) == ["lead.candidates", "floor.lead", "lead.acknowledged", "lead.in_review"]
    assert data_of(board[1])["approval"] == {"state": "granted", "approveBy": None}
    assert [data_of(event)["sequence"] for event in board] == [1, 1, 2, 3]
    assert data_of(board[2])["approval"] == {"state": "granted", "approveBy": None}


async def test_p14_an_approval_before_the_search_is_done_needs_no_lead(bench: LeadBench) -> None:
    async with bench.database.write() as tx:
        await bench.desk.approval_granted(tx, probe_record(bench.clock.now()))
        await bench.desk.approval_lapsed(tx, pending(bench.clock.now()))
        await bench.desk.approval_refused(tx, pending(bench.clock.now()), "no", "the supervisor")
    assert await on_feed(bench) == []


async def test_p14_a_lead_whose_approval_does_not_come_is_withdrawn(bench: LeadBench) -> None:
    probe = pending(bench.clock.now())
    await bench.record(probe, await bench.enroll(1))
    async with bench.database.write() as tx:
        await bench.desk.approval_lapsed(tx, probe)
        await bench.desk.approval_lapsed(tx, probe)
    events = await sent(bench)
    assert types_of(events) == ["lead.candidates", "lead.approval_lapsed"]
    data = data_of(events[1])
    assert (data["reviewState"], data["candidates"], data["sequence"]) == ("withdrawn", [], 2)
    assert data["withdrawal"] == {"cause": "approval_lapsed"}
    assert data["approval"]["state"] == "pending"
    assert sample(bench.metrics, "leads_total", state="approval_lapsed") == 1


async def test_p14_a_refused_approval_withdraws_the_lead(bench: LeadBench) -> None:
    probe = pending(bench.clock.now())
    await bench.record(probe, await bench.enroll(1))
    async with bench.database.write() as tx:
        await bench.desk.approval_refused(tx, probe, "not this case", "the supervisor")
    assert data_of((await sent(bench))[-1])["withdrawal"] == {"cause": "approval_refused"}


async def test_p18_leads_expire_when_their_time_is_over_and_not_before(bench: LeadBench) -> None:
    for number in range(103):
        await bench.record(probe_record(bench.clock.now(), incident_id=f"INC-{number}"), [])
    bench.clock.advance(1)
    late = await bench.record(probe_record(bench.clock.now()), [])
    bench.clock.advance(timedelta(hours=720).total_seconds() - 2)
    assert await bench.desk.expire_due() == 0
    bench.clock.advance(1)
    assert await bench.desk.expire_due() == 103
    assert await bench.desk.expire_due() == 0
    events = await sent(bench)
    assert types_of(events).count("lead.expired") == 103
    assert late.lead_id not in {data_of(event)["leadId"] for event in events if event.event_type == "lead.expired"}


async def test_p08_live_leads_follow_a_merged_incident(bench: LeadBench) -> None:
    lead = await bench.record(probe_record(bench.clock.now()), await bench.enroll(1))
    async with bench.database.write() as tx:
        assert await bench.desk.follow_merge(tx, "INC-1", "INC-9") == 1
    await bench.desk.acknowledge(lead.lead_id, ANALYST)
    events = await sent(bench)
    keys = [(event.key, data_of(event)["incidentId"]) for event in events]
    assert keys == [("INC-1", "INC-1"), ("INC-9", "INC-9"), ("INC-9", "INC-9")]
    assert types_of(await on_feed(bench)) == ["lead.candidates", "floor.lead", "lead.acknowledged", "lead.in_review"]
    async with bench.database.write() as tx:
        assert await bench.desk.withdraw_for_incident(tx, "INC-1", "cancelled", "dispatch") == 0
        assert await bench.desk.withdraw_for_incident(tx, "INC-9", "cancelled", "dispatch") == 1


async def every_event(bench: LeadBench) -> list[OutboxRecord]:
    """Brings about each event type, on leads of their own."""
    found: list[Candidate] = await bench.enroll(4)
    now = bench.clock.now()
    await bench.reject(probe_record(now, incident_id="A", authority_at=None, approval="none"))
    taken = await bench.record(probe_record(now, incident_id="B"), found)
    await bench.desk.acknowledge(taken.lead_id, ANALYST)
    lapsing = pending(now, incident_id="C")
    await bench.record(lapsing, found[1:])
    await bench.record(probe_record(now, incident_id="D"), [])
    life = LeadLife(bench_parts(bench), PictureWorkers())
    for outcome in (Outcome.CORROBORATED, Outcome.REFUTED, Outcome.UNRESOLVED):
        released = await examined(bench, life, found)
        await life.release.release(released, ANALYST, ())
        evidence = (EvidenceItem(kind=EvidenceKind.DNA, item_number="26-11-4", obtained_at=now),)
        report = OutcomeReport(outcome=outcome, investigator="badge 4711", evidence=evidence)
        await life.corroboration.report(released, Account("the requestor", frozenset({Role.REQUESTOR})), report)
    await examined(bench, life, found, inconclusive=True)
    async with bench.database.write() as tx:
        await bench.desk.approval_lapsed(tx, lapsing)
        await bench.desk.withdraw_for_incident(tx, "D", "cancelled", "dispatch")
    bench.clock.advance(timedelta(days=31).total_seconds())
    await bench.desk.expire_due()
    return await sent(bench)


async def examined(bench: LeadBench, life: LeadLife, found: list[Candidate], *, inconclusive: bool = False) -> str:
    """A lead on which two examiners agree, in support of one candidate or that nothing can be told; its id."""
    lead_id = (await bench.record(probe_record(bench.clock.now(), incident_id="E"), found)).lead_id
    await bench.desk.acknowledge(lead_id, ANALYST)
    async with bench.database.read() as tx:
        first, peer = await examinations.of_lead(tx, lead_id)
    for record, own in (
        (first, first.refs[0]),
        (peer, next(own for own, ref in peer.candidates if ref == first.refs[0])),
    ):
        given = opinion(record.refs, inconclusive=[own]) if inconclusive else opinion(record.refs, support=[own])
        if record is first:
            await life.examination.conclude(lead_id, ANALYST, given)
        else:
            await life.review.take(record.examination_id, PEER)
            await life.review.conclude(record.examination_id, PEER, given)
    return lead_id


async def test_every_event_validates_against_its_schema_and_the_official_sdk(bench: LeadBench) -> None:
    events = await every_event(bench)
    assert set(types_of(events)) == {name for name in SCHEMAS if not name.endswith(".data")}
    for record in events:
        schema = SCHEMAS[record.event_type]
        checker = Draft202012Validator.FORMAT_CHECKER
        Draft202012Validator(schema, format_checker=checker).validate(dict(record.event))
        message = KafkaMessage(
            headers=dict(STRUCTURED_HEADERS),
            key=(record.key or "").encode(),
            value=json.dumps(record.event).encode(),
        )
        parsed = from_kafka_event(message)
        assert (parsed.get_id(), parsed.get_type()) == (record.event_id, record.event_type)
        assert parsed.get_subject() == data_of(record)["leadId"]
        assert parsed.get_data() == data_of(record)


async def test_sequences_are_gapless_per_lead(bench: LeadBench) -> None:
    sequences: dict[str, list[int]] = {}
    for record in await every_event(bench):
        sequences.setdefault(data_of(record)["leadId"], []).append(data_of(record)["sequence"])
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in sequences.values())
    assert max(map(len, sequences.values())) == 5


async def test_p22_every_event_cites_an_audit_entry_of_its_own_whose_hash_is_true(bench: LeadBench) -> None:
    events = await every_event(bench)
    leaves = [data_of(record)["auditLeaf"] for record in events]
    assert len(set(leaves)) == len(events)
    async with bench.database.read() as tx:
        for record, leaf in zip(events, leaves, strict=True):
            entry = await audit_entries.by_leaf_hash(tx, leaf)
            assert entry is not None
            assert leaf_hash(entry.entry) == leaf
            assert (entry.action, entry.subject) == (record.event_type, data_of(record)["leadId"])
            assert entry.entry["details"]["sequence"] == data_of(record)["sequence"]
            assert entry.entry["authority"]["policyHash"] == data_of(record)["policyHash"]
            assert "CASE-77" not in json.dumps(entry.entry)


async def test_p22_the_reason_in_words_is_in_the_audit_log(bench: LeadBench) -> None:
    lead = await bench.record(probe_record(bench.clock.now()), [])
    async with bench.database.write() as tx:
        await bench.desk.withdraw_for_incident(tx, "INC-1", "unfounded: a prank", "dispatch")
    async with bench.database.read() as tx:
        opened, withdrawn = await audit_entries.by_subject(tx, lead.lead_id)
    assert (opened.actor, withdrawn.actor) == ("the analyst", "dispatch")
    assert withdrawn.entry["details"]["reason"] == "unfounded: a prank"


async def test_a_transaction_that_fails_leaves_no_lead_no_event_no_entry_and_no_count(bench: LeadBench) -> None:
    found = await bench.enroll(1)
    outcome = outcome_of(found)
    sealed = await bench.seal(outcome)
    probe = probe_record(bench.clock.now())

    async def record_and_fail() -> None:
        async with bench.database.write() as tx:
            await probes.insert(tx, probe)
            lead = await bench.desk.record_search(tx, probe, outcome, sealed)
            assert lead.sequence == 1
            raise ConflictError("something else in this transaction")

    with pytest.raises(ConflictError, match="something else"):
        await record_and_fail()
    async with bench.database.read() as tx:
        assert await leads.of_probe(tx, probe.probe_id) is None
        assert await leads.newest(tx, 10) == []
    assert await sent(bench) == []
    assert await on_feed(bench) == []
    assert sample(bench.metrics, "leads_total", state="candidates") == 0
    assert sample(bench.metrics, "searches_total", purpose="imminent_threat", outcome="candidates") == 0


async def test_p15_the_outbox_takes_no_lead_without_its_constants(bench: LeadBench) -> None:
    event = OutgoingEvent(
        event_type="lead.candidates", topic="rtcc.leads", key="k", subject="s", data={"leadId": "x"}, on_feed=True
    )
    with pytest.raises(IntegrityError, match="positiveIdentification"):
        async with bench.database.write() as tx:
            await bench.outbox.put(tx, event)
    assert await sent(bench) == []


async def test_leads_are_listed_newest_first_and_by_incident(bench: LeadBench) -> None:
    first = await bench.record(probe_record(bench.clock.now()), [])
    bench.clock.advance(1)
    second = await bench.record(probe_record(bench.clock.now(), incident_id="INC-2"), [])
    bench.clock.advance(1)
    third = await bench.record(probe_record(bench.clock.now(), exercise=True), [])
    async with bench.database.read() as tx:
        assert await leads.newest(tx, 10) == [third, second, first]
        assert await leads.newest(tx, 2) == [third, second]
        assert await leads.newest(tx, 10, incident_id="INC-1", exercise=False) == [first]
        assert await leads.newest(tx, 10, exercise=True) == [third]


async def test_leads_of_several_states_are_listed_as_one(bench: LeadBench) -> None:
    made = []
    for _ in range(4):
        made.append(await bench.record(probe_record(bench.clock.now()), []))
        bench.clock.advance(1)
    first, second, third, last = made
    ended = replace(third, review_state="withdrawn")
    async with bench.database.write() as tx:
        await leads.change(tx, ended)
        await leads.change(tx, replace(last, review_state="released"))
    states = (first.review_state, "withdrawn")
    async with bench.database.read() as tx:
        assert await leads.newest(tx, 10, exercise=False, states=states) == [ended, second, first]
        assert await leads.newest(tx, 2, states=states) == [ended, second]
        assert await leads.newest(tx, 10, states=("withdrawn",)) == [ended]
        assert await leads.newest(tx, 10, exercise=True, states=states) == []
