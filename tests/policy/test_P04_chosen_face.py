"""P04: only the chosen face is cut out, embedded and searched; everybody else is masked in every copy."""

import asyncio
from dataclasses import replace

import pytest

from rtcc_bridge.errors import ConflictError, NotFoundError, PolicyRefusalError
from rtcc_bridge.policy.accounts import Account, Role
from rtcc_bridge.storage import tables
from tests.probe_kit import (
    ANALYST,
    FLOOR,
    OTHER_ANALYST,
    STILL,
    SUPERVISOR,
    Gallery,
    ProbeKit,
    face,
    face_search,
    record_of,
    search_handler,
)


@pytest.fixture
def crowd(kit: ProbeKit) -> ProbeKit:
    kit.workers.faces = (face(1), face(2, left=100), face(3, left=200))
    return kit


async def test_before_the_choice_nothing_is_cut_out_or_requested(crowd: ProbeKit) -> None:
    probe = await crowd.attached()
    assert [entry["number"] for entry in probe.faces or ()] == [1, 2, 3]
    assert (probe.chosen_face, probe.crop_object) == (None, None)
    assert crowd.workers.cropped == []
    assert await crowd.requests() == []


async def test_the_chosen_face_is_cut_out_of_the_original_and_the_others_are_masked(crowd: ProbeKit) -> None:
    probe = await crowd.attached()
    chosen = await crowd.desk.choose_face(probe.probe_id, 2, ANALYST)
    assert chosen.chosen_face == 2
    ((data, cut_out, others),) = crowd.workers.cropped
    assert data == STILL
    assert cut_out.box.left == 100
    assert [other.box.left for other in others] == [10, 200]


async def test_what_the_matcher_gets_is_the_crop_and_nothing_else(crowd: ProbeKit) -> None:
    probe = await crowd.attached()
    await crowd.desk.choose_face(probe.probe_id, 2, ANALYST)
    approved = await crowd.desk.approve(probe.probe_id, SUPERVISOR)
    gallery = Gallery()
    search = face_search(gallery)
    async with search.batcher:
        await search_handler(crowd, search).handle(record_of((await crowd.requests())[0]))
    (seen,) = gallery.seen
    assert seen.pixels.shape == (8, 6, 3)
    assert approved.crop_object is not None
    assert seen.pixels.tobytes() == await crowd.read(approved.crop_object)
    assert seen.landmarks.tolist() == crowd.workers.faces[1].face.landmarks.tolist()


async def test_the_preview_masks_the_others_once_a_face_is_chosen(crowd: ProbeKit) -> None:
    probe = await crowd.attached()
    await crowd.desk.preview(probe.probe_id, ANALYST)
    await crowd.desk.choose_face(probe.probe_id, 1, ANALYST)
    await crowd.desk.preview(probe.probe_id, SUPERVISOR)
    (before, nobody), (after, others) = crowd.workers.previewed
    assert before is None
    assert not nobody
    assert after is not None
    assert [other.box.left for other in others] == [100, 200]


@pytest.mark.parametrize("account", [OTHER_ANALYST, SUPERVISOR])
async def test_until_a_face_is_chosen_nobody_but_the_analyst_who_chooses_sees_the_others(
    crowd: ProbeKit, account: Account
) -> None:
    probe = await crowd.attached()
    with pytest.raises(PolicyRefusalError) as refused:
        await crowd.desk.preview(probe.probe_id, account)
    assert refused.value.rule == "P04"
    assert crowd.workers.previewed == []
    await crowd.desk.choose_face(probe.probe_id, 1, ANALYST)
    await crowd.desk.preview(probe.probe_id, account)
    ((_, masked),) = crowd.workers.previewed
    assert len(masked) == 2


async def test_each_look_at_a_still_is_audited_and_not_for_everybody(crowd: ProbeKit) -> None:
    probe = await crowd.attached()
    await crowd.desk.preview(probe.probe_id, ANALYST)
    with pytest.raises(PolicyRefusalError):
        await crowd.desk.preview(probe.probe_id, FLOOR)
    assert len(crowd.workers.previewed) == 1
    looks = {(entry["actor"], entry["outcome"]) for entry in await crowd.audited("probe.preview")}
    assert looks == {("analyst", "shown"), ("floor", "refused")}


@pytest.mark.parametrize("number", [0, 4, -1])
async def test_a_face_that_is_not_there_cannot_be_chosen(crowd: ProbeKit, number: int) -> None:
    probe = await crowd.attached()
    with pytest.raises(NotFoundError):
        await crowd.desk.choose_face(probe.probe_id, number, ANALYST)
    assert (await crowd.desk.find(probe.probe_id)).state == "faces_found"


@pytest.mark.parametrize("account", [OTHER_ANALYST, SUPERVISOR, FLOOR])
async def test_only_the_analyst_who_attached_the_still_chooses(crowd: ProbeKit, account: object) -> None:
    probe = await crowd.attached()
    with pytest.raises(PolicyRefusalError):
        await crowd.desk.choose_face(probe.probe_id, 1, account)  # type: ignore[arg-type]  # pytest loses the type
    assert crowd.workers.cropped == []


async def test_an_analyst_who_lost_the_role_meanwhile_chooses_nothing(crowd: ProbeKit) -> None:
    probe = await crowd.attached()
    with pytest.raises(PolicyRefusalError) as refused:
        await crowd.desk.choose_face(probe.probe_id, 1, replace(ANALYST, roles=frozenset({Role.FLOOR})))
    assert refused.value.rule == "P10"
    assert crowd.workers.cropped == []


async def test_a_second_face_of_the_same_probe_cannot_be_chosen(crowd: ProbeKit) -> None:
    probe = await crowd.attached()
    await crowd.desk.choose_face(probe.probe_id, 1, ANALYST)
    with pytest.raises(ConflictError):
        await crowd.desk.choose_face(probe.probe_id, 2, ANALYST)
    assert len(crowd.workers.cropped) == 1


async def test_of_two_choices_at_the_same_moment_one_counts(crowd: ProbeKit) -> None:
    probe = await crowd.attached()
    both_are_cutting = asyncio.Barrier(2)

    async def meet() -> None:
        await both_are_cutting.wait()

    crowd.workers.before_crop = meet
    outcomes = await asyncio.gather(
        crowd.desk.choose_face(probe.probe_id, 1, ANALYST),
        crowd.desk.choose_face(probe.probe_id, 2, ANALYST),
        return_exceptions=True,
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["ConflictError", "ProbeRecord"]
    kept = await crowd.desk.find(probe.probe_id)
    assert kept.crop_object is not None
    assert len(await crowd.read(kept.crop_object)) == 8 * 6 * 3
    assert len(await crowd.rows(tables.object_keys)) == 2
    assert len(crowd.object_files()) == 2, "the crop of the choice that came too late is gone"
