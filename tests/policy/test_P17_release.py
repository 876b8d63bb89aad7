"""P17: at most two candidates go to the requestor, after agreement; nobody and inconclusive are published too."""

from typing import Any

import pytest

from rtcc_bridge.errors import ConflictError, NotFoundError, PolicyRefusalError
from rtcc_bridge.policy.accounts import Account, Role
from rtcc_bridge.storage import tables
from tests.life_kit import ADMINISTRATOR, FIRST, FLOOR, PEER, REQUESTOR, SUPERVISOR, LifeKit, under
from tests.probe_kit import FORM


async def refused(life: LifeKit, lead_id: str, chosen: list[str], account: Account = FIRST, rule: str = "P17") -> None:
    with pytest.raises(PolicyRefusalError) as caught:
        await life.life.release.release(lead_id, account, chosen)
    assert caught.value.rule == rule
    assert await life.kit.events("lead.released") == []
    assert await life.kit.rows(tables.releases) == []


async def test_two_on_whom_both_agree_are_released(life: LifeKit) -> None:
    lead_id = await life.agreed((0, 2))
    await life.life.release.release(lead_id, FIRST, ())
    [event] = await life.kit.events("lead.released")
    listed = await life.listed(lead_id)
    assert {one["candidateRef"] for one in event["candidates"]} == {listed[0], listed[2]}
    assert {one["conclusion"] for one in event["candidates"]} == {"support"}
    assert (event["result"], event["candidateCount"], event["sequence"]) == ("candidates", 2, 4)


async def test_of_three_on_whom_both_agree_somebody_chooses_two(life: LifeKit) -> None:
    lead_id = await life.agreed((0, 1, 2))
    listed = await life.listed(lead_id)
    await refused(life, lead_id, [])
    await refused(life, lead_id, listed)
    released = await life.life.release.release(lead_id, FIRST, listed[:2])
    assert released.data["candidateCount"] == 2


async def test_nobody_is_released_on_whom_the_examiners_do_not_agree(life: LifeKit) -> None:
    lead_id = await life.agreed((0,))
    listed = await life.listed(lead_id)
    await refused(life, lead_id, [listed[1]])
    await refused(life, lead_id, [listed[0], listed[1]])
    await refused(life, lead_id, ["x" * 22])


async def test_the_same_candidate_named_twice_is_one(life: LifeKit) -> None:
    lead_id = await life.agreed((0,))
    [ref, *_] = await life.listed(lead_id)
    released = await life.life.release.release(lead_id, FIRST, [ref, ref, ref])
    assert released.data["candidateCount"] == 1


async def test_agreeing_that_it_is_nobody_is_released_too(life: LifeKit) -> None:
    lead_id = await life.agreed(())
    released = await life.life.release.release(lead_id, PEER, ())
    assert (released.result, released.data["candidates"]) == ("no_candidate", [])
    [event] = await life.kit.events("lead.released")
    assert (event["result"], event["candidateCount"]) == ("no_candidate", 0)
    received = await life.life.release.received(lead_id, REQUESTOR)
    assert received.release.findings == {"candidates": [], "dissent": []}


async def test_a_search_that_found_nobody_is_released_once_somebody_took_it(life: LifeKit) -> None:
    lead_id = await life.lead(people=0)
    with pytest.raises(ConflictError, match="acknowledged"):
        await life.life.release.release(lead_id, FIRST, ())
    await life.leads.acknowledge(lead_id, FIRST)
    await life.life.release.release(lead_id, FIRST, ())
    assert await life.types(lead_id) == ["lead.no_candidate", "lead.acknowledged", "lead.released"]


async def test_two_who_cannot_tell_publish_that(life: LifeKit) -> None:
    lead_id = await life.taken()
    await life.conclude(lead_id, inconclusive=(1,))
    await life.review(lead_id, PEER, inconclusive=(0, 2))
    [event] = await life.kit.events("lead.inconclusive")
    assert (event["result"], event["reviewState"], event["candidates"]) == ("inconclusive", "inconclusive", [])
    with pytest.raises(ConflictError):
        await life.life.release.release(lead_id, FIRST, ())


async def test_a_lead_is_released_once(life: LifeKit) -> None:
    lead_id = await life.released()
    with pytest.raises(ConflictError):
        await life.life.release.release(lead_id, FIRST, ())
    assert len(await life.kit.events("lead.released")) == 1


@pytest.mark.parametrize("account", [FLOOR, REQUESTOR, ADMINISTRATOR])
async def test_only_analysts_and_supervisors_release(life: LifeKit, account: Account) -> None:
    await refused(life, await life.agreed(), [], account, "P10")


async def test_the_requestor_does_not_release_to_themselves(life: LifeKit) -> None:
    await refused(life, await life.agreed(), [], Account(FORM.requestor.upper(), frozenset(Role)))


ENDED = [({"exercise": True}, "P07"), ({"incident_type": "CIVDIS"}, "P02"), ({"status": "cancelled"}, "P08")]
NOT_COVERED = ({"incident_type": "THEFT"}, "P02")


@pytest.mark.parametrize(("changes", "rule"), [*ENDED, NOT_COVERED], ids=str)
async def test_what_its_incident_does_not_permit_any_more_is_not_released(
    life: LifeKit, changes: dict[str, Any], rule: str
) -> None:
    """Whatever dispatch has said since the search, and before any sweep; nor does anybody take such a lead."""
    lead_id, other = await life.agreed(), await life.lead()
    await life.kit.set_incident("incident-1", **changes)
    await refused(life, lead_id, [], rule=rule)
    with pytest.raises(PolicyRefusalError) as caught:
        await life.leads.acknowledge(other, PEER)
    assert caught.value.rule == rule
    assert len(await life.kit.events("lead.acknowledged")) == 1


@pytest.mark.parametrize(("changes", "rule"), ENDED, ids=str)
async def test_what_was_released_is_shown_to_nobody_when_its_incident_ends_it(
    life: LifeKit, changes: dict[str, Any], rule: str
) -> None:
    """Before any sweep has withdrawn it."""
    lead_id = await life.released()
    await life.kit.set_incident("incident-1", **changes)
    for reader in (REQUESTOR, SUPERVISOR):
        with pytest.raises(PolicyRefusalError) as caught:
            await life.life.release.received(lead_id, reader)
        assert caught.value.rule == rule
    assert await life.kit.rows(tables.audit_entries, action="lead.receive", outcome="shown") == []


@pytest.mark.parametrize(("changes", "rule"), ENDED, ids=str)
async def test_what_its_incident_ends_is_shown_to_its_examiners_no_more(
    life: LifeKit, changes: dict[str, Any], rule: str
) -> None:
    """Before anybody has withdrawn it; afterwards they have their own notes again, and no picture."""
    lead_id = await life.taken()
    await life.conclude(lead_id, (0,))
    [review] = await life.kit.rows(tables.examinations, lead_id=lead_id, round=2)
    await life.life.review.take(review["examination_id"], PEER)
    [ref, *_] = await life.listed(lead_id)
    await life.kit.set_incident("incident-1", **changes)
    for look in (
        life.life.examination.view(lead_id, FIRST),
        life.life.pictures.examined_candidate(lead_id, FIRST, ref, 1),
        life.life.review.view(review["examination_id"], PEER),
        life.life.pictures.reviewed_still(review["examination_id"], PEER),
    ):
        with pytest.raises(PolicyRefusalError) as caught:
            await look
        assert caught.value.rule == rule
    await life.life.withdrawal.withdraw(lead_id, SUPERVISOR, "what the next sweep does")
    assert (await life.life.examination.view(lead_id, FIRST)).examination.lead_id == lead_id
    with pytest.raises(ConflictError):
        await life.life.pictures.examined_candidate(lead_id, FIRST, ref, 1)


async def test_a_type_that_is_merely_not_covered_takes_nothing_back_from_the_requestor(life: LifeKit) -> None:
    lead_id = await life.released()
    await life.kit.set_incident("incident-1", **NOT_COVERED[0])
    assert (await life.life.release.received(lead_id, REQUESTOR)).lead.lead_id == lead_id


async def test_a_threat_whose_time_is_over_takes_nothing_from_the_lead(life: LifeKit) -> None:
    """Its expiry ends the deferral alone (P08); the approval has come."""
    lead_id = await life.agreed(imminent=True)
    [row] = await life.kit.rows(tables.leads, lead_id=lead_id)
    await life.kit.desk.approve(row["probe_id"], SUPERVISOR)
    life.kit.clock.advance(3 * 3600)
    assert (await life.life.release.release(lead_id, FIRST, ())).review_state == "released"


async def test_the_requestor_receives_it_and_nobody_elses_requestor_does(life: LifeKit) -> None:
    lead_id = await life.released()
    received = await life.life.release.received(lead_id, REQUESTOR)
    [candidate] = received.release.findings["candidates"]
    picture = await life.life.pictures.released_candidate(lead_id, REQUESTOR, candidate["candidateRef"], 1)
    assert picture.startswith(b"\xff\xd8")
    assert (await life.life.release.received(lead_id, SUPERVISOR)).release == received.release
    other = Account("another-requestor", frozenset({Role.REQUESTOR}))
    for call in (
        life.life.release.received(lead_id, other),
        life.life.pictures.released_candidate(lead_id, other, candidate["candidateRef"], 1),
    ):
        with pytest.raises(PolicyRefusalError) as caught:
            await call
        assert caught.value.rule == "P17"


async def test_only_what_was_released_is_shown_to_the_requestor(life: LifeKit) -> None:
    lead_id = await life.released((0,))
    listed = await life.listed(lead_id)
    with pytest.raises(NotFoundError):
        await life.life.pictures.released_candidate(lead_id, REQUESTOR, listed[1], 1)


async def test_what_was_not_released_is_received_by_nobody(life: LifeKit) -> None:
    lead_id = await life.agreed()
    with pytest.raises(NotFoundError):
        await life.life.release.received(lead_id, REQUESTOR)
    assert await life.life.release.all_received(REQUESTOR) == []


async def test_the_time_from_the_threat_to_the_release_is_measured(life: LifeKit) -> None:
    lead_id = await life.agreed(imminent=True)
    life.kit.clock.advance(600)
    await life.life.release.release(lead_id, FIRST, ())
    assert life.kit.count("threat_to_release_seconds_sum") == 600
    assert life.kit.count("threat_to_release_seconds_count") == 1


async def test_p14_a_lead_that_was_released_is_withdrawn_when_the_approval_does_not_come(life: LifeKit) -> None:
    lead_id = await life.agreed(imminent=True)
    await life.life.release.release(lead_id, FIRST, ())
    [event] = await life.kit.events("lead.released")
    assert event["approval"]["state"] == "pending"
    life.kit.clock.advance(3600)
    await life.kit.reconciler.sweep()
    assert await life.state(lead_id) == "withdrawn"
    assert (await life.types(lead_id))[-1] == "lead.approval_lapsed"


async def test_p14_without_its_approval_a_lead_serves_nobody_although_no_sweep_has_come_to_it(life: LifeKit) -> None:
    lead_id, agreed = await life.agreed(imminent=True), await life.lead(imminent=True, incident_id="incident-2")
    await life.life.release.release(lead_id, FIRST, ())
    life.kit.clock.advance(3600)
    for use in (
        life.life.release.received(lead_id, REQUESTOR),
        life.life.examination.view(lead_id, FIRST),
        life.leads.acknowledge(agreed, FIRST),
    ):
        with pytest.raises(PolicyRefusalError) as caught:
            await use
        assert caught.value.rule == "P14"


async def test_p14_what_was_agreed_on_is_not_released_after_the_hour_without_the_approval(life: LifeKit) -> None:
    lead_id = await life.agreed(imminent=True)
    life.kit.clock.advance(3600)
    await refused(life, lead_id, [], rule="P14")


async def test_the_policy_may_release_one_only(life: LifeKit) -> None:
    lead_id = await life.agreed((0, 1))
    await under(life, review={"release_at_most": 1})
    await refused(life, lead_id, [])
    released = await life.life.release.release(lead_id, FIRST, (await life.listed(lead_id))[:1])
    assert released.data["candidateCount"] == 1
