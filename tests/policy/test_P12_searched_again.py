"""P12: a still that is searched again carries its earlier outcomes, and its examiners hear of them only afterwards."""

from collections.abc import Awaitable, Callable, Sequence

import numpy as np
import pytest

from rtcc_bridge.errors import NotFoundError, PolicyRefusalError
from rtcc_bridge.leads.earlier import EarlierSearch
from rtcc_bridge.policy.accounts import Account, Role
from rtcc_bridge.storage import tables
from tests.life_kit import FIRST, FLOOR, PEER, REQUESTOR, SUPERVISOR, THIRD, LifeKit
from tests.probe_kit import ANALYST, CERTIFIED, form, upload

OTHER_CASE = "incident-2"
BOTH_ROLES = Account("both", frozenset({Role.SUPERVISOR, Role.ANALYST}), CERTIFIED)


async def searched_again(life: LifeKit) -> tuple[str, str]:
    """The probes of a lead that was concluded, and of another one on the same still that nobody has concluded yet."""
    concluded = await life.released()
    life.kit.clock.advance(60)
    taken = await life.lead(incident_id=OTHER_CASE)
    await life.leads.acknowledge(taken, FIRST)
    return await probe_of(life, concluded), await probe_of(life, taken)


async def probe_of(life: LifeKit, lead_id: str) -> str:
    [row] = await life.kit.rows(tables.leads, lead_id=lead_id)
    return str(row["probe_id"])


async def lead_of(life: LifeKit, probe_id: str) -> str:
    [row] = await life.kit.rows(tables.leads, probe_id=probe_id)
    return str(row["lead_id"])


async def earlier(life: LifeKit, probe_id: str, account: Account) -> Sequence[EarlierSearch]:
    return await life.life.earlier.of_probe(probe_id, account)


async def refused(life: LifeKit, probe_id: str, account: Account) -> str:
    with pytest.raises(PolicyRefusalError) as caught:
        await earlier(life, probe_id, account)
    return caught.value.rule


async def test_the_supervisor_sees_what_came_of_the_still_before(life: LifeKit) -> None:
    first, again = await searched_again(life)
    [found] = await earlier(life, again, SUPERVISOR)
    assert (found.probe.probe_id, found.same) == (first, "still")
    assert found.lead is not None
    assert found.lead.review_state == "released"
    assert await earlier(life, first, SUPERVISOR) == [], "a later search is no earlier outcome"
    looks = await life.kit.audited("probe.earlier")
    assert {(look["actor"], look["outcome"]) for look in looks} == {("supervisor", "shown")}
    assert sorted(look["subject"] for look in looks) == sorted([first, again])


async def test_examiners_see_it_when_they_have_concluded_and_not_before(life: LifeKit) -> None:
    _, again = await searched_again(life)
    lead_id = await lead_of(life, again)
    for account in (FIRST, PEER, THIRD):
        assert await refused(life, again, account) == "P12"
    await life.conclude(lead_id, (0,))
    assert len(await earlier(life, again, FIRST)) == 1
    for account in (PEER, THIRD):
        assert await refused(life, again, account) == "P12"
    await life.review(lead_id, PEER, ())
    assert len(await earlier(life, again, PEER)) == 1
    assert await refused(life, again, THIRD) == "P12", "they differ, so the third is still asked"
    await life.review(lead_id, THIRD, (0,))
    assert len(await earlier(life, again, THIRD)) == 1
    refusals = [row for row in await life.kit.audited("probe.earlier") if row["outcome"] == "refused"]
    assert len(refusals) == 6


async def test_the_analyst_is_not_told_while_the_search_is_still_to_come(life: LifeKit) -> None:
    await life.released()
    life.kit.clock.advance(60)
    probe = await life.kit.chosen(OTHER_CASE)
    assert await refused(life, probe.probe_id, ANALYST) == "P12"
    assert len(await earlier(life, probe.probe_id, SUPERVISOR)) == 1
    await life.kit.desk.refuse(probe.probe_id, SUPERVISOR, "it was searched before")
    assert len(await earlier(life, probe.probe_id, ANALYST)) == 1, "nobody will examine it"


async def test_a_supervisor_who_examines_as_well_is_an_examiner(life: LifeKit) -> None:
    _, again = await searched_again(life)
    assert await refused(life, again, BOTH_ROLES) == "P12"


@pytest.mark.parametrize("account", [FLOOR, REQUESTOR], ids=lambda account: account.name)
async def test_nobody_else_sees_it(life: LifeKit, account: Account) -> None:
    _, again = await searched_again(life)
    assert await refused(life, again, account) == "P10"


async def test_another_case_of_the_same_picture_is_closed_to_who_may_examine_it_now(life: LifeKit) -> None:
    """By its still and by its notes: the two have no number and no incident in common, only the picture."""
    kit, first = life.kit, await probe_of(life, await life.released())
    probe = await kit.attached(OTHER_CASE, case_number="26-000777")
    await kit.desk.choose_face(probe.probe_id, 1, ANALYST)
    await kit.desk.approve(probe.probe_id, SUPERVISOR)
    lead_id = await life.search(probe.probe_id)
    for look in (kit.desk.open(first, PEER), kit.desk.case_notes.open("incident-1", PEER)):
        with pytest.raises(PolicyRefusalError, match="is being examined in another search") as caught:
            await look
        assert caught.value.rule == "P12"
    await life.leads.acknowledge(lead_id, FIRST)
    await life.conclude(lead_id)
    await life.review(lead_id, PEER)
    await life.life.release.release(lead_id, FIRST, ())
    assert (await kit.desk.case_notes.open("incident-1", PEER)).incident_id == "incident-1"


async def test_the_case_before_is_closed_to_who_may_examine_the_face_now(life: LifeKit) -> None:
    first, again = await searched_again(life)
    for call in (life.kit.desk.open(first, PEER), life.kit.desk.preview(first, THIRD)):
        with pytest.raises(PolicyRefusalError) as caught:
            await call
        assert caught.value.rule == "P12"
    assert (await life.kit.desk.open(first, ANALYST)).probe_id == first, "it is this analyst's own case"
    assert (await life.kit.desk.open(first, SUPERVISOR)).probe_id == first
    lead_id = await lead_of(life, again)
    await life.conclude(lead_id)
    await life.review(lead_id, PEER)
    await life.life.release.release(lead_id, FIRST, ())
    assert (await life.kit.desk.open(first, THIRD)).probe_id == first


async def test_neither_does_another_search_of_the_picture_tell_of_the_one_before(life: LifeKit) -> None:
    _, second = await searched_again(life)
    lead_id = await lead_of(life, second)
    await life.conclude(lead_id, supported=(0,))
    await life.review(lead_id, PEER, supported=(0,))
    await life.life.release.release(lead_id, FIRST, ())
    assert len(await earlier(life, second, THIRD)) == 1
    life.kit.clock.advance(60)
    await life.leads.acknowledge(await life.lead(incident_id="incident-3"), FIRST)
    assert await refused(life, second, THIRD) == "P12"
    assert len(await earlier(life, second, SUPERVISOR)) == 1


async def test_the_case_is_closed_to_a_supervisor_who_examines_as_well(life: LifeKit) -> None:
    lead_id = await life.taken()
    probe_id = await probe_of(life, lead_id)
    for account in (BOTH_ROLES, THIRD):
        with pytest.raises(PolicyRefusalError) as caught:
            await life.kit.desk.open(probe_id, account)
        assert caught.value.rule == "P12"
    await life.kit.desk.open(probe_id, SUPERVISOR)


async def of_the_same_picture(life: LifeKit) -> str:
    life.kit.clock.advance(60)
    return await life.lead(incident_id=OTHER_CASE)


async def of_the_same_person(life: LifeKit) -> str:
    """Another picture, which the same approval covers (P01)."""
    kit = life.kit
    [first] = await kit.rows(tables.probes)
    further = form(same_person_as=first["probe_id"])
    kit.workers.crop_pixels = kit.workers.crop_pixels + np.uint8(1)
    still = await kit.desk.attach("incident-1", further, ANALYST, upload(b"another camera " * 100))
    await kit.desk.choose_face(still.probe_id, 1, ANALYST)
    return await life.search(still.probe_id)


@pytest.mark.parametrize("again", [of_the_same_picture, of_the_same_person], ids=["picture", "person"])
async def test_what_was_released_before_is_closed_to_who_may_examine_the_face_now(
    life: LifeKit, again: Callable[[LifeKit], Awaitable[str]]
) -> None:
    before = await life.released()
    for account in (BOTH_ROLES, REQUESTOR, SUPERVISOR):
        ref = (await life.life.release.received(before, account)).release.findings["candidates"][0]["candidateRef"]
    lead_id = await again(life)
    await life.leads.acknowledge(lead_id, FIRST)
    await life.conclude(lead_id, (0,))
    for call in (
        life.life.release.received(before, BOTH_ROLES),
        life.life.pictures.released_candidate(before, BOTH_ROLES, ref, 1),
    ):
        with pytest.raises(PolicyRefusalError, match="Examine the face first") as caught:
            await call
        assert caught.value.rule == "P12"
    assert [row["actor"] for row in await life.kit.audited("lead.receive") if row["outcome"] == "refused"] == [
        "both",
        "both",
    ]
    for account in (REQUESTOR, SUPERVISOR):
        assert (await life.life.release.received(before, account)).lead.lead_id == before
    await life.review(lead_id, BOTH_ROLES, (0,))
    assert (await life.life.release.received(before, BOTH_ROLES)).lead.lead_id == before


async def test_the_same_face_in_other_bytes_is_the_same_picture(life: LifeKit) -> None:
    """A copy without its metadata has another hash, and the same pixels where the face is."""
    kit = life.kit
    first = await kit.authorized()
    kit.clock.advance(1)
    copy = await kit.desk.attach("incident-1", form(), ANALYST, upload(b"the same picture, saved again " * 100))
    assert await earlier(life, copy.probe_id, SUPERVISOR) == [], "nothing was cut out of it yet"
    await kit.desk.choose_face(copy.probe_id, 1, ANALYST)
    [found] = await earlier(life, copy.probe_id, SUPERVISOR)
    assert (found.probe.probe_id, found.same, found.lead) == (first.probe_id, "face", None)


async def test_another_picture_is_no_earlier_search(life: LifeKit) -> None:
    await life.kit.attached()
    other = await life.kit.desk.attach("incident-1", form(), ANALYST, upload(b"another picture " * 100))
    assert await earlier(life, other.probe_id, SUPERVISOR) == []


async def test_there_is_nothing_before_what_is_not_there(life: LifeKit) -> None:
    with pytest.raises(NotFoundError):
        await earlier(life, "no-such-probe", SUPERVISOR)
