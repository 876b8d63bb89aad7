"""P18: a lead is corroborated by independent evidence alone; an outcome is asked for, and without one it expires."""

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import update

from rtcc_bridge.cloud_event import rfc3339
from rtcc_bridge.errors import ConflictError, InvalidInputError, PolicyRefusalError
from rtcc_bridge.leads.corroboration import OutcomeReport
from rtcc_bridge.leads.lead import Outcome
from rtcc_bridge.matching.types import Candidate
from rtcc_bridge.policy.accounts import Account, Role
from rtcc_bridge.policy.policy_parts import EvidenceKind
from rtcc_bridge.storage import tables
from tests.life_kit import FIRST, FLOOR, PEER, REQUESTOR, SUPERVISOR, LifeKit, under

LIFETIME = timedelta(hours=720)


def report(life: LifeKit, outcome: str = "corroborated", *items: dict[str, Any]) -> OutcomeReport:
    now = life.kit.clock.now()
    evidence = [{"kind": "dna", "itemNumber": "26-11-4", "obtainedAt": now, **item} for item in items]
    return OutcomeReport.model_validate({"outcome": outcome, "investigator": "badge 4711", "evidence": evidence})


async def refused(life: LifeKit, lead_id: str, given: OutcomeReport, account: Account = REQUESTOR) -> str:
    with pytest.raises(PolicyRefusalError) as caught:
        await life.life.corroboration.report(lead_id, account, given)
    assert await life.kit.rows(tables.corroborations) == []
    assert await life.kit.events("lead.corroborated") == []
    return caught.value.rule


async def test_independent_evidence_corroborates_and_its_kinds_are_published(life: LifeKit) -> None:
    lead_id = await life.released()
    given = report(
        life, "corroborated", {}, {"kind": "phone_records", "itemNumber": "26-11-5"}, {"itemNumber": "26-11-6"}
    )
    await life.life.corroboration.report(lead_id, REQUESTOR, given)
    [event] = await life.kit.events("lead.corroborated")
    assert event["corroboration"] == {"state": "corroborated", "evidenceKinds": ["dna", "phone_records"]}
    assert event["candidates"][0]["conclusion"] == "support"
    [row] = await life.kit.rows(tables.corroborations)
    assert [item["itemNumber"] for item in row["evidence"]] == ["26-11-4", "26-11-5", "26-11-6"]
    assert (row["investigator"], row["reported_by"]) == ("badge 4711", "requestor")
    published = str([row["event"] for row in await life.kit.rows(tables.outbox)])
    assert "26-11-4" not in published
    assert "4711" not in published


async def test_without_an_item_nothing_is_corroborated(life: LifeKit) -> None:
    assert await refused(life, await life.released(), report(life)) == "P18"


async def test_a_witness_who_saw_the_candidate_first_is_no_independent_evidence(life: LifeKit) -> None:
    lead_id = await life.released()
    life.kit.clock.advance(3600)
    disclosed = life.kit.clock.now() - timedelta(hours=1)
    for moment in (disclosed, life.kit.clock.now()):
        late = report(life, "corroborated", {"kind": "witness_identification", "obtainedAt": moment})
        assert await refused(life, lead_id, late) == "P18"
        beside = report(life, "corroborated", {}, {"kind": "witness_identification", "obtainedAt": moment})
        assert await refused(life, lead_id, beside) == "P18", "another item does not make it better"
    before = disclosed - timedelta(minutes=1)
    early = report(life, "corroborated", {"kind": "witness_identification", "obtainedAt": before})
    await life.life.corroboration.report(lead_id, REQUESTOR, early)


async def released_with(life: LifeKit, *people: Candidate) -> str:
    """A further still of the case, whose search lists these people, and of whom the first in `listed` is released."""
    lead_id = await life.lead(listed=people)
    await life.leads.acknowledge(lead_id, FIRST)
    await life.conclude(lead_id, (0,))
    await life.review(lead_id, PEER, (0,))
    await life.life.release.release(lead_id, FIRST, ())
    life.kit.clock.advance(3600)
    return lead_id


async def test_a_second_lead_makes_no_evidence_of_a_witness_who_saw_the_candidate_in_the_first(life: LifeKit) -> None:
    somebody = await life.enrol("somebody", pictures=2)
    await released_with(life, somebody)
    between = life.kit.clock.now()
    life.kit.clock.advance(3600)
    second = await released_with(life, somebody)
    late = report(life, "corroborated", {"kind": "witness_identification", "obtainedAt": between})
    assert await refused(life, second, late) == "P18"
    early = {"kind": "witness_identification", "obtainedAt": between - timedelta(hours=2)}
    await life.life.corroboration.report(second, REQUESTOR, report(life, "corroborated", early))


ELSEWHERE = {
    "case_number": "26-000999",
    "incident_id": "incident-9",
    "original_sha256": "0" * 64,
    "crop_sha256": "1" * 64,
}
"""What makes a search one of another matter: each of them, and not a number alone."""


async def make_of_elsewhere(life: LifeKit, lead_id: str, *but: str) -> None:
    """The lead's search gets everything of another matter but this."""
    [lead] = await life.kit.rows(tables.leads, lead_id=lead_id)
    values = {name: value for name, value in ELSEWHERE.items() if name not in but}
    async with life.kit.database.write() as tx:
        where = tables.probes.c.probe_id == lead["probe_id"]
        await tx.execute(update(tables.probes).where(where).values(values))


@pytest.mark.parametrize("shared", ["incident_id", "original_sha256", "crop_sha256"])
async def test_another_case_number_makes_no_evidence_of_a_witness_who_saw_the_candidate(
    life: LifeKit, shared: str
) -> None:
    somebody = await life.enrol("somebody", pictures=2)
    await make_of_elsewhere(life, await released_with(life, somebody), shared)
    between = life.kit.clock.now()
    life.kit.clock.advance(3600)
    second = await released_with(life, somebody)
    late = report(life, "corroborated", {"kind": "witness_identification", "obtainedAt": between})
    assert await refused(life, second, late) == "P18"


async def test_a_lead_that_named_somebody_else_or_another_matter_disclosed_nobody(life: LifeKit) -> None:
    somebody, other = await life.enrol("somebody", pictures=2), await life.enrol("somebody else", pictures=2)
    await make_of_elsewhere(life, await released_with(life, somebody))
    both = await life.lead(listed=(somebody, other))
    await life.leads.acknowledge(both, FIRST)
    refs = {
        row["subject_id"]: row["candidate_ref"] for row in await life.kit.rows(tables.lead_candidates, lead_id=both)
    }
    place = (await life.listed(both)).index(refs[other.subject_id])
    await life.conclude(both, (place,))
    await life.review(both, PEER, (place,))
    await life.life.release.release(both, FIRST, ())
    life.kit.clock.advance(3600)
    witness = {"kind": "witness_identification", "obtainedAt": life.kit.clock.now() - timedelta(minutes=1)}
    last = await released_with(life, somebody)
    await life.life.corroboration.report(last, REQUESTOR, report(life, "corroborated", witness))


async def test_evidence_that_is_still_to_come_is_none(life: LifeKit) -> None:
    lead_id = await life.released()
    future = life.kit.clock.now() + timedelta(seconds=1)
    assert await refused(life, lead_id, report(life, "corroborated", {"obtainedAt": future})) == "P18"


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "the_same_picture_again"},
        {"kind": "similarity_score"},
        {"kind": "lineup"},
        {"itemNumber": ""},
        {"itemNumber": "  "},
        {"obtainedAt": "2026-11-23T12:00:00"},
        {"obtainedAt": None},
        {"note": "x"},
    ],
)
async def test_the_kinds_are_a_closed_list_and_each_item_has_number_and_date(life: LifeKit, change: Any) -> None:
    with pytest.raises(ValidationError):
        report(life, "corroborated", change)


async def test_somebody_vouches_for_it(life: LifeKit) -> None:
    for nobody in ("", "   "):
        with pytest.raises(ValidationError):
            OutcomeReport.model_validate({"outcome": "refuted", "investigator": nobody})


async def test_the_investigator_who_has_the_lead_reports(life: LifeKit) -> None:
    lead_id = await life.released()
    given = report(life, "corroborated", {})
    assert await refused(life, lead_id, given, Account("another", frozenset({Role.REQUESTOR}))) == "P18"
    for account in (FIRST, SUPERVISOR, FLOOR):
        assert await refused(life, lead_id, given, account) == "P10"


@pytest.mark.parametrize("outcome", ["refuted", "unresolved"])
async def test_an_outcome_against_the_lead_needs_no_item(life: LifeKit, outcome: str) -> None:
    lead_id = await life.released()
    await life.life.corroboration.report(lead_id, REQUESTOR, report(life, outcome))
    [event] = await life.kit.events(f"lead.{outcome}")
    assert event["corroboration"] == {"state": outcome, "evidenceKinds": []}
    life.kit.clock.advance(LIFETIME.total_seconds())
    assert await life.leads.expire_due() == 0


async def test_an_outcome_is_reported_once_but_an_unresolved_one_may_resolve(life: LifeKit) -> None:
    lead_id = await life.released()
    await life.life.corroboration.report(lead_id, REQUESTOR, report(life, "unresolved"))
    await life.life.corroboration.report(lead_id, REQUESTOR, report(life, "refuted", {"kind": "alibi"}))
    with pytest.raises(ConflictError, match="refuted already"):
        await life.life.corroboration.report(lead_id, REQUESTOR, report(life, "corroborated", {}))
    assert (await life.types(lead_id))[-2:] == ["lead.unresolved", "lead.refuted"]


async def test_only_a_released_lead_has_an_outcome(life: LifeKit) -> None:
    with pytest.raises(ConflictError, match="not released"):
        await life.life.corroboration.report(await life.agreed(), REQUESTOR, report(life, "refuted"))
    nobody = await life.released(())
    with pytest.raises(ConflictError):
        await life.life.corroboration.report(nobody, REQUESTOR, report(life, "refuted"))


async def test_none_is_no_outcome_to_report(life: LifeKit) -> None:
    lead_id = await life.released()
    with pytest.raises(InvalidInputError):
        await life.life.corroboration.report(lead_id, REQUESTOR, report(life, Outcome.NONE))


async def test_the_outcome_is_asked_for_a_week_and_a_day_before_the_end_once_each(life: LifeKit) -> None:
    await life.released()
    [(asked)] = await life.life.release.all_received(REQUESTOR)
    assert asked.asked_at is None
    told = []
    for hours in (552 - 1, 1, 100, 44, 1, 22):
        life.kit.clock.advance(hours * 3600)
        await life.kit.reconciler.sweep()
        told.append(len(await life.kit.audited("lead.remind")))
    assert told == [0, 1, 1, 2, 2, 2]
    [(asked)] = await life.life.release.all_received(REQUESTOR)
    assert asked.asked_at is not None


async def test_nobody_is_reminded_of_a_lead_whose_outcome_is_known(life: LifeKit) -> None:
    lead_id = await life.released()
    await life.life.corroboration.report(lead_id, REQUESTOR, report(life, "refuted"))
    life.kit.clock.advance(LIFETIME.total_seconds() - 1)
    assert await life.leads.remind_due((168, 24)) == 0


async def test_a_released_lead_without_an_outcome_expires(life: LifeKit) -> None:
    lead_id = await life.released()
    life.kit.clock.advance(LIFETIME.total_seconds())
    await life.kit.reconciler.sweep()
    assert await life.state(lead_id) == "expired"
    assert (await life.types(lead_id))[-1] == "lead.expired"
    with pytest.raises(ConflictError):
        await life.life.corroboration.report(lead_id, REQUESTOR, report(life, "corroborated", {}))


async def test_a_lead_whose_time_is_over_serves_nobody_although_no_sweep_has_come_to_it(life: LifeKit) -> None:
    """What ends it by itself runs in another process than the pages, and may be down."""
    lead_id, agreed, untaken = await life.released(), await life.agreed(), await life.lead()
    [row] = await life.kit.rows(tables.examinations, lead_id=agreed, round=2)
    life.kit.clock.advance(LIFETIME.total_seconds())
    desks, dna = life.life, report(life, "corroborated", {})
    for use in (
        desks.release.received(lead_id, REQUESTOR),
        desks.corroboration.report(lead_id, REQUESTOR, dna),
        desks.corroboration.extend(lead_id, SUPERVISOR, 240, "the laboratory is late"),
        desks.release.release(agreed, FIRST, ()),
        desks.examination.view(agreed, FIRST),
        desks.review.view(row["examination_id"], PEER),
        life.leads.acknowledge(untaken, FIRST),
    ):
        with pytest.raises(PolicyRefusalError) as caught:
            await use
        assert caught.value.rule == "P18"
    assert await life.kit.rows(tables.corroborations) == []
    assert (await desks.withdrawal.withdraw(lead_id, SUPERVISOR, "it is over")).review_state == "withdrawn"


async def test_a_lead_whose_outcome_is_known_is_received_after_its_time(life: LifeKit) -> None:
    lead_id = await life.released()
    await life.life.corroboration.report(lead_id, REQUESTOR, report(life, "corroborated", {}))
    life.kit.clock.advance(LIFETIME.total_seconds())
    assert (await life.life.release.received(lead_id, REQUESTOR)).lead.review_state == "released"


async def test_a_supervisor_gives_a_lead_more_time_with_a_reason(life: LifeKit) -> None:
    lead_id = await life.released()
    life.kit.clock.advance(700 * 3600)
    extended = await life.life.corroboration.extend(lead_id, SUPERVISOR, 240, "the laboratory is late")
    assert extended.expires_at == life.kit.clock.now() + timedelta(hours=240)
    [entry] = await life.kit.audited("lead.extend")
    assert (entry["actor"], entry["entry"]["details"]["reason"]) == ("supervisor", "the laboratory is late")
    [shown] = [data for data in await life.kit.events("floor.lead") if data["expiresAt"] != data["releasedAt"]][-1:]
    assert shown["candidates"] == [{"candidateRef": (await life.listed(lead_id))[0]}], "no conclusion on the feed"
    life.kit.clock.advance(240 * 3600 - 1)
    assert await life.leads.expire_due() == 0
    life.kit.clock.advance(1)
    assert await life.leads.expire_due() == 1


async def test_nobody_else_extends_and_not_without_reason_or_bound(life: LifeKit) -> None:
    lead_id = await life.released()
    desk = life.life.corroboration
    for account in (FIRST, REQUESTOR, FLOOR):
        with pytest.raises(PolicyRefusalError) as caught:
            await desk.extend(lead_id, account, 720, "because")
        assert caught.value.rule == "P10"
    for hours, reason in ((720, " "), (0, "because"), (721, "because")):
        with pytest.raises(InvalidInputError):
            await desk.extend(lead_id, SUPERVISOR, hours, reason)
    with pytest.raises(ConflictError, match="more time"):
        await desk.extend(lead_id, SUPERVISOR, 720, "it has as much")


def test_the_closed_list_is_that_of_the_documents() -> None:
    assert {kind.value for kind in EvidenceKind} == {
        "dna", "fingerprints", "identity_document", "official_record", "phone_records", "location_records",
        "financial_records", "digital_traces", "physical_trace", "seized_property", "vehicle", "other_recording",
        "admission", "alibi", "witness_identification",
    }  # fmt: skip


async def test_a_kind_that_the_policy_leaves_out_does_not_count(life: LifeKit) -> None:
    lead_id = await life.released()
    await under(life, corroboration={"evidence_kinds": ["fingerprints"]})
    assert await refused(life, lead_id, report(life, "corroborated", {})) == "P18"
    await life.life.corroboration.report(lead_id, REQUESTOR, report(life, "corroborated", {"kind": "fingerprints"}))


async def test_the_policy_says_how_long_the_outcome_may_take(life: LifeKit) -> None:
    await under(life, corroboration={"outcome_within_days": 10})
    lead_id = await life.agreed()
    life.kit.clock.advance(24 * 3600)
    released = await life.life.release.release(lead_id, FIRST, ())
    assert released.expires_at == life.kit.clock.now() + timedelta(days=10)
    [event] = await life.kit.events("lead.released")
    assert event["expiresAt"] == rfc3339(released.expires_at)
    life.kit.clock.advance(3 * 24 * 3600)
    await life.kit.reconciler.sweep()
    assert [row["entry"]["details"]["hoursBefore"] for row in await life.kit.audited("lead.remind")] == [168]
    life.kit.clock.advance(7 * 24 * 3600 - 1)
    assert await life.leads.expire_due() == 0
    life.kit.clock.advance(1)
    assert await life.leads.expire_due() == 1
    assert await life.state(lead_id) == "expired"


async def test_a_longer_time_for_the_outcome_makes_no_lead_live_longer(life: LifeKit) -> None:
    await under(life, corroboration={"outcome_within_days": 90})
    lead_id = await life.agreed()
    [before] = await life.kit.rows(tables.leads, lead_id=lead_id)
    assert (await life.life.release.release(lead_id, FIRST, ())).expires_at == before["expires_at"]


async def test_a_lead_that_nobody_answered_for_is_named_and_counted(life: LifeKit) -> None:
    answered, _, unexamined = await life.released(), await life.released(()), await life.lead()
    unanswered = await life.released()
    await life.life.corroboration.report(answered, REQUESTOR, report(life, "unresolved"))
    life.kit.clock.advance(LIFETIME.total_seconds())
    await life.leads.expire_due()
    expired = {row["subject"]: row["entry"]["details"] for row in await life.kit.audited("lead.expired")}
    assert answered not in expired
    assert "unanswered" not in expired[unexamined]
    assert [lead_id for lead_id, details in expired.items() if details.get("unanswered")] == [unanswered]
    assert life.kit.count("leads_unanswered_total", lane="routine") == 1
