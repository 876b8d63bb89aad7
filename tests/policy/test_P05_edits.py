"""P05: edits are recorded steps that can be taken back; the original stays as it came."""

import asyncio
from collections.abc import Sequence

import pytest
from sqlalchemy import update

from rtcc_bridge.errors import ConflictError, InvalidInputError, PolicyRefusalError
from rtcc_bridge.matching.edits import Brightness, Crop, Edit, Rotate
from rtcc_bridge.matching.types import Verdict
from rtcc_bridge.policy.accounts import Account
from rtcc_bridge.storage import tables
from rtcc_bridge.storage.probes import ProbeRecord
from tests.life_kit import FIRST, LifeKit
from tests.probe_kit import (
    ANALYST,
    FLOOR,
    OTHER_ANALYST,
    STILL,
    SUPERVISOR,
    ProbeKit,
    face,
    form,
    upload,
)

STEPS: Sequence[Edit] = (Rotate(-12.0), Crop(10, 10, 400, 400), Brightness(15))
RECORDED = [
    {"do": "rotate", "degrees": -12.0},
    {"do": "crop", "left": 10, "top": 10, "right": 400, "bottom": 400},
    {"do": "brightness", "percent": 15},
]


async def original(kit: ProbeKit, probe: ProbeRecord) -> bytes:
    assert probe.original_object is not None
    return await kit.read(probe.original_object)


async def test_the_steps_are_recorded_and_the_original_stays_as_it_came(kit: ProbeKit) -> None:
    probe = await kit.attached()
    kit.workers.faces = (face(1), face(2, left=200))
    edited = await kit.desk.edit(probe.probe_id, STEPS, ANALYST)
    assert (edited.state, edited.edits, len(edited.faces or ())) == ("faces_found", RECORDED, 2)
    assert (edited.original_object, edited.original_sha256) == (probe.original_object, probe.original_sha256)
    assert await original(kit, edited) == STILL
    assert kit.workers.inspected[-1] == STILL, "each time they are applied to the original"
    (entry,) = await kit.audited("probe.edit")
    assert (entry["actor"], entry["entry"]["details"]["edits"]) == ("analyst", RECORDED)


async def test_steps_are_tried_and_the_original_is_seen_without_anything_being_recorded(kit: ProbeKit) -> None:
    probe = await kit.attached()
    await kit.desk.edit(probe.probe_id, STEPS, ANALYST)
    for tried in ((Rotate(90.0),), ()):
        assert await kit.desk.preview(probe.probe_id, ANALYST, tried)
        assert kit.workers.edits[-1] == tried
    await kit.desk.preview(probe.probe_id, ANALYST)
    assert kit.workers.edits[-1] == STEPS, "what is recorded is shown where nothing is tried"
    assert (await kit.desk.find(probe.probe_id)).edits == RECORDED
    looks = [entry["entry"]["details"].get("tried") for entry in await kit.audited("probe.preview")]
    assert looks == [[{"do": "rotate", "degrees": 90.0}], [], None]


async def test_P04_nothing_is_tried_by_others_or_once_a_face_is_chosen(kit: ProbeKit) -> None:
    """The original shows everybody, and the masks lie where the faces of the recorded steps are."""
    probe = await kit.attached()
    with pytest.raises(PolicyRefusalError) as refused:
        await kit.desk.preview(probe.probe_id, OTHER_ANALYST, ())
    assert refused.value.rule == "P04"
    await kit.desk.choose_face(probe.probe_id, 1, ANALYST)
    for account in (ANALYST, SUPERVISOR):
        with pytest.raises(ConflictError, match="as it is searched"):
            await kit.desk.preview(probe.probe_id, account, ())
    assert kit.workers.previewed == []


async def test_no_steps_bring_the_original_back(kit: ProbeKit) -> None:
    probe = await kit.attached()
    await kit.desk.edit(probe.probe_id, STEPS, ANALYST)
    back = await kit.desk.edit(probe.probe_id, (), ANALYST)
    assert back.edits is None
    assert kit.workers.edits[-1] == ()
    assert [entry["entry"]["details"]["edits"] for entry in await kit.audited("probe.edit")] == [RECORDED, []]


async def test_crop_and_preview_are_of_the_picture_after_its_steps(kit: ProbeKit) -> None:
    probe = await kit.attached()
    await kit.desk.edit(probe.probe_id, STEPS, ANALYST)
    await kit.desk.preview(probe.probe_id, ANALYST)
    await kit.desk.choose_face(probe.probe_id, 1, ANALYST)
    await kit.desk.preview(probe.probe_id, SUPERVISOR)
    assert kit.workers.edits[-3:] == [tuple(STEPS)] * 3


async def test_steps_can_come_with_the_still(kit: ProbeKit) -> None:
    """A still that is too dark would not be taken in without them."""
    await kit.incident()
    probe = await kit.desk.attach("incident-1", form(edits=tuple(STEPS)), ANALYST, upload())
    assert probe.edits == RECORDED
    assert kit.workers.edits == [tuple(STEPS)]
    (entry,) = await kit.audited("probe.attach")
    assert entry["entry"]["details"]["edits"] == RECORDED


async def test_examiners_see_the_picture_after_its_steps_in_which_the_others_were_found(life: LifeKit) -> None:
    """Without them the masks would lie at the wrong places of another picture (P04)."""
    lead_id = await life.taken()
    async with life.kit.database.write() as tx:
        await tx.execute(update(tables.probes).values(edits=RECORDED))
    await life.life.pictures.examined_still(lead_id, FIRST)
    assert life.kit.workers.edits[-1] == tuple(STEPS)


async def test_once_a_face_is_chosen_nothing_is_edited(kit: ProbeKit) -> None:
    probe = await kit.chosen()
    asked = kit.workers.asked
    with pytest.raises(ConflictError):
        await kit.desk.edit(probe.probe_id, STEPS, ANALYST)
    assert kit.workers.asked == asked


@pytest.mark.parametrize(
    ("account", "rule"), [(OTHER_ANALYST, "P05"), (SUPERVISOR, "P10"), (FLOOR, "P10")], ids=lambda one: str(one)[:30]
)
async def test_nobody_edits_the_still_of_another(kit: ProbeKit, account: Account, rule: str) -> None:
    probe = await kit.attached()
    with pytest.raises(PolicyRefusalError) as refused:
        await kit.desk.edit(probe.probe_id, STEPS, account)
    assert refused.value.rule == rule
    assert (await kit.desk.find(probe.probe_id)).edits is None
    (entry,) = await kit.audited("probe.edit")
    assert entry["outcome"] == "refused"


async def test_steps_after_which_nothing_can_be_searched_leave_the_still_as_it_was(kit: ProbeKit) -> None:
    probe = await kit.attached()
    kit.workers.faces = (face(1, Verdict.REFUSED),)
    with pytest.raises(InvalidInputError) as refused:
        await kit.desk.edit(probe.probe_id, STEPS, ANALYST)
    assert refused.value.reason == "edits"
    assert await kit.desk.find(probe.probe_id) == probe


async def test_a_cancelled_incident_ends_editing_too(kit: ProbeKit) -> None:
    probe = await kit.attached()
    await kit.set_incident("incident-1", status="cancelled")
    with pytest.raises(PolicyRefusalError) as refused:
        await kit.desk.edit(probe.probe_id, STEPS, ANALYST)
    assert refused.value.rule == "P08"


async def test_a_face_is_not_chosen_in_a_picture_that_is_edited_meanwhile(kit: ProbeKit) -> None:
    """The number would mean another face by then."""
    probe = await kit.attached()
    is_cutting, may_go_on = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        is_cutting.set()
        await may_go_on.wait()

    kit.workers.before_crop = wait
    choosing = asyncio.create_task(kit.desk.choose_face(probe.probe_id, 1, ANALYST))
    await is_cutting.wait()
    await kit.desk.edit(probe.probe_id, STEPS, ANALYST)
    may_go_on.set()
    with pytest.raises(ConflictError, match="edited meanwhile"):
        await choosing
    kept = await kit.desk.find(probe.probe_id)
    assert (kept.state, kept.edits, kept.chosen_face) == ("faces_found", RECORDED, None)
    assert await kit.requests() == []
