"""P19: a lead can be taken back at any time, with a reason; a ledger knows everybody who has had it."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from rtcc_bridge.errors import ConflictError, InvalidInputError, NotFoundError, PolicyRefusalError
from rtcc_bridge.policy.accounts import Account
from rtcc_bridge.storage import tables
from tests.life_kit import ADMINISTRATOR, AUDITOR, FIRST, FLOOR, PEER, REQUESTOR, SUPERVISOR, LifeKit

JPEG = b"\xff\xd8"
Reach = Callable[[LifeKit], Awaitable[str]]


async def inconclusive(life: LifeKit) -> str:
    lead_id = await life.taken()
    await life.conclude(lead_id, inconclusive=(0,))
    await life.review(lead_id, PEER, inconclusive=(0,))
    assert await life.state(lead_id) == "inconclusive"
    return lead_id


@pytest.mark.parametrize(
    "reach",
    [LifeKit.lead, LifeKit.taken, LifeKit.agreed, inconclusive, LifeKit.released],
    ids=["found", "taken", "agreed", "inconclusive", "released"],
)
@pytest.mark.parametrize("account", [FIRST, SUPERVISOR, ADMINISTRATOR], ids=lambda account: account.name)
async def test_a_lead_is_taken_back_at_any_time(life: LifeKit, reach: Reach, account: Account) -> None:
    lead_id = await reach(life)
    await life.life.withdrawal.withdraw(lead_id, account, "the still was of another camera")
    [event] = await life.kit.events("lead.withdrawn")
    assert (event["reviewState"], event["candidates"]) == ("withdrawn", [])
    assert event["withdrawal"] == {"cause": "no_longer_supported"}
    assert "camera" not in str([row["event"] for row in await life.kit.rows(tables.outbox)])
    [entry] = await life.kit.audited("lead.withdrawn")
    assert entry["actor"] == account.name
    assert entry["entry"]["details"]["reason"] == "the still was of another camera"


async def test_an_expungement_and_a_persons_withdrawal_look_alike_from_outside(life: LifeKit) -> None:
    taken_back, expunged = await life.lead(), await life.lead()
    await life.life.withdrawal.withdraw(taken_back, SUPERVISOR, "a reason")
    [row, *_] = await life.kit.rows(tables.lead_candidates, lead_id=expunged)
    async with life.kit.database.write() as tx:
        await life.leads.withdraw_for_subject(tx, row["subject_id"], "court order", "administrator")
    first, second = await life.kit.events("lead.withdrawn")
    for data in (first, second):
        for name in ("leadId", "probeId", "auditLeaf"):
            data.pop(name)
    assert first == second


@pytest.mark.parametrize("reason", ["", "   ", "x" * 1025])
async def test_not_without_a_reason(life: LifeKit, reason: str) -> None:
    lead_id = await life.released()
    with pytest.raises(InvalidInputError):
        await life.life.withdrawal.withdraw(lead_id, SUPERVISOR, reason)
    assert await life.state(lead_id) == "released"


@pytest.mark.parametrize("account", [FLOOR, REQUESTOR, AUDITOR])
async def test_not_by_just_anybody(life: LifeKit, account: Account) -> None:
    lead_id = await life.released()
    with pytest.raises(PolicyRefusalError) as caught:
        await life.life.withdrawal.withdraw(lead_id, account, "a reason")
    assert caught.value.rule == "P10"
    assert await life.state(lead_id) == "released"


async def test_not_twice(life: LifeKit) -> None:
    lead_id = await life.released()
    await life.life.withdrawal.withdraw(lead_id, SUPERVISOR, "a reason")
    with pytest.raises(ConflictError):
        await life.life.withdrawal.withdraw(lead_id, SUPERVISOR, "a reason")


async def test_the_ledger_knows_the_requestor_at_once_and_whoever_looked_later(life: LifeKit) -> None:
    lead_id = await life.released()
    assert [one.account for one in await life.life.withdrawal.receivers(lead_id, AUDITOR)] == ["requestor"]
    life.kit.clock.advance(5)
    await life.life.release.received(lead_id, SUPERVISOR)
    await life.life.release.received(lead_id, REQUESTOR)
    ledger = await life.life.withdrawal.receivers(lead_id, ADMINISTRATOR)
    assert [one.account for one in ledger] == ["requestor", "supervisor"]
    for account in (FLOOR, REQUESTOR, FIRST):
        with pytest.raises(PolicyRefusalError):
            await life.life.withdrawal.receivers(lead_id, account)


async def test_a_receiver_is_one_person_under_every_spelling(life: LifeKit) -> None:
    """The requestor is named by hand, and signs in under an id that the provider spells."""
    lead_id = await life.released()
    spelt = replace(REQUESTOR, name=f" {REQUESTOR.name.upper()} ")
    await life.life.release.received(lead_id, spelt)
    assert len(await life.life.release.all_received(spelt)) == 1
    await life.life.withdrawal.withdraw(lead_id, FIRST, "a reason")
    await life.life.withdrawal.acknowledge(lead_id, spelt)
    [one] = await life.life.withdrawal.receivers(lead_id, AUDITOR)
    assert (one.account, one.withdrawal_acknowledged_at) == (REQUESTOR.name, life.kit.clock.now())


async def test_each_receiver_acknowledges_the_withdrawal(life: LifeKit) -> None:
    lead_id = await life.released()
    await life.life.release.received(lead_id, SUPERVISOR)
    with pytest.raises(ConflictError, match="not taken back"):
        await life.life.withdrawal.acknowledge(lead_id, REQUESTOR)
    await life.life.withdrawal.withdraw(lead_id, FIRST, "a reason")
    ledger = await life.life.withdrawal.receivers(lead_id, AUDITOR)
    assert [one.withdrawal_acknowledged_at for one in ledger] == [None, None]
    life.kit.clock.advance(60)
    await life.life.withdrawal.acknowledge(lead_id, REQUESTOR)
    await life.life.withdrawal.acknowledge(lead_id, REQUESTOR)
    first, second = await life.life.withdrawal.receivers(lead_id, AUDITOR)
    assert (first.account, first.withdrawal_acknowledged_at) == ("requestor", life.kit.clock.now())
    assert second.withdrawal_acknowledged_at is None
    assert len(await life.kit.audited("lead.acknowledge_withdrawal")) == 1


async def test_who_never_had_the_lead_has_nothing_to_acknowledge(life: LifeKit) -> None:
    lead_id = await life.released()
    await life.life.withdrawal.withdraw(lead_id, FIRST, "a reason")
    with pytest.raises(NotFoundError):
        await life.life.withdrawal.acknowledge(lead_id, SUPERVISOR)


async def test_what_was_taken_back_is_seen_by_nobody_any_more(life: LifeKit) -> None:
    lead_id = await life.released()
    received = await life.life.release.received(lead_id, REQUESTOR)
    await life.life.withdrawal.withdraw(lead_id, FIRST, "a reason")
    ref = received.release.findings["candidates"][0]["candidateRef"]
    for call in (
        life.life.release.received(lead_id, REQUESTOR),
        life.life.pictures.released_candidate(lead_id, REQUESTOR, ref, 1),
    ):
        with pytest.raises(ConflictError, match="taken back"):
            await call
    [shown] = await life.life.release.all_received(REQUESTOR)
    assert (shown.lead.review_state, shown.receiver.withdrawal_acknowledged_at) == ("withdrawn", None)


async def withdrawn(life: LifeKit, lead_id: str) -> None:
    await life.life.withdrawal.withdraw(lead_id, SUPERVISOR, "a reason")


async def refused(life: LifeKit, lead_id: str) -> None:
    [lead] = await life.kit.rows(tables.leads, lead_id=lead_id)
    await life.kit.desk.refuse(lead["probe_id"], SUPERVISOR, "no grounds")


async def lapsed(life: LifeKit, _lead_id: str) -> None:
    life.kit.clock.advance(3600)
    await life.kit.reconciler.sweep()


async def expired(life: LifeKit, lead_id: str) -> None:
    [lead] = await life.kit.rows(tables.leads, lead_id=lead_id)
    await life.kit.desk.approve(lead["probe_id"], SUPERVISOR)
    life.kit.clock.advance(720 * 3600)
    await life.kit.reconciler.sweep()


@pytest.mark.parametrize("ends", [withdrawn, refused, lapsed, expired], ids=lambda ends: ends.__name__)
async def test_examiners_see_nobody_of_a_lead_that_has_ended(
    life: LifeKit, ends: Callable[[LifeKit, str], Awaitable[None]]
) -> None:
    """Neither who has concluded, nor who has not; what they noted themselves stays theirs to read."""
    lead_id = await life.taken(imminent=True)
    listed = await life.listed(lead_id)
    [review] = await life.kit.rows(tables.examinations, lead_id=lead_id, round=2)
    review_id, pictures = review["examination_id"], life.life.pictures
    own = (await life.life.review.take(review_id, PEER)).examination.refs
    await life.conclude(lead_id, (0,))
    await ends(life, lead_id)
    assert await life.state(lead_id) in {"withdrawn", "expired"}
    for call in (
        pictures.examined_still(lead_id, FIRST),
        pictures.examined_candidate(lead_id, FIRST, listed[0], 1),
        pictures.reviewed_still(review_id, PEER),
        pictures.reviewed_candidate(review_id, PEER, own[0], 1),
    ):
        with pytest.raises(ConflictError, match="shown to nobody"):
            await call
    assert {entry["outcome"] for entry in await life.kit.audited("examination.picture")} == set()
    sheets = (await life.life.examination.view(lead_id, FIRST), await life.life.review.view(review_id, PEER))
    assert [await pictures.dates(sheet.examination) for sheet in sheets] == [{}, {}]
    assert [one.candidate_ref for one in sheets[0].opinion.compared] == [listed[0]]


async def test_what_ended_with_a_result_is_still_theirs_to_look_at(life: LifeKit) -> None:
    lead_id = await life.released()
    assert (await life.life.pictures.examined_candidate(lead_id, FIRST, (await life.listed(lead_id))[0], 1))[:2] == JPEG


async def test_an_expired_lead_is_acknowledged_like_a_withdrawn_one(life: LifeKit) -> None:
    lead_id = await life.released()
    life.kit.clock.advance(720 * 3600)
    await life.kit.reconciler.sweep()
    await life.life.withdrawal.acknowledge(lead_id, REQUESTOR)
    [one] = await life.life.withdrawal.receivers(lead_id, AUDITOR)
    assert one.withdrawal_acknowledged_at is not None
