"""P13: nothing is concluded but by the form, and no score or rank is in any answer before (or after) that."""

import json
from collections.abc import Callable

import pytest

from rtcc_bridge.errors import ConflictError, NotFoundError, PolicyRefusalError
from rtcc_bridge.leads.comparison import (
    Aid,
    AidUse,
    ComparedCandidate,
    Component,
    ComponentFinding,
    Finding,
    Opinion,
)
from rtcc_bridge.leads.opinions import commitment
from rtcc_bridge.policy.accounts import Account
from rtcc_bridge.policy.policy_parts import Conclusion
from rtcc_bridge.storage import tables
from tests.life_kit import FIRST, FLOOR, PEER, REQUESTOR, SUPERVISOR, LifeKit, compared, opinion, under


async def test_an_incomplete_opinion_is_refused_and_leaves_the_lead_as_it_was(life: LifeKit) -> None:
    lead_id = await life.taken()
    listed = await life.listed(lead_id)
    bare = compared(listed[0], Conclusion.SUPPORT).model_copy(update={"findings": ()})
    for given in (
        Opinion(),
        Opinion(excluded=tuple(listed[1:])),
        Opinion(excluded=tuple(listed[1:]), compared=(bare,)),
    ):
        with pytest.raises(PolicyRefusalError) as caught:
            await life.life.examination.conclude(lead_id, FIRST, given)
        assert caught.value.rule == "P13"
    assert await life.state(lead_id) == "unreviewed"
    assert await life.types(lead_id) == ["lead.candidates", "lead.acknowledged"]
    refusals = [row for row in await life.kit.audited("examination.conclude") if row["outcome"] == "refused"]
    assert len(refusals) == 3


async def test_exclusions_with_one_key_are_kept_and_may_be_taken_back(life: LifeKit) -> None:
    lead_id = await life.taken()
    first, second, third = await life.listed(lead_id)
    for excluded in ((first,), (first, second), (second,)):
        await life.life.examination.keep(lead_id, FIRST, Opinion(excluded=excluded))
    sheet = await life.life.examination.view(lead_id, FIRST)
    assert sheet.opinion == Opinion(excluded=(second,))
    assert set(sheet.examination.refs) == {first, second, third}


@pytest.mark.parametrize("conclusion", Conclusion)
async def test_every_conclusion_ends_the_first_examination_the_same_way(life: LifeKit, conclusion: Conclusion) -> None:
    lead_id = await life.taken()
    listed = await life.listed(lead_id)
    given = Opinion(excluded=tuple(listed[1:]), compared=(compared(listed[0], conclusion),))
    await life.life.examination.conclude(lead_id, FIRST, given)
    assert await life.types(lead_id) == ["lead.candidates", "lead.acknowledged", "lead.in_review"]
    with pytest.raises(ConflictError, match="not changed"):
        await life.life.examination.conclude(lead_id, FIRST, opinion(listed))


async def test_the_audit_log_holds_a_commitment_to_the_opinion_and_not_the_opinion(life: LifeKit) -> None:
    lead_id = await life.taken()
    listed = await life.listed(lead_id)
    given = opinion(listed, support=[listed[0]], note="a scar over the left eye")
    await life.life.examination.conclude(lead_id, FIRST, given)
    [entry] = await life.kit.audited("examination.conclude")
    [kept] = await life.kit.rows(tables.opinions)
    assert entry["entry"]["details"]["commitment"] == commitment(given, kept["nonce"])
    everything = json.dumps([row["entry"] for row in await life.kit.rows(tables.audit_entries)])
    assert "scar" not in everything
    assert "exclusion" not in everything
    assert "support" not in everything.replace("no_longer_supported", "")


@pytest.mark.parametrize("account", [PEER, FLOOR, SUPERVISOR, REQUESTOR])
async def test_nobody_but_its_examiner_sees_the_list_or_concludes_on_it(life: LifeKit, account: Account) -> None:
    lead_id = await life.taken()
    listed = await life.listed(lead_id)
    desk, pictures = life.life.examination, life.life.pictures
    for call in (
        desk.view(lead_id, account),
        desk.keep(lead_id, account, Opinion()),
        desk.conclude(lead_id, account, opinion(listed)),
        pictures.examined_still(lead_id, account),
        pictures.examined_candidate(lead_id, account, listed[0], 1),
    ):
        with pytest.raises(PolicyRefusalError) as caught:
            await call
        assert caught.value.rule == ("P12" if account is PEER else "P10")
    assert await life.kit.rows(tables.opinions) == []


async def test_the_list_is_for_whoever_takes_responsibility(life: LifeKit) -> None:
    lead_id = await life.lead()
    with pytest.raises(ConflictError, match="Acknowledge"):
        await life.life.examination.view(lead_id, FIRST)


async def test_a_lead_without_candidates_has_nothing_to_examine(life: LifeKit) -> None:
    lead_id = await life.taken(people=0)
    with pytest.raises(ConflictError, match="nothing to examine"):
        await life.life.examination.view(lead_id, FIRST)


async def test_each_look_at_the_list_and_at_a_picture_is_audited(life: LifeKit) -> None:
    lead_id = await life.taken()
    [ref, *_] = await life.listed(lead_id)
    await life.life.examination.view(lead_id, FIRST)
    await life.life.pictures.examined_still(lead_id, FIRST)
    for number in (1, 2):
        assert (await life.life.pictures.examined_candidate(lead_id, FIRST, ref, number)).startswith(b"\xff\xd8")
    assert len(await life.kit.audited("examination.view")) == 1
    seen = [row["entry"]["details"] for row in await life.kit.audited("examination.picture")]
    assert [one["picture"] for one in seen] == ["still", 1, 2]
    shown = life.kit.workers.previewed
    assert [chosen is not None for chosen, _ in shown] == [True, False, False], "only the still has somebody to mask"


async def test_a_picture_that_is_not_on_the_list_is_not_shown(life: LifeKit) -> None:
    lead_id, other = await life.taken(), await life.taken()
    [own, *_], [foreign, *_] = await life.listed(lead_id), await life.listed(other)
    for ref, number in ((foreign, 1), (own, 0), (own, 3), ("x" * 22, 1)):
        with pytest.raises(NotFoundError):
            await life.life.pictures.examined_candidate(lead_id, FIRST, ref, number)
    assert await life.kit.audited("examination.picture") == []


async def test_a_step_that_the_policys_scale_has_not_is_no_conclusion(life: LifeKit) -> None:
    lead_id = await life.taken()
    listed = await life.listed(lead_id)
    await under(life, conclusions={"scale": ["support", "inconclusive", "exclusion"]})
    strong = opinion(listed, support=listed[:1], level=Conclusion.STRONG_SUPPORT)
    with pytest.raises(PolicyRefusalError, match="strong support") as caught:
        await life.life.examination.conclude(lead_id, FIRST, strong)
    assert caught.value.rule == "P13"
    await life.life.examination.conclude(lead_id, FIRST, opinion(listed, support=listed[:1]))


async def test_overlay_and_blink_are_for_whoever_was_kept_and_their_use_is_audited_before_it_is_had(
    life: LifeKit,
) -> None:
    lead_id = await life.taken()
    kept, excluded, untouched = await life.listed(lead_id)
    desk, use = life.life.examination, AidUse(candidate_ref=kept, aid=Aid.OVERLAY)
    await desk.keep(lead_id, FIRST, Opinion(excluded=(excluded,), compared=(ComparedCandidate(candidate_ref=kept),)))
    for ref in (excluded, untouched, "x" * 22):
        with pytest.raises(PolicyRefusalError, match="beside the form alone") as caught:
            await desk.use_aid(lead_id, FIRST, AidUse(candidate_ref=ref, aid=Aid.BLINK))
        assert caught.value.rule == "P13"
    for _ in range(2):
        assert (await desk.use_aid(lead_id, FIRST, use)).aids == (use,)
    [examination] = await life.kit.rows(tables.examinations, lead_id=lead_id)
    [entry] = [row for row in await life.kit.audited("examination.aid") if row["outcome"] == "used"]
    assert (entry["actor"], entry["subject"]) == (FIRST.name, examination["examination_id"])
    assert entry["entry"]["details"] == {"aid": "overlay"}, "on whom is no hint for a reviewer (P12)"
    given = opinion((kept, excluded, untouched))
    await desk.keep(lead_id, FIRST, given)
    assert (await desk.view(lead_id, FIRST)).aids == (use,), "who is excluded in the end was laid over all the same"
    assert (await desk.conclude(lead_id, FIRST, given)).aids == (use,)
    with pytest.raises(ConflictError):
        await desk.use_aid(lead_id, FIRST, use)


async def test_what_was_laid_over_the_still_is_told_when_all_have_concluded(life: LifeKit) -> None:
    lead_id = await life.taken()
    listed = await life.listed(lead_id)
    form = Opinion(compared=(ComparedCandidate(candidate_ref=listed[0]),))
    await life.life.examination.keep(lead_id, FIRST, form)
    await life.life.examination.use_aid(lead_id, FIRST, AidUse(candidate_ref=listed[0], aid=Aid.OVERLAY))
    await life.conclude(lead_id, (0,))
    assert (await life.life.standing.of_lead(lead_id, FIRST)).aids == {}
    [item] = await life.life.review.queue(PEER)
    sheet = await life.life.review.take(item.examination_id, PEER)
    assert sheet.aids == ()
    own = next(mine for mine, ref in sheet.examination.candidates if ref == listed[0])
    draft = Opinion(compared=(ComparedCandidate(candidate_ref=own),))
    await life.life.review.keep(item.examination_id, PEER, draft)
    blink = AidUse(candidate_ref=own, aid=Aid.BLINK)
    assert (await life.life.review.use_aid(item.examination_id, PEER, blink)).aids == (blink,)
    await life.review(lead_id, PEER, (0,))
    assert (await life.life.standing.of_lead(lead_id, FIRST)).aids == {listed[0]: {Aid.OVERLAY, Aid.BLINK}}


def without_conclusion(ref: str) -> ComparedCandidate:
    return compared(ref, Conclusion.SUPPORT).model_copy(update={"conclusion": None})


def seen_as(ref: str, finding: Finding, conclusion: Conclusion) -> ComparedCandidate:
    """Nothing of the face is seen but so."""
    findings = tuple(ComponentFinding(component=component, finding=finding) for component in Component)
    return ComparedCandidate(candidate_ref=ref, findings=findings, conclusion=conclusion)


def short_of_a_part(ref: str) -> ComparedCandidate:
    whole = compared(ref, Conclusion.SUPPORT)
    seen = tuple(one for one in whole.findings if one.component is not Component.EARS)
    return whole.model_copy(update={"findings": seen})


def told_twice(ref: str) -> ComparedCandidate:
    whole = compared(ref, Conclusion.SUPPORT)
    return whole.model_copy(update={"findings": (*whole.findings, whole.findings[0])})


@pytest.mark.parametrize(
    "form",
    [
        without_conclusion,
        short_of_a_part,
        told_twice,
        lambda ref: seen_as(ref, Finding.DIFFERENT, Conclusion.LIMITED_SUPPORT),
        lambda ref: seen_as(ref, Finding.SIMILAR, Conclusion.EXCLUSION),
    ],
    ids=[
        "no conclusion",
        "a part left out",
        "a part twice",
        "support by nothing similar",
        "exclusion by nothing different",
    ],
)
async def test_a_form_that_does_not_hold_together_concludes_nothing(
    life: LifeKit, form: Callable[[str], ComparedCandidate]
) -> None:
    lead_id = await life.taken()
    first, *others = await life.listed(lead_id)
    with pytest.raises(PolicyRefusalError) as caught:
        await life.life.examination.conclude(lead_id, FIRST, Opinion(excluded=tuple(others), compared=(form(first),)))
    assert caught.value.rule == "P13"
    assert await life.state(lead_id) == "unreviewed"


async def test_an_opinion_speaks_of_each_of_its_own_list_once(life: LifeKit) -> None:
    lead_id = await life.taken()
    listed = await life.listed(lead_id)
    twice = Opinion(excluded=tuple(listed), compared=(compared(listed[0], Conclusion.SUPPORT),))
    foreign = Opinion(excluded=("a" * 22,))
    desk = life.life.examination
    for call in (desk.conclude(lead_id, FIRST, twice), desk.keep(lead_id, FIRST, foreign)):
        with pytest.raises(PolicyRefusalError) as caught:
            await call
        assert caught.value.rule == "P13"
    assert (await desk.view(lead_id, FIRST)).opinion == Opinion()
