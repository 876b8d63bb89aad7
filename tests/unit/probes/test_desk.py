"""Intake: what is kept of an upload, what is told of its faces, and that nothing is left of one that failed."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rtcc_bridge.errors import BusyError, InvalidInputError, NotFoundError, UnavailableError
from rtcc_bridge.matching.types import Lane, Verdict
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.storage import tables
from rtcc_bridge.storage.engine import Database
from tests.doubles import ManualClock
from tests.probe_kit import ANALYST, SENDER, STILL, ProbeKit, build_kit, face, form, open_vault, upload


async def nothing_is_left(kit: ProbeKit) -> bool:
    return not (
        await kit.rows(tables.probes)
        or await kit.rows(tables.object_keys)
        or await kit.rows(tables.outbox)
        or kit.object_files()
    )


async def test_the_original_is_sealed_as_it_came_and_hashed(kit: ProbeKit) -> None:
    await kit.incident()
    probe = await kit.desk.attach("incident-1", form(), ANALYST, upload(STILL[:700], STILL[700:]))
    assert probe.original_object is not None
    assert await kit.read(probe.original_object) == STILL
    assert probe.original_sha256 == hashlib.sha256(STILL).hexdigest()
    (file,) = kit.object_files()
    assert STILL[:16] not in file.read_bytes()
    assert kit.workers.inspected == [STILL]


async def test_the_faces_are_kept_with_number_box_landmarks_and_quality(kit: ProbeKit) -> None:
    await kit.incident()
    kit.workers.faces = (face(1), face(2, Verdict.WARNED, left=100.5))
    probe = await kit.desk.attach("incident-1", form(), ANALYST, upload())
    assert probe == await kit.desk.find(probe.probe_id)
    assert (probe.state, probe.image_width, probe.image_height) == ("faces_found", 640, 480)
    second = (probe.faces or ())[1]
    assert second["number"] == 2
    assert second["box"] == {"left": 100.5, "top": 10.0, "right": 160.5, "bottom": 80.0}
    assert second["landmarks"][0] == [104.5, 105.5]
    assert second["quality"]["verdict"] == "warned"
    assert second["quality"]["sentences"] == ["eyes 14 px apart: too small to compare"]


async def test_the_stages_of_the_worker_are_measured(kit: ProbeKit) -> None:
    await kit.attached()
    for stage in ("decode", "detect", "quality"):
        assert kit.count("stage_seconds_count", stage=stage) == 1


async def test_a_picture_without_a_face_is_a_result_with_a_lead(kit: ProbeKit) -> None:
    await kit.incident()
    kit.workers.faces = ()
    probe = await kit.desk.attach("incident-1", form(), ANALYST, upload())
    assert probe.state == "rejected_quality"
    assert probe.state_reason is not None
    assert "No face was found" in probe.state_reason
    (lead,) = await kit.events("lead.rejected_quality")
    assert (lead["probeId"], lead["result"]) == (probe.probe_id, "rejected_quality")
    assert lead["probeQuality"]["unifiedScore"] is None
    assert await kit.requests() == []


async def test_a_picture_whose_faces_are_all_too_poor_is_a_result_that_says_why(kit: ProbeKit) -> None:
    await kit.incident()
    kit.workers.faces = (face(1, Verdict.REFUSED), face(2, Verdict.REFUSED, left=100))
    probe = await kit.desk.attach("incident-1", form(), ANALYST, upload())
    assert probe.state == "rejected_quality"
    (lead,) = await kit.events("lead.rejected_quality")
    assert lead["probeQuality"]["sentences"] == [
        "Face 1: eyes 14 px apart: too small to compare",
        "Face 2: eyes 14 px apart: too small to compare",
    ]


async def test_one_usable_face_among_poor_ones_is_enough(kit: ProbeKit) -> None:
    await kit.incident()
    kit.workers.faces = (face(1, Verdict.REFUSED), face(2, Verdict.WARNED, left=100))
    assert (await kit.desk.attach("incident-1", form(), ANALYST, upload())).state == "faces_found"


@pytest.mark.parametrize(
    "error",
    [InvalidInputError("no picture", "not_an_image"), BusyError("too many pictures"), UnavailableError("no worker")],
)
async def test_when_the_worker_fails_nothing_is_left(kit: ProbeKit, error: Exception) -> None:
    await kit.incident()
    kit.workers.error = error
    with pytest.raises(type(error), match=str(error)):
        await kit.desk.attach("incident-1", form(), ANALYST, upload())
    assert await nothing_is_left(kit)


async def test_an_upload_that_stops_half_way_leaves_nothing(kit: ProbeKit) -> None:
    await kit.incident()

    async def stops() -> AsyncIterator[bytes]:
        yield STILL
        raise ConnectionResetError("the client went away")

    with pytest.raises(ConnectionResetError):
        await kit.desk.attach("incident-1", form(), ANALYST, stops())
    assert await nothing_is_left(kit)


async def test_a_client_that_goes_away_leaves_nothing(kit: ProbeKit) -> None:
    await kit.incident()
    waiting = asyncio.Event()

    async def stalls() -> AsyncIterator[bytes]:
        yield STILL
        waiting.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(kit.desk.attach("incident-1", form(), ANALYST, stalls()))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await nothing_is_left(kit)


async def test_an_upload_that_stalls_is_given_up(
    database: Database, clock: ManualClock, metrics: Metrics, tmp_path: Path
) -> None:
    async with open_vault(tmp_path, clock) as vault:
        kit = build_kit(database, vault, clock, metrics, tmp_path / "objects", upload_timeout_seconds=0.05)
        await kit.incident()

        async def stalls() -> AsyncIterator[bytes]:
            yield STILL
            await asyncio.Event().wait()

        with pytest.raises(InvalidInputError) as raised:
            await kit.desk.attach("incident-1", form(), ANALYST, stalls())
        assert raised.value.reason == "stalled"
        assert await nothing_is_left(kit)


async def test_no_worker_is_asked_before_the_whole_upload_has_arrived(kit: ProbeKit) -> None:
    """A client that sends slowly occupies no worker."""
    await kit.incident()
    waiting, rest = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield STILL
        waiting.set()
        await rest.wait()
        yield STILL

    async with asyncio.TaskGroup() as group:
        first = group.create_task(kit.desk.attach("incident-1", form(), ANALYST, slow()))
        await waiting.wait()
        await kit.desk.attach("incident-1", form(), ANALYST, upload())
        assert kit.workers.asked == 1
        rest.set()
    assert kit.workers.inspected == [STILL, STILL + STILL]
    assert first.result().state == "faces_found"


async def test_a_store_that_cannot_be_written_leaves_nothing(kit: ProbeKit, monkeypatch: pytest.MonkeyPatch) -> None:
    await kit.incident()

    async def full(_kind: str, _chunks: object) -> None:
        raise UnavailableError("the object store is full")

    monkeypatch.setattr(kit.vault, "seal", full)
    with pytest.raises(UnavailableError, match="full"):
        await kit.desk.attach("incident-1", form(), ANALYST, upload())
    assert await nothing_is_left(kit)


async def test_a_database_that_refuses_leaves_nothing(kit: ProbeKit, monkeypatch: pytest.MonkeyPatch) -> None:
    await kit.incident()

    async def refuses(*_arguments: object, **_more: object) -> str:
        raise UnavailableError("the database is read-only")

    monkeypatch.setattr(kit.parts.audit, "append", refuses)
    with pytest.raises(UnavailableError):
        await kit.desk.attach("incident-1", form(), ANALYST, upload())
    assert await nothing_is_left(kit)


@pytest.mark.parametrize(
    "changes",
    [
        {"requestor": "x" * 257},
        {"requestor": "ß" * 200},
        {"legal_basis": "x" * 1025},
        {"case_number": "x" * 257},
        {"purpose": "x" * 65},
    ],
)
async def test_what_would_not_fit_is_refused(kit: ProbeKit, changes: dict[str, str]) -> None:
    await kit.incident()
    with pytest.raises(InvalidInputError):
        await kit.desk.attach("incident-1", form(**changes), ANALYST, upload())
    assert await nothing_is_left(kit)


async def test_what_is_taken_in_is_audited_without_names(kit: ProbeKit) -> None:
    probe = await kit.attached()
    (entry,) = await kit.audited("probe.attach")
    assert (entry["actor"], entry["subject"], entry["outcome"]) == ("analyst", probe.probe_id, "faces_found")
    assert entry["entry"]["details"]["originalSha256"] == probe.original_sha256
    assert entry["entry"]["authority"]["policyHash"] == kit.parts.policy.hash
    assert "26-000123" not in str(entry["entry"])


async def test_a_probe_that_does_not_exist(kit: ProbeKit) -> None:
    for call in (kit.desk.find("none"), kit.desk.preview("none", ANALYST), kit.desk.choose_face("none", 1, ANALYST)):
        with pytest.raises(NotFoundError):
            await call


async def test_the_policy_lists_the_sender_of_the_demo(kit: ProbeKit) -> None:
    assert SENDER in kit.parts.policy.deferral.senders


async def test_pictures_of_imminent_threats_are_read_before_others(kit: ProbeKit) -> None:
    await kit.incident()
    await kit.incident("incident-2")
    await kit.threat("incident-2")
    assert await kit.desk.lane_of("incident-1") == Lane.ROUTINE
    assert await kit.desk.lane_of("incident-2") == Lane.IMMINENT
    assert await kit.desk.lane_of("nobody told of it") == Lane.ROUTINE
    for incident, lane in (("incident-1", Lane.ROUTINE), ("incident-2", Lane.IMMINENT)):
        kit.workers.lanes.clear()
        probe = await kit.desk.attach(incident, form(), ANALYST, upload())
        await kit.desk.preview(probe.probe_id, ANALYST)
        await kit.desk.choose_face(probe.probe_id, 1, ANALYST)
        await kit.desk.preview(probe.probe_id, ANALYST)
        assert kit.workers.lanes == [lane] * 4
