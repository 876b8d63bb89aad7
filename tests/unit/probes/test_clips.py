"""Clips at their desk: who may, what is kept of one, how it ends. The worker is a stand-in; the rest is real."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from rtcc_bridge.errors import ConflictError, InvalidInputError, NotFoundError, PolicyRefusalError
from rtcc_bridge.matching.types import Verdict
from rtcc_bridge.probes.clip_messages import ClipPlace
from rtcc_bridge.probes.clips import MOST_OPEN
from rtcc_bridge.storage import tables
from rtcc_bridge.storage.clips import ClipRecord
from tests.probe_kit import ANALYST, CLIP, CLIP_FRAMES, FLOOR, OTHER_ANALYST, SUPERVISOR, ProbeKit, face, form, upload

PLACE = ClipPlace(12, 367)


async def sent(kit: ProbeKit, incident_id: str = "incident-1", **changes: Any) -> ClipRecord:
    if not await kit.rows(tables.incidents, incident_id=incident_id):
        await kit.incident(incident_id)
    return await kit.clips.attach(incident_id, form(**changes), ANALYST, upload(CLIP))


async def row_of(kit: ProbeKit, clip: ClipRecord) -> dict[str, Any]:
    (row,) = await kit.rows(tables.clips, clip_id=clip.clip_id)
    return row


def lies_in_the_store(kit: ProbeKit, clip: ClipRecord) -> bool:
    assert clip.clip_object is not None
    return clip.clip_object.split("/")[1] in {path.name for path in kit.object_files()}


async def test_a_clip_is_sealed_and_its_frames_are_known(kit: ProbeKit) -> None:
    clip = await sent(kit)
    assert clip.clip_object is not None
    assert await kit.read(clip.clip_object) == CLIP
    assert CLIP not in b"".join(path.read_bytes() for path in kit.object_files())
    assert clip.frames is not None
    assert [list(frame) for frame in clip.frames[:2]] == [[1, 0, 10], [2, 33, 20]]
    assert (len(clip.frames), clip.facts["rotation"], clip.facts["damaged"]) == (CLIP_FRAMES, 90, 1)
    (entry,) = await kit.audited("clip.attach")
    assert entry["entry"]["details"]["clipSha256"] == clip.clip_sha256
    assert "26-000123" not in str(entry["entry"]), "the case's number stands in the entries of the still alone"
    assert await kit.rows(tables.probes) == [], "nothing is searched, and no face is looked for"
    assert kit.workers.inspected == []


async def test_P03_a_chosen_frame_becomes_the_still_with_where_it_came_from(kit: ProbeKit) -> None:
    clip = await sent(kit)
    probe = await kit.clips.choose(clip.clip_id, PLACE.number, ANALYST)
    assert probe.state == "faces_found"
    assert kit.workers.cut == [(CLIP, PLACE)]
    assert probe.original_object is not None
    assert (await kit.read(probe.original_object)).startswith(b"\x89PNG"), "without loss"
    wanted = {
        "clipId": clip.clip_id, "clipSha256": clip.clip_sha256, "container": "mov", "codec": "h264", "frame": 12,
        "milliseconds": 367, "rotation": 90, "pixelAspect": [1, 1],
    }  # fmt: skip
    assert probe.cut_from == wanted
    (entry,) = await kit.audited("probe.attach")
    assert entry["entry"]["details"]["cutFrom"] == wanted
    assert (probe.case_number, probe.requestor, probe.purpose) == ("26-000123", "requestor", "violent_offense")


async def test_P08_the_still_is_attached_to_the_incident_that_the_clip_was_attached_to(kit: ProbeKit) -> None:
    """Also when that one was part of another by then: it may be parted again."""
    await kit.incident("whole")
    await kit.incident("part", status="merged", merged_into="whole")
    clip = await sent(kit, "part")
    probe = await kit.clips.choose(clip.clip_id, PLACE.number, ANALYST)
    assert (clip.incident_id, probe.incident_id, probe.named_incident_id) == ("whole", "whole", "part")


async def test_the_clip_is_destroyed_with_the_choice_and_its_hash_stays(kit: ProbeKit) -> None:
    clip = await sent(kit)
    assert clip.clip_object is not None
    probe = await kit.clips.choose(clip.clip_id, 12, ANALYST)
    with pytest.raises(NotFoundError):
        await kit.read(clip.clip_object)
    assert not lies_in_the_store(kit, clip)
    row = await row_of(kit, clip)
    assert (row["outcome"], row["probe_id"], row["clip_sha256"]) == ("chosen", probe.probe_id, clip.clip_sha256)
    assert (row["form"], row["frames"], row["clip_object"]) == (None, None, None)
    (entry,) = await kit.audited("clip.destroyed")
    assert (entry["actor"], entry["entry"]["outcome"]) == (ANALYST.name, "chosen")
    with pytest.raises(ConflictError, match="chosen already"):
        await kit.clips.choose(clip.clip_id, 13, ANALYST)
    with pytest.raises(NotFoundError, match="kept no longer"):
        await kit.clips.sheet(clip.clip_id, 1, ANALYST)


async def test_a_frame_in_which_nobody_can_be_searched_leaves_the_clip_for_another(kit: ProbeKit) -> None:
    kit.workers.faces = (face(1, Verdict.REFUSED),)
    clip = await sent(kit)
    poor = await kit.clips.choose(clip.clip_id, 3, ANALYST)
    assert poor.state == "rejected_quality", "a result, as for a still"
    assert lies_in_the_store(kit, clip)
    kit.workers.faces = (face(1),)
    better = await kit.clips.choose(clip.clip_id, 4, ANALYST)
    assert better.state == "faces_found"
    assert not lies_in_the_store(kit, clip)


async def test_of_two_choices_at_once_one_counts(kit: ProbeKit) -> None:
    clip = await sent(kit)
    both = (kit.clips.choose(clip.clip_id, number, ANALYST) for number in (5, 6))
    outcomes = await asyncio.gather(*both, return_exceptions=True)
    assert sorted(type(one).__name__ for one in outcomes) == ["ConflictError", "ProbeRecord"]
    assert len(await kit.rows(tables.probes)) == 1
    left = {path.parent.name for path in kit.object_files()} & {"clip", "probe-original"}
    assert left == {"probe-original"}, "the clip is gone"
    assert len([path for path in kit.object_files() if path.parent.name == "probe-original"]) == 1


async def test_P24_a_clip_is_destroyed_at_its_time(kit: ProbeKit) -> None:
    early, late = await sent(kit), await sent(kit, "incident-2")
    kit.clock.advance(timedelta(minutes=59).total_seconds())
    assert await kit.clip_keeper.end_overdue() == 0
    assert await kit.clips.sheet(early.clip_id, 1, ANALYST)
    kit.clock.advance(timedelta(minutes=2).total_seconds())
    assert await kit.clip_keeper.end_overdue() == 2
    assert await kit.clip_keeper.end_overdue() == 0
    for clip in (early, late):
        row = await row_of(kit, clip)
        assert (row["outcome"], row["form"], row["frames"]) == ("expired", None, None)
        assert not lies_in_the_store(kit, clip)
        with pytest.raises(NotFoundError, match="kept no longer"):
            await kit.clips.choose(clip.clip_id, 1, ANALYST)
    assert {entry["actor"] for entry in await kit.audited("clip.destroyed")} == {"system"}


async def test_P04_nobody_but_who_sent_it_sees_a_clip(kit: ProbeKit) -> None:
    clip = await sent(kit)
    for account, rule in ((OTHER_ANALYST, "P04"), (SUPERVISOR, "P10"), (FLOOR, "P10")):
        for look in (
            kit.clips.open(clip.clip_id, account),
            kit.clips.sheet(clip.clip_id, 1, account),
            kit.clips.frame(clip.clip_id, 1, account),
            kit.clips.choose(clip.clip_id, 1, account),
        ):
            with pytest.raises(PolicyRefusalError) as raised:
                await look
            assert raised.value.rule == rule
    assert (kit.workers.sheets, kit.workers.cut) == ([], [])
    assert await kit.audited("clip.view"), "refused looks are audited"


async def test_P22_each_look_is_audited(kit: ProbeKit) -> None:
    clip = await sent(kit)
    for _ in range(2):
        await kit.clips.open(clip.clip_id, ANALYST)
        await kit.clips.sheet(clip.clip_id, 1, ANALYST)
        await kit.clips.frame(clip.clip_id, 7, ANALYST)
    for none in (kit.clips.sheet(clip.clip_id, 4, ANALYST), kit.clips.frame(clip.clip_id, 31, ANALYST)):
        with pytest.raises(NotFoundError):
            await none
    entries = [entry["entry"] for entry in await kit.audited("clip.view")]
    assert {entry["outcome"] for entry in entries} == {"shown"}
    seen = [(entry["details"].get("sheet"), entry["details"].get("frame")) for entry in entries]
    assert Counter(seen) == {(None, None): 2, (1, None): 2, (None, 7): 2}


async def test_sheets_hold_the_frames_in_their_order_and_end_with_the_clip(kit: ProbeKit) -> None:
    clip = await sent(kit)
    for number in (1, 2, 3):
        await kit.clips.sheet(clip.clip_id, number, ANALYST)
    assert [place.number for sheet in kit.workers.sheets for place in sheet] == [*range(1, CLIP_FRAMES + 1)]
    with pytest.raises(NotFoundError):
        await kit.clips.sheet(clip.clip_id, 4, ANALYST)
    with pytest.raises(NotFoundError, match="no frame 31"):
        await kit.clips.choose(clip.clip_id, 31, ANALYST)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"purpose": "immigration"}, "P02"),
        ({"attested_original": False}, "P05"),
        ({"legal_basis": " "}, "P01"),
        ({"requestor": ""}, "P01"),
    ],
)
async def test_every_gate_of_a_still_is_asked_before_a_byte_of_a_clip_is_read(
    kit: ProbeKit, changes: dict[str, Any], rule: str
) -> None:
    await kit.incident()
    read: list[bytes] = []

    async def watched() -> Any:
        read.append(CLIP)
        yield CLIP

    with pytest.raises(PolicyRefusalError) as raised:
        await kit.clips.attach("incident-1", form(**changes), ANALYST, watched())
    assert raised.value.rule == rule
    assert read == []
    (entry,) = await kit.audited("clip.attach")
    assert entry["entry"]["outcome"] == "refused"


async def test_P08_the_gates_are_asked_again_when_a_frame_is_chosen(kit: ProbeKit) -> None:
    clip = await sent(kit)
    await kit.set_incident("incident-1", status="cancelled")
    with pytest.raises(PolicyRefusalError) as raised:
        await kit.clips.choose(clip.clip_id, 1, ANALYST)
    assert raised.value.rule == "P08"
    assert kit.workers.cut == [], "not a frame is cut out"
    assert lies_in_the_store(kit, clip)


async def test_what_is_no_clip_leaves_nothing(kit: ProbeKit) -> None:
    await kit.incident()
    kit.workers.error = InvalidInputError("this is not a clip", "not_a_clip")
    with pytest.raises(InvalidInputError, match="not a clip"):
        await kit.clips.attach("incident-1", form(), ANALYST, upload(CLIP))
    kit.workers.error = None
    with pytest.raises(InvalidInputError, match="The clip is larger than 1 MB"):
        await kit.clips.attach("incident-1", form(), ANALYST, upload(bytes(600_000), bytes(600_000)))
    assert kit.object_files() == []
    assert await kit.rows(tables.clips) == []


async def test_an_analyst_has_only_so_many_clips_waiting(kit: ProbeKit) -> None:
    clips = [await sent(kit) for _ in range(MOST_OPEN)]
    with pytest.raises(ConflictError, match="5 clips of yours"):
        await sent(kit)
    await kit.clips.choose(clips[0].clip_id, 1, ANALYST)
    await sent(kit)
