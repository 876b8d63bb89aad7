"""P12: who differs is not talked over: the system assigns a third, and dissent travels with the release."""

import asyncio
from typing import Any

import pytest

from rtcc_bridge.errors import ConflictError, NotFoundError, PolicyRefusalError
from rtcc_bridge.leads.comparison import Opinion
from rtcc_bridge.leads.handover import ThirdExaminerWatch, hand_over_due
from rtcc_bridge.policy.accounts import Account, Role
from rtcc_bridge.policy.policy_parts import Conclusion
from rtcc_bridge.storage import tables
from rtcc_bridge.storage.engine import Transaction
from tests.life_kit import FIRST, PEER, REQUESTOR, SUPERVISOR, THIRD, LifeKit, build_life, under
from tests.probe_kit import CERTIFIED, ProbeKit


class Examiners:
    """A directory of these."""

    def __init__(self, *accounts: Account) -> None:
        self.accounts = accounts
        self.uncertified: tuple[Account, ...] = ()

    async def everybody(self, tx: Transaction) -> tuple[Account, ...]:
        return self.accounts

    async def may_finish(self, tx: Transaction, person: str) -> bool:
        return person in {one.person for one in (*self.accounts, *self.uncertified)}


async def differing(life: LifeKit) -> str:
    lead_id = await life.taken()
    await life.conclude(lead_id, (0,))
    await life.review(lead_id, PEER, ())
    return lead_id


async def with_a_review_to_do(life: LifeKit, examiner: Account) -> None:
    waiting = await life.taken()
    await life.conclude(waiting, (0,))
    [row] = await life.kit.rows(tables.examinations, lead_id=waiting, round=2)
    await life.life.review.take(row["examination_id"], examiner)


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


async def third_of(life: LifeKit, lead_id: str) -> dict[str, Any]:
    [row] = await life.kit.rows(tables.examinations, lead_id=lead_id, round=3)
    return row


def analyst(name: str) -> Account:
    return Account(name, frozenset({Role.ANALYST}), CERTIFIED)


async def test_where_nobody_is_left_the_lead_closes_as_inconclusive_in_time(kit: ProbeKit) -> None:
    """Not at once: whoever went home for the night signs in again in the morning."""
    life = build_life(kit, Examiners(FIRST, PEER))
    lead_id = await differing(life)
    third = await third_of(life, lead_id)
    kit.clock.advance(24 * 3600 - 1)
    assert await hand_over_due(life.parts) == 0
    for account in (FIRST, PEER, THIRD):
        assert await life.life.review.queue(account) == []
        with pytest.raises(PolicyRefusalError):
            await life.life.review.take(third["examination_id"], account)
    assert await life.state(lead_id) == "in_review"
    kit.clock.advance(1)
    assert await hand_over_due(life.parts) == 0
    assert await life.state(lead_id) == "inconclusive"
    assert (await life.types(lead_id))[-1] == "lead.inconclusive"
    assert (await third_of(life, lead_id))["closed_at"] == kit.clock.now()


async def test_whoever_comes_while_a_lead_waits_for_somebody_is_asked(kit: ProbeKit) -> None:
    examiners = Examiners(FIRST, PEER)
    life = build_life(kit, examiners)
    lead_id = await differing(life)
    examiners.accounts = (FIRST, PEER, THIRD)
    assert await hand_over_due(life.parts) == 1
    assert (await third_of(life, lead_id))["reserved_for"] == THIRD.name
    await life.review(lead_id, THIRD, (0,))
    await life.life.release.release(lead_id, FIRST, ())


@pytest.mark.parametrize("begun", [False, True], ids=["not taken", "taken"])
async def test_a_third_who_left_is_replaced_at_once_by_one_whom_the_system_chooses(kit: ProbeKit, begun: bool) -> None:
    gone, next_one = analyst("gone"), analyst("next")
    examiners = Examiners(FIRST, PEER, gone)
    life = build_life(kit, examiners)
    lead_id = await differing(life)
    before = await third_of(life, lead_id)
    if begun:
        sheet = await life.life.review.take(before["examination_id"], gone)
        await life.life.review.keep(before["examination_id"], gone, Opinion(excluded=sheet.examination.refs[:1]))
    events = await life.types(lead_id)
    # A supervisor who approved, a requestor who can examine as well, and the first two under another spelling.
    barred = (SUPERVISOR, REQUESTOR, Account(f" {PEER.name.upper()}", PEER.roles, PEER.certificates))
    examiners.accounts = (FIRST, PEER, *barred, next_one)
    assert await hand_over_due(life.parts) == 1
    after = await third_of(life, lead_id)
    assert (after["reserved_for"], after["examiner"], after["opened_at"]) == ("next", None, kit.clock.now())
    assert dict(after["candidates"]).keys().isdisjoint(dict(before["candidates"]))
    assert set(dict(after["candidates"]).values()) == set(dict(before["candidates"]).values())
    for account in (gone, next_one):
        with pytest.raises(NotFoundError):
            await life.life.review.view(before["examination_id"], account)
    assert await kit.rows(tables.opinions, examination_id=before["examination_id"]) == []
    with pytest.raises(PolicyRefusalError):
        await life.life.review.take(after["examination_id"], gone)
    assert await life.types(lead_id) == events, "the topic knows no event for it"
    [entry] = await kit.audited("review.hand_over")
    assert (entry["actor"], entry["subject"], entry["outcome"]) == ("system", lead_id, "handed_over")
    assert entry["entry"]["details"] == {
        "reason": "may_not_examine",
        "review": before["examination_id"],
        "from": "gone",
        "into": after["examination_id"],
        "to": "next",
    }
    assert await hand_over_due(life.parts) == 0
    await life.review(lead_id, next_one, (0,))
    await life.life.release.release(lead_id, FIRST, ())


async def test_a_certificate_that_ends_takes_what_was_not_begun(kit: ProbeKit) -> None:
    late, other = analyst("late"), analyst("other")
    for begun, handed in ((False, 1), (True, 0)):
        examiners = Examiners(FIRST, PEER, late)
        life = build_life(kit, examiners)
        lead_id = await differing(life)
        if begun:
            await life.life.review.take((await third_of(life, lead_id))["examination_id"], late)
        examiners.accounts, examiners.uncertified = (FIRST, PEER, other), (late,)
        assert await hand_over_due(life.parts) == handed
        assert (await third_of(life, lead_id))["reserved_for"] == ("late" if begun else "other")


async def test_a_third_who_takes_too_long_is_replaced_and_not_asked_again_while_others_are_there(kit: ProbeKit) -> None:
    slow, second, last = analyst("slow"), analyst("second"), analyst("last")
    examiners = Examiners(FIRST, PEER, slow)
    life = build_life(kit, examiners)
    lead_id = await differing(life)
    kit.clock.advance(24 * 3600)
    assert await hand_over_due(life.parts) == 0, "nobody else can be asked, and this one may conclude"
    for added in (second, last):
        examiners.accounts = (*examiners.accounts, added)
        await with_a_review_to_do(life, added)
        assert await hand_over_due(life.parts) == 1
        assert (await third_of(life, lead_id))["reserved_for"] == added.name, "the busiest, and not asked before"
        kit.clock.advance(24 * 3600 - 1)
        assert await hand_over_due(life.parts) == 0
        kit.clock.advance(1)
    assert await hand_over_due(life.parts) == 1
    assert (await third_of(life, lead_id))["reserved_for"] in {"slow", "second"}
    reasons = [row["reason"] for row in await kit.rows(tables.handed_over_examinations, lead_id=lead_id)]
    assert reasons == ["not_concluded_in_time"] * 3


async def test_the_policy_says_how_long_a_third_may_take(kit: ProbeKit) -> None:
    examiners = Examiners(FIRST, PEER, THIRD)
    life = build_life(kit, examiners)
    await under(life, review={"third_within_hours": 2})
    lead_id = await differing(life)
    examiners.accounts = (*examiners.accounts, analyst("other"))
    kit.clock.advance(2 * 3600 - 1)
    assert await hand_over_due(life.parts) == 0
    kit.clock.advance(1)
    assert await hand_over_due(life.parts) == 1
    assert (await third_of(life, lead_id))["reserved_for"] == "other"


async def test_a_third_who_has_got_another_part_in_the_lead_is_replaced(kit: ProbeKit) -> None:
    """The supervisor whose approval came afterwards (P14) examines as well, and had not taken the review yet."""
    both = Account("both", frozenset({Role.SUPERVISOR, Role.ANALYST}), CERTIFIED)
    examiners = Examiners(FIRST, PEER, both)
    life = build_life(kit, examiners)
    lead_id = await life.taken(imminent=True)
    await life.conclude(lead_id, (0,))
    await life.review(lead_id, PEER, ())
    assert (await third_of(life, lead_id))["reserved_for"] == "both"
    [lead] = await kit.rows(tables.leads, lead_id=lead_id)
    await kit.desk.approve(lead["probe_id"], both)
    examiners.accounts = (*examiners.accounts, THIRD)
    assert await hand_over_due(life.parts) == 1
    [row] = await kit.rows(tables.handed_over_examinations, lead_id=lead_id)
    assert (row["reserved_for"], row["reason"]) == ("both", "has_a_part")


async def test_two_processes_hand_an_examination_over_once(kit: ProbeKit) -> None:
    examiners = Examiners(FIRST, PEER, analyst("gone"))
    life = build_life(kit, examiners)
    lead_id = await differing(life)
    examiners.accounts = (FIRST, PEER, analyst("one"), analyst("two"))
    handed = await asyncio.gather(hand_over_due(life.parts), hand_over_due(life.parts))
    assert sorted(handed) == [0, 1]
    assert len(await kit.rows(tables.handed_over_examinations, lead_id=lead_id)) == 1


async def test_the_daemon_looks_by_itself(kit: ProbeKit) -> None:
    examiners = Examiners(FIRST, PEER, analyst("gone"))
    life = build_life(kit, examiners)
    await differing(life)
    examiners.accounts = (FIRST, PEER, THIRD)
    watch = asyncio.create_task(ThirdExaminerWatch(life.parts).run())
    async with asyncio.timeout(30):
        while not await kit.audited("review.hand_over"):
            assert not watch.done()
            await asyncio.sleep(0.01)
    watch.cancel()
    await asyncio.wait([watch])


async def test_the_third_is_the_one_with_the_least_to_do(kit: ProbeKit) -> None:
    busy, idle = (Account(name, frozenset({Role.ANALYST}), CERTIFIED) for name in ("busy", "idle"))
    life = build_life(kit, Examiners(FIRST, PEER, busy, idle))
    await with_a_review_to_do(life, busy)
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
