"""P27: seeded cases with a known answer stand in the queue like any other and never become a lead."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from rtcc_bridge.errors import InvalidInputError, NotFoundError, PolicyRefusalError
from rtcc_bridge.leads.proficiency import NewCase
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.policy.accounts import DEMO_ACCOUNTS, Account, Role
from rtcc_bridge.policy.policy_parts import Conclusion
from rtcc_bridge.storage import tables
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.web.worksheets import review_view
from tests.doubles import ManualClock
from tests.life_kit import ADMINISTRATOR, FIRST, PEER, THIRD, LifeKit, build_life, opinion
from tests.website import Website, acting, running_site

OTHERS = ("other 1", "other 2", "other 3")


async def people(life: LifeKit, pictures: int = 1) -> None:
    """pictures: how many there are of each of the others."""
    await life.enrol("person", pictures=3)
    for other in OTHERS:
        await life.enrol(other, pictures)


def case(**changes: Any) -> NewCase:
    return NewCase(**{"gallery": "demo", "person": "person", "others": OTHERS, "listed": True, **changes})


async def seeded(life: LifeKit, **changes: Any) -> str:
    """Seeds a case; returns its review's id."""
    await people(life)
    return await review_of(life, case_id=await life.life.proficiency.seed(ADMINISTRATOR, case(**changes)))


async def answer(life: LifeKit, review_id: str, *, person: bool, inconclusive: bool = False) -> None:
    """person: whether the person is supported, or somebody else is."""
    sheet = await life.life.review.take(review_id, PEER)
    [row] = await life.kit.rows(tables.proficiency_cases)
    is_person = {one["ref"] for one in row["candidates"] if one["isPerson"]}
    wanted = [own for own, ref in sheet.examination.candidates if (ref in is_person) == person][:1]
    given = (
        opinion(sheet.examination.refs, inconclusive=wanted)
        if inconclusive
        else opinion(sheet.examination.refs, support=wanted, level=Conclusion.LIMITED_SUPPORT)
    )
    await life.life.review.conclude(review_id, PEER, given)


async def test_a_case_looks_like_every_other_review(life: LifeKit) -> None:
    review_id = await seeded(life)
    life.kit.clock.advance(13)
    lead_id = await life.taken(people=4)
    life.kit.clock.advance(17)
    await life.conclude(lead_id, (0,))
    views = []
    for item in await life.life.review.queue(PEER):
        sheet = await life.life.review.take(item.examination_id, PEER)
        view = review_view(sheet, await life.life.pictures.dates(sheet.examination))
        views.append(view.model_dump(exclude={"review_id", "candidates"}))
        assert len(view.candidates) == 4
        assert all(candidate.pictures >= 1 for candidate in view.candidates)
        assert (await life.life.pictures.reviewed_still(item.examination_id, PEER)).startswith(b"\xff\xd8")
        for candidate in view.candidates:
            await life.life.pictures.reviewed_candidate(item.examination_id, PEER, candidate.candidate_ref, 1)
    assert len(views) == 2
    assert views[0] == views[1]
    assert review_id in {one["subject"] for one in await life.kit.audited("review.take")}


@pytest.fixture
async def site(database: Database, clock: ManualClock, metrics: Metrics, tmp_path: Path) -> AsyncIterator[Website]:
    async with running_site(database, clock, metrics, tmp_path) as running:
        yield running


async def test_nothing_that_is_fetched_tells_a_case_from_a_real_review_or_from_a_third_one(site: Website) -> None:
    """Time passes between all of them: what each says of itself is byte for byte the same, but for its random ids."""
    life, clock = build_life(site.kit), site.kit.clock
    await people(life, pictures=2)
    cases = []
    for _ in range(2):
        case_id = await life.life.proficiency.seed(ADMINISTRATOR, case(listed=False))
        cases.append(await review_of(life, case_id=case_id))
        clock.advance(13)
    leads = []
    for _ in range(2):
        leads.append(await life.taken())
        clock.advance(17)
        await life.conclude(leads[-1], (0,))
    clock.advance(19)
    await life.review(leads[1], PEER, (1,))
    clock.advance(23)
    for account, reviews in (
        (PEER.name, (cases[0], await review_of(life, lead_id=leads[0], round=2))),
        (THIRD.name, (cases[1], await review_of(life, lead_id=leads[1], round=3))),
    ):
        one, other = [await told_of(site, account, review_id) for review_id in reviews]
        assert one == other
        assert len(one) == 5


async def review_of(life: LifeKit, **where: Any) -> str:
    [row] = await life.kit.rows(tables.examinations, **where)
    return str(row["examination_id"])


async def told_of(site: Website, account: str, review_id: str) -> tuple[str, ...]:
    """What the queue, its page, the review, its page and the log's own entries say of it, without its random ids."""
    listed, shown = await fetched(site, account, "/api/v1/reviews", "/review")
    [item] = [one for one in json.loads(listed)["items"] if one["reviewId"] == review_id]
    [card] = re.findall(rf'<li class="card[^>]*data-key="{review_id}">.*?</li>', shown, re.DOTALL)
    await site.post(f"/reviews/{review_id}/take", account)
    own = await fetched(site, account, f"/api/v1/reviews/{review_id}", f"/review/{review_id}")
    entries = [row["entry"] for row in await site.kit.rows(tables.audit_entries, subject=review_id, actor=account)]
    texts = [json.dumps(item), card, *own, json.dumps(sorted((one["action"], one["details"]) for one in entries))]
    assert all(review_id in text for text in texts[:-1])
    [row] = await site.kit.rows(tables.examinations, examination_id=review_id)
    for place, ref in enumerate([review_id, *(own for own, _ in row["candidates"])]):
        texts = [text.replace(ref, f"random id {place}") for text in texts]
    return tuple(texts)


async def fetched(site: Website, account: str, *addresses: str) -> list[str]:
    texts = []
    for address in addresses:
        async with site.client.get(address, headers=acting(account)) as answer:
            assert answer.status == 200
            texts.append(await answer.text())
    return texts


@pytest.mark.parametrize(
    ("listed", "person", "right"), [(True, True, True), (True, False, False), (False, False, False)]
)
async def test_its_answer_is_known_and_told_to_the_administrator_alone(
    life: LifeKit, *, listed: bool, person: bool, right: bool
) -> None:
    review_id = await seeded(life, listed=listed)
    [before] = await life.life.proficiency.results(ADMINISTRATOR)
    assert (before.right, before.examiner, before.listed) == (None, None, listed)
    await answer(life, review_id, person=person)
    [result] = await life.life.proficiency.results(ADMINISTRATOR)
    assert (result.right, result.examiner, result.outcome) == (right, PEER.name, "candidates")
    for account in DEMO_ACCOUNTS.values():
        if account is not ADMINISTRATOR:
            with pytest.raises(PolicyRefusalError) as caught:
                await life.life.proficiency.results(account)
            assert caught.value.rule == "P10"


async def test_nobody_on_the_list_is_the_right_answer_where_the_person_is_not_listed(life: LifeKit) -> None:
    review_id = await seeded(life, listed=False)
    sheet = await life.life.review.take(review_id, PEER)
    await life.life.review.conclude(review_id, PEER, opinion(sheet.examination.refs))
    [result] = await life.life.proficiency.results(ADMINISTRATOR)
    assert (result.right, result.outcome) == (True, "no_candidate")


async def test_an_inconclusive_answer_is_neither_right_nor_wrong(life: LifeKit) -> None:
    await answer(life, await seeded(life), person=True, inconclusive=True)
    [result] = await life.life.proficiency.results(ADMINISTRATOR)
    assert (result.right, result.outcome) == (None, "inconclusive")


async def test_a_case_never_leaves_the_building(life: LifeKit) -> None:
    review_id = await seeded(life)
    await answer(life, review_id, person=True)
    await life.kit.reconciler.sweep()
    assert await life.kit.rows(tables.outbox) == []
    assert await life.kit.rows(tables.leads) == []
    [row] = await life.kit.rows(tables.proficiency_cases)
    for lead_id in (review_id, row["case_id"]):
        with pytest.raises(NotFoundError):
            await life.life.release.release(lead_id, FIRST, ())
    assert life.kit.count("time_to_peer_review_seconds_count", lane="routine") == 0


async def test_a_case_for_one_analyst_is_in_nobody_elses_queue(life: LifeKit) -> None:
    review_id = await seeded(life, reserved_for=f" {FIRST.name.upper()}")
    assert await life.life.review.queue(PEER) == []
    with pytest.raises(PolicyRefusalError):
        await life.life.review.take(review_id, PEER)
    assert [one.examination_id for one in await life.life.review.queue(FIRST)] == [review_id]


@pytest.mark.parametrize("account", [account for account in DEMO_ACCOUNTS.values() if account is not ADMINISTRATOR])
async def test_only_the_administrator_seeds(life: LifeKit, account: Account) -> None:
    await people(life)
    with pytest.raises(PolicyRefusalError) as caught:
        await life.life.proficiency.seed(account, case())
    assert caught.value.rule == "P10"
    assert await life.kit.rows(tables.examinations) == []


async def test_a_live_gallery_is_not_for_exercises(life: LifeKit) -> None:
    await life.kit.enrol("person", kind="live")
    with pytest.raises(PolicyRefusalError) as caught:
        await life.life.proficiency.seed(ADMINISTRATOR, case(gallery="live"))
    assert caught.value.rule == "P07"


async def test_a_case_needs_pictures_and_people(life: LifeKit) -> None:
    await people(life)
    administrator = Account("administrator", frozenset({Role.ADMINISTRATOR}))
    for wrong, error in (
        ({"gallery": "nowhere"}, NotFoundError),
        ({"person": "nobody"}, NotFoundError),
        ({"others": ("nobody",)}, NotFoundError),
        ({"others": ("person",)}, InvalidInputError),
        ({"person": "other 1", "others": ("person",)}, InvalidInputError),
    ):
        with pytest.raises(error):
            await life.life.proficiency.seed(administrator, case(**wrong))
    assert await life.kit.rows(tables.proficiency_cases) == []
