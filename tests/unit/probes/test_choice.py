"""Choosing a face: what is kept, and the results and failures on the way."""

import asyncio

import numpy as np
import pytest

from rtcc_bridge.errors import ConflictError, NotFoundError, UnavailableError
from rtcc_bridge.matching.types import Verdict
from rtcc_bridge.storage import tables
from tests.probe_kit import ANALYST, ProbeKit, face, form, upload


async def test_the_crop_is_sealed_raw_with_its_size_and_landmarks(kit: ProbeKit) -> None:
    probe = await kit.chosen()
    assert probe.crop_object is not None
    pixels = np.frombuffer(await kit.read(probe.crop_object), np.uint8)
    assert (probe.crop_height, probe.crop_width) == (8, 6)
    assert np.array_equal(pixels, np.arange(8 * 6 * 3, dtype=np.uint8))
    assert probe.crop_landmarks == kit.workers.faces[0].face.landmarks.tolist()
    assert probe.chosen_at == kit.clock.now()


async def test_a_face_that_is_too_poor_is_a_result(kit: ProbeKit) -> None:
    kit.workers.faces = (face(1), face(2, Verdict.REFUSED, left=100))
    await kit.incident()
    probe = await kit.desk.attach("incident-1", form(), ANALYST, upload())
    rejected = await kit.desk.choose_face(probe.probe_id, 2, ANALYST)
    assert (rejected.state, rejected.approval) == ("rejected_quality", "none")
    assert rejected.state_reason == "Face 2: eyes 14 px apart: too small to compare"
    (lead,) = await kit.events("lead.rejected_quality")
    assert lead["probeQuality"]["unifiedScore"] == 20
    assert kit.workers.cropped == []
    assert await kit.requests() == []
    with pytest.raises(ConflictError):
        await kit.desk.choose_face(probe.probe_id, 1, ANALYST)


async def test_a_face_with_warnings_may_be_chosen(kit: ProbeKit) -> None:
    kit.workers.faces = (face(1, Verdict.WARNED),)
    assert (await kit.chosen()).state == "awaiting_approval"


async def test_when_the_worker_fails_the_choice_can_be_made_again(kit: ProbeKit) -> None:
    probe = await kit.attached()

    async def fails() -> None:
        raise UnavailableError("no worker")

    kit.workers.before_crop = fails
    with pytest.raises(UnavailableError):
        await kit.desk.choose_face(probe.probe_id, 1, ANALYST)
    kit.workers.before_crop = None
    assert (await kit.desk.choose_face(probe.probe_id, 1, ANALYST)).state == "awaiting_approval"
    assert len(kit.object_files()) == 2


async def test_a_still_that_is_damaged_is_said_to_who_works_on_it_and_stops_nobody(kit: ProbeKit) -> None:
    probe = await kit.attached()
    (file,) = kit.object_files()
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(bytes(content))
    for attempt in (kit.desk.choose_face(probe.probe_id, 1, ANALYST), kit.desk.preview(probe.probe_id, ANALYST)):
        with pytest.raises(NotFoundError, match="attach it again"):
            await attempt
    assert kit.object_files() == [file]


async def test_a_caller_that_goes_away_leaves_no_crop(kit: ProbeKit) -> None:
    probe = await kit.attached()
    cutting = asyncio.Event()

    async def hangs() -> None:
        cutting.set()
        await asyncio.Event().wait()

    kit.workers.before_crop = hangs
    task = asyncio.create_task(kit.desk.choose_face(probe.probe_id, 1, ANALYST))
    await cutting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(kit.object_files()) == 1
    assert (await kit.desk.find(probe.probe_id)).state == "faces_found"


async def test_a_database_that_refuses_leaves_no_crop(kit: ProbeKit, monkeypatch: pytest.MonkeyPatch) -> None:
    probe = await kit.attached()

    async def refuses(*_arguments: object, **_more: object) -> str:
        raise UnavailableError("the database is read-only")

    monkeypatch.setattr(kit.parts.audit, "append", refuses)
    with pytest.raises(UnavailableError):
        await kit.desk.choose_face(probe.probe_id, 1, ANALYST)
    assert len(kit.object_files()) == 1
    assert len(await kit.rows(tables.object_keys)) == 1
    assert (await kit.desk.find(probe.probe_id)).state == "faces_found"
