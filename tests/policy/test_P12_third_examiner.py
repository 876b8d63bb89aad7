"""P12: who differs is not talked over: the system assigns a third, and dissent travels with the release."""

import pytest

from rtcc_bridge.errors import ConflictError, PolicyRefusalError
from rtcc_bridge.policy.accounts import Account, Role
from rtcc_bridge.policy.policy_parts import Conclusion
from rtcc_bridge.storage import tables
from rtcc_bridge.storage.engine import Transaction
from tests.life_kit import FIRST, PEER, REQUESTOR, THIRD, LifeKit, build_life
from tests.probe_kit import CERTIFIED, ProbeKit


class Examiners:
    """A directory of these."""

    def __init__(self, *accounts: Account) -> None:
        self.accounts = accounts

    async def everybody(self, tx: Transaction) -> tuple[Account, ...]:
        return self.accounts


async def differing(life: LifeKit) -> str:
    lead_id = await life.taken()
    await life.conclude(lead_id, (0,))
    await life.review(lead_id, PEER, ())
    return lead_id


async def test_a_third_is_assigned_who_has_no_part_in_the_lead(life: LifeKit) -> None:
    lead_id = await differing(life)
    [third] = await life.kit.rows(tables.examinations, lead_id=lead_id, round=3)
    assert third["reserved_for"] == THIRD.name
    assert await life.state(lead_id) == "in_review"
    with pytest.raises(PolicyRefusalError):
        await life.life.release.release(lead_id, FIRST, ())


async def test_nobody_chooses_to_be_the_third(life: LifeKit) -> None:
    lead_id = await differing(life)
    [third] = await life.kit.rows(tables.examinations, lead_id=lead_id, round=3)
    willing = Account("willing", frozenset({Role.ANALYST}))
    assert await life.life.review.queue(willing) == []
    with pytest.raises(PolicyRefusalError) as caught:
        await life.life.review.take(third["examination_id"], willing)
    assert caught.value.rule == "P12"


async def test_the_third_gets_the_whole_list_in_an_order_and_under_references_of_its_own(life: LifeKit) -> None:
    lead_id = await differing(life)
    rows = await life.kit.rows(tables.examinations, lead_id=lead_id)
    listed = {row["round"]: dict(row["candidates"]) for row in rows}
    assert set(listed[1].values()) == set(listed[2].values()) == set(listed[3].values())
    assert not set(listed[1]) & set(listed[2])
    assert not set(listed[2]) & set(listed[3])


async def test_the_dissent_of_who_was_overruled_travels_with_the_release(life: LifeKit) -> None:
    lead_id = await differing(life)
    await life.review(lead_id, THIRD, (0,), level=Conclusion.LIMITED_SUPPORT)
    await life.life.release.release(lead_id, FIRST, ())
    received = await life.life.release.received(lead_id, REQUESTOR)
    ref = (await life.listed(lead_id))[0]
    assert received.release.findings == {
        "candidates": [{"candidateRef": ref, "conclusion": "limited_support"}],
        "dissent": [{"candidateRef": ref, "conclusion": "exclusion"}],
    }


async def test_three_who_say_three_things_close_the_lead_as_inconclusive(life: LifeKit) -> None:
    lead_id = await differing(life)
    await life.review(lead_id, THIRD, (1,))
    assert await life.state(lead_id) == "inconclusive"
    assert (await life.types(lead_id))[-1] == "lead.inconclusive"
    with pytest.raises(ConflictError):
        await life.life.release.release(lead_id, FIRST, ())


async def test_where_nobody_is_left_the_lead_closes_as_inconclusive(kit: ProbeKit) -> None:
    life = build_life(kit, Examiners(FIRST, PEER))
    lead_id = await differing(life)
    assert await life.state(lead_id) == "inconclusive"
    assert await kit.rows(tables.examinations, lead_id=lead_id, round=3) == []


async def test_the_third_is_the_one_with_the_least_to_do(kit: ProbeKit) -> None:
    busy, idle = (Account(name, frozenset({Role.ANALYST}), CERTIFIED) for name in ("busy", "idle"))
    life = build_life(kit, Examiners(FIRST, PEER, busy, idle))
    waiting = await life.taken()
    await life.conclude(waiting, (0,))
    [row] = await kit.rows(tables.examinations, lead_id=waiting, round=2)
    await life.life.review.take(row["examination_id"], busy)
    lead_id = await differing(life)
    [third] = await kit.rows(tables.examinations, lead_id=lead_id, round=3)
    assert third["reserved_for"] == "idle"


async def test_on_the_imminent_lane_both_get_the_list_at_the_same_moment(life: LifeKit) -> None:
    lead_id = await life.taken(imminent=True)
    assert await life.types(lead_id) == ["lead.candidates", "lead.acknowledged", "lead.in_review"]
    rows = await life.kit.rows(tables.examinations, lead_id=lead_id)
    assert {row["round"]: row["opened_at"] for row in rows} == dict.fromkeys((1, 2), life.kit.clock.now())
    await life.review(lead_id, PEER, (0,))
    with pytest.raises(PolicyRefusalError) as caught:
        await life.life.release.release(lead_id, FIRST, ())
    assert caught.value.rule == "P11", "the reviewer was first, and one is not enough"
    await life.conclude(lead_id, (0,))
    await life.life.release.release(lead_id, FIRST, ())
    assert await life.state(lead_id) == "released"


async def test_the_routine_review_opens_when_the_first_has_concluded(life: LifeKit) -> None:
    lead_id = await life.taken()
    assert await life.life.review.queue(PEER) == []
    await life.conclude(lead_id, ())
    assert len(await life.life.review.queue(PEER)) == 1
    assert life.kit.count("leads_total", state="in_review") == 1


async def test_the_time_to_the_peer_review_is_measured(life: LifeKit) -> None:
    lead_id = await life.taken()
    await life.conclude(lead_id, ())
    life.kit.clock.advance(90)
    await life.review(lead_id, PEER, ())
    assert life.kit.count("time_to_peer_review_seconds_sum", lane="routine") == 90
    assert life.kit.count("time_to_peer_review_seconds_count", lane="routine") == 1


async def test_a_lead_that_ends_takes_its_review_along(life: LifeKit) -> None:
    lead_id = await life.taken()
    await life.conclude(lead_id, (0,))
    [row] = await life.kit.rows(tables.examinations, lead_id=lead_id, round=2)
    await life.life.review.take(row["examination_id"], PEER)
    async with life.kit.database.write() as tx:
        await life.leads.withdraw_for_incident(tx, "incident-1", "unfounded", "dispatch")
    assert await life.life.review.queue(PEER) == []
    sheet = await life.life.review.view(row["examination_id"], PEER)
    with pytest.raises(ConflictError, match="ended"):
        await life.life.review.conclude(row["examination_id"], PEER, sheet.opinion)
