"""P11: the peer reviewer is another certified analyst: not the first, not the requestor, not the approver."""

import asyncio

import pytest
from sqlalchemy import update

from rtcc_bridge.errors import ConflictError, PolicyRefusalError
from rtcc_bridge.policy.accounts import Account, Role
from rtcc_bridge.storage import tables
from tests.life_kit import FIRST, FLOOR, PEER, REQUESTOR, SUPERVISOR, THIRD, LifeKit, opinion
from tests.probe_kit import CERTIFIED, FORM, ProbeKit

BOTH = frozenset({Role.ANALYST, Role.SUPERVISOR})


async def open_review(life: LifeKit) -> tuple[str, str]:
    """A lead whose first examination is concluded, and its review."""
    lead_id = await life.taken()
    await life.conclude(lead_id, (0,))
    [row] = await life.kit.rows(tables.examinations, lead_id=lead_id, round=2)
    return lead_id, str(row["examination_id"])


async def refused(life: LifeKit, review_id: str, account: Account, rule: str = "P11") -> None:
    before = len(await life.kit.audited("review.take"))
    with pytest.raises(PolicyRefusalError) as caught:
        await life.life.review.take(review_id, account)
    assert caught.value.rule == rule
    audited = await life.kit.audited("review.take")
    assert len(audited) == before + 1
    assert audited[-1]["entry"]["details"]["rule"] == rule
    [row] = await life.kit.rows(tables.examinations, examination_id=review_id)
    assert row["examiner"] is None
    assert review_id not in {one.examination_id for one in await life.life.review.queue(account)}


@pytest.mark.parametrize("name", ["analyst", "Analyst", " ANALYST "])
async def test_the_first_examiner_does_not_review_themselves_under_any_spelling(life: LifeKit, name: str) -> None:
    _, review_id = await open_review(life)
    await refused(life, review_id, Account(name, frozenset({Role.ANALYST})))


async def test_the_analyst_who_attached_the_still_does_not_review_it(life: LifeKit) -> None:
    """Who ran the search knows its case, whoever took the lead afterwards."""
    lead_id = await life.lead()
    await life.leads.acknowledge(lead_id, THIRD)
    listed = await life.listed(lead_id)
    await life.life.examination.conclude(lead_id, THIRD, opinion(listed))
    [row] = await life.kit.rows(tables.examinations, lead_id=lead_id, round=2)
    await refused(life, row["examination_id"], FIRST)


async def test_the_requestor_does_not_review(life: LifeKit) -> None:
    _, review_id = await open_review(life)
    await refused(life, review_id, Account(FORM.requestor, frozenset({Role.ANALYST, Role.REQUESTOR})))


@pytest.mark.parametrize("name", [FORM.requestor, FORM.requestor.upper(), SUPERVISOR.name])
@pytest.mark.parametrize("people", [3, 0])
async def test_the_requestor_and_the_approver_do_not_take_the_lead(life: LifeKit, name: str, people: int) -> None:
    """Whoever takes it is its first examiner: they would see the whole list before anybody has examined it."""
    lead_id = await life.lead(people)
    with pytest.raises(PolicyRefusalError) as caught:
        await life.leads.acknowledge(lead_id, Account(name, frozenset(Role), CERTIFIED))
    assert caught.value.rule == "P11"
    [lead] = await life.kit.rows(tables.leads)
    assert (lead["acknowledged_by"], await life.kit.rows(tables.examinations)) == (None, [])
    assert (await life.leads.acknowledge(lead_id, FIRST)).acknowledged_by == FIRST.person


async def test_the_approver_does_not_review(life: LifeKit) -> None:
    _, review_id = await open_review(life)
    await refused(life, review_id, Account(SUPERVISOR.name, BOTH))


async def test_whoever_took_the_review_of_an_imminent_lead_does_not_approve_its_search(life: LifeKit) -> None:
    """The approval may come while the lead is under review (P14); two parts for one person would be one too many."""
    lead_id = await life.taken(imminent=True)
    [row] = await life.kit.rows(tables.examinations, lead_id=lead_id, round=2)
    double = Account("double", BOTH, CERTIFIED)
    await life.life.review.take(row["examination_id"], double)
    [lead] = await life.kit.rows(tables.leads, lead_id=lead_id)
    with pytest.raises(PolicyRefusalError) as caught:
        await life.kit.desk.approve(lead["probe_id"], double)
    assert caught.value.rule == "P11"
    assert (await life.kit.desk.find(lead["probe_id"])).approval == "pending"
    assert (await life.kit.desk.approve(lead["probe_id"], SUPERVISOR)).approval == "granted"


@pytest.mark.parametrize("account", [FLOOR, SUPERVISOR, REQUESTOR])
async def test_nobody_but_an_analyst_reviews(life: LifeKit, account: Account) -> None:
    _, review_id = await open_review(life)
    for call in (
        life.life.review.take(review_id, account),
        life.life.review.view(review_id, account),
        life.life.review.queue(account),
        life.life.pictures.reviewed_still(review_id, account),
    ):
        with pytest.raises(PolicyRefusalError) as caught:
            await call
        assert caught.value.rule == "P10"


async def test_another_analyst_reviews_and_the_lead_may_be_released(life: LifeKit) -> None:
    lead_id = await life.agreed()
    await life.life.release.release(lead_id, FIRST, ())
    assert await life.state(lead_id) == "released"


async def test_without_the_second_examiner_nothing_is_released(life: LifeKit) -> None:
    lead_id = await life.taken()
    for before in ("nobody has concluded", "the first has concluded"):
        with pytest.raises(PolicyRefusalError) as caught:
            await life.life.release.release(lead_id, FIRST, ())
        assert caught.value.rule == "P11", before
        if before == "nobody has concluded":
            await life.conclude(lead_id, (0,))
    assert await life.kit.rows(tables.releases) == []
    assert await life.kit.events("lead.released") == []


async def test_of_two_reviewers_at_the_same_moment_one_gets_the_review(life: LifeKit) -> None:
    _, review_id = await open_review(life)
    outcomes = await asyncio.gather(
        *(life.life.review.take(review_id, account) for account in (PEER, THIRD)), return_exceptions=True
    )
    lost = [one for one in outcomes if isinstance(one, BaseException)]
    assert [type(one) for one in lost] == [ConflictError]
    winner = next(
        account for account, one in zip((PEER, THIRD), outcomes, strict=True) if not isinstance(one, BaseException)
    )
    assert len(await life.life.review.queue(winner)) == 1
    loser = THIRD if winner is PEER else PEER
    assert await life.life.review.queue(loser) == []
    with pytest.raises(ConflictError):
        await life.life.review.conclude(review_id, loser, opinion(()))


async def test_the_same_reviewer_may_take_it_twice_and_conclude_once(life: LifeKit, kit: ProbeKit) -> None:
    lead_id, review_id = await open_review(life)
    await life.life.review.take(review_id, PEER)
    await life.life.review.take(review_id, PEER)
    assert len(await kit.audited("review.take")) == 1
    await life.review(lead_id, PEER, (0,))
    sheet = await life.life.review.view(review_id, PEER)
    with pytest.raises(ConflictError, match="concluded already"):
        await life.life.review.conclude(review_id, PEER, opinion(sheet.examination.refs))
    with pytest.raises(ConflictError, match="concluded already"):
        await life.life.review.keep(review_id, PEER, opinion(sheet.examination.refs))


async def test_whoever_has_got_a_part_meanwhile_does_not_conclude(life: LifeKit) -> None:
    """The review was theirs to take; what counts is whether it is independent when it is filed."""
    lead_id, review_id = await open_review(life)
    sheet = await life.life.review.take(review_id, PEER)
    [lead] = await life.kit.rows(tables.leads, lead_id=lead_id)
    async with life.kit.database.write() as tx:
        where = tables.probes.c.probe_id == lead["probe_id"]
        await tx.execute(update(tables.probes).where(where).values(approved_by=PEER.name))
    with pytest.raises(PolicyRefusalError) as caught:
        await life.life.review.conclude(review_id, PEER, opinion(sheet.examination.refs))
    assert caught.value.rule == "P11"
    [row] = await life.kit.rows(tables.examinations, examination_id=review_id)
    assert row["filed_at"] is None
