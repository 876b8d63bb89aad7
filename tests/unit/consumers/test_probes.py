"""The matcher's handler: one lead for each probe, whatever fails and however often the request comes."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rtcc_bridge.consumers.records import ConsumedRecord
from rtcc_bridge.errors import (
    BusyError,
    ConfigurationError,
    ConfigurationProblem,
    ConflictError,
    InvalidInputError,
    NotFoundError,
    ObjectUnavailableError,
    PolicyRefusalError,
    UnavailableError,
)
from rtcc_bridge.matching.types import Candidate, FaceCrop
from rtcc_bridge.probes.search_token import token_for
from rtcc_bridge.storage import probes, tables
from tests.lead_parts import probe_record
from tests.probe_kit import ANALYST, SUPERVISOR, Gallery, ProbeKit, face_search, record_of, search_handler


async def request_of(kit: ProbeKit) -> ConsumedRecord:
    await kit.authorized()
    return record_of((await kit.requests())[0])


async def run(kit: ProbeKit, gallery: Gallery, *records: ConsumedRecord, **options: Any) -> None:
    search = face_search(gallery)
    async with search.batcher:
        handler = search_handler(kit, search, **options)
        await asyncio.gather(*(handler.handle(record) for record in records))


def altered(record: ConsumedRecord, **attributes: Any) -> ConsumedRecord:
    assert record.value is not None
    return replace(record, value=json.dumps({**json.loads(record.value), **attributes}).encode())


async def test_candidates_become_a_lead_without_names_or_scores(kit: ProbeKit) -> None:
    record = await request_of(kit)
    candidates = [await kit.enrol("person-1"), await kit.enrol("person-2")]
    await run(kit, Gallery(finds=lambda _crop: candidates), record)
    (lead,) = await kit.events("lead.candidates")
    assert lead["candidateCount"] == 2
    assert lead["approval"] == {"state": "granted", "approveBy": None}
    assert lead["search"]["galleryVersion"] == 3
    assert lead["probeQuality"]["unifiedScore"] == 70
    assert "person-" not in json.dumps(lead)
    assert "0.9" not in json.dumps(lead)
    (row,) = await kit.rows(tables.leads)
    sealed = json.loads(await kit.read(row["candidates_object"]))
    assert {entry["subjectId"] for entry in sealed["candidates"]} == {one.subject_id for one in candidates}
    (probe,) = await kit.rows(tables.probes)
    assert probe["state"] == "searched"
    assert kit.count("searches_total", purpose="violent_offense", outcome="candidates") == 1
    assert kit.count("stage_seconds_count", stage="persist") == 1


async def test_nobody_found_is_a_result_too(kit: ProbeKit) -> None:
    record = await request_of(kit)
    await run(kit, Gallery(), record)
    assert len(await kit.events("lead.no_candidate")) == 1
    assert len(kit.object_files()) == 2, "the original and the crop, no candidate list"


async def test_a_person_removed_during_the_search_is_in_no_lead(kit: ProbeKit) -> None:
    record = await request_of(kit)
    candidate = await kit.enrol("person-1")
    async with kit.database.write() as tx:
        await tx.execute(tables.gallery_images.update().values(removed_version=4))
    await run(kit, Gallery(finds=lambda _crop: [candidate]), record)
    assert len(await kit.events("lead.no_candidate")) == 1
    assert len(kit.object_files()) == 2, "the sealed list that no lead refers to is gone"


async def test_a_request_that_comes_twice_at_once_gives_one_lead(kit: ProbeKit) -> None:
    record = await request_of(kit)
    candidate = await kit.enrol("person-1")
    await run(kit, Gallery(finds=lambda _crop: [candidate]), record, record)
    assert len(await kit.rows(tables.leads)) == 1
    assert len(await kit.events("lead.candidates")) == 1
    assert len(kit.object_files()) == 3


async def test_a_request_that_comes_again_later_does_nothing(kit: ProbeKit) -> None:
    record = await request_of(kit)
    gallery = Gallery()
    await run(kit, gallery, record)
    await run(kit, gallery, record)
    assert len(gallery.seen) == 1
    assert len(await kit.events("lead.no_candidate")) == 1


async def test_a_model_that_fails_once_is_asked_again(kit: ProbeKit) -> None:
    record = await request_of(kit)
    calls = 0

    def sometimes(_crop: FaceCrop) -> Sequence[Candidate]:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise RuntimeError("the device was reset")
        return ()

    await run(kit, Gallery(finds=sometimes), record)
    assert calls == 2
    assert len(await kit.events("lead.no_candidate")) == 1


async def test_a_model_that_goes_on_failing_leaves_the_probe_to_the_reconciler(kit: ProbeKit) -> None:
    record = await request_of(kit)
    gallery = Gallery(error=RuntimeError("no device"))
    await run(kit, gallery, record)
    assert len(gallery.seen) == 2
    await is_left_to_the_reconciler(kit)


async def test_a_request_that_failed_on_a_lost_device_is_kept_for_another_process(kit: ProbeKit) -> None:
    """Given up, it would wait until the reconciler requests it again."""

    async def lost() -> None:
        raise UnavailableError("the device is lost")

    record = await request_of(kit)
    with pytest.raises(UnavailableError, match="lost"):
        await run(kit, Gallery(error=RuntimeError("no device")), record, device_works=lost)
    assert kit.count("searches_total", purpose="violent_offense", outcome="failed") == 0
    await run(kit, Gallery(), record)
    assert len(await kit.events("lead.no_candidate")) == 1


async def test_it_is_not_asked_whether_the_device_works_while_searches_do(kit: ProbeKit) -> None:
    async def nobody_asks() -> None:
        raise AssertionError

    await run(kit, Gallery(), await request_of(kit), device_works=nobody_asks)
    assert len(await kit.events("lead.no_candidate")) == 1


@pytest.mark.parametrize("noticed", ["before the search", "in it"])
async def test_a_stale_gallery_is_for_later(kit: ProbeKit, noticed: str) -> None:
    record = await request_of(kit)
    stale = UnavailableError("the gallery's head was not confirmed")
    gallery = Gallery(closed=stale) if noticed == "before the search" else Gallery(error=stale)
    with pytest.raises(UnavailableError, match="head"):
        await run(kit, gallery, record)
    assert len(gallery.seen) == (0 if noticed == "before the search" else 2)
    assert (await kit.rows(tables.probes))[0]["state"] == "authorized"


async def test_a_gallery_that_is_not_there_is_for_the_operator_and_the_probe_keeps_its_authority(
    kit: ProbeKit,
) -> None:
    record = await request_of(kit)
    problem = ConfigurationProblem("matching.gallery", "there is no such gallery", "Enroll it")
    await run(kit, Gallery(closed=ConfigurationError(problem)), record)
    assert (await kit.rows(tables.probes))[0]["state"] == "authorized"
    assert await kit.rows(tables.leads) == []
    kit.clock.advance(31)
    assert await kit.reconciler.request_unanswered() == 1


async def test_a_stopped_matcher_is_for_later(kit: ProbeKit) -> None:
    record = await request_of(kit)
    search = face_search(Gallery())
    async with search.batcher:
        pass
    with pytest.raises(UnavailableError):
        await search_handler(kit, search).handle(record)


async def test_a_full_queue_is_for_later(kit: ProbeKit) -> None:
    record = await request_of(kit)
    running, finish = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def blocks(_crop: FaceCrop) -> Sequence[Candidate]:
        loop.call_soon_threadsafe(running.set)
        asyncio.run_coroutine_threadsafe(finish.wait(), loop).result(timeout=10)
        return ()

    search = face_search(Gallery(finds=blocks))
    crop = FaceCrop(np.zeros((8, 6, 3), np.uint8), np.zeros((5, 2), np.float32))
    async with search.batcher:
        busy = [asyncio.create_task(search.batcher.submit(crop))]
        await running.wait()
        busy += [asyncio.create_task(search.batcher.submit(crop)) for _ in range(8)]
        await asyncio.sleep(0)
        with pytest.raises(BusyError):
            await search_handler(kit, search).handle(record)
        finish.set()
        await asyncio.gather(*busy)


async def test_a_search_that_takes_too_long_is_left_to_the_reconciler(kit: ProbeKit) -> None:
    record = await request_of(kit)
    finish = asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(_crop: FaceCrop) -> Sequence[Candidate]:
        asyncio.run_coroutine_threadsafe(finish.wait(), loop).result(timeout=10)
        return ()

    search = face_search(Gallery(finds=slow))
    async with search.batcher:
        await search_handler(kit, search, timeout_seconds=0.2).handle(record)
        finish.set()
    await is_left_to_the_reconciler(kit)


async def test_a_picture_that_the_store_does_not_give_is_left_to_the_reconciler(kit: ProbeKit) -> None:
    record = await request_of(kit)
    crop = await crop_file(kit)
    aside = crop.rename(crop.with_suffix(".aside"))
    crop.symlink_to(crop)  # opening it is an error of the file system, and that of no other object
    await run(kit, Gallery(), record)
    crop.unlink()
    aside.rename(crop)
    await is_left_to_the_reconciler(kit)


async def test_a_store_that_is_away_keeps_the_record(kit: ProbeKit) -> None:
    record = await request_of(kit)
    away = kit.objects.rename(kit.objects.with_suffix(".away"))
    with pytest.raises(UnavailableError) as raised:
        await run(kit, Gallery(), record)
    assert not isinstance(raised.value, ObjectUnavailableError)
    away.rename(kit.objects)
    await run(kit, Gallery(), record)
    assert len(await kit.events("lead.no_candidate")) == 1


async def crop_file(kit: ProbeKit) -> Path:
    (probe,) = await kit.rows(tables.probes)
    return kit.objects / str(probe["crop_object"])


async def is_left_to_the_reconciler(kit: ProbeKit) -> None:
    """Nothing came of the search but a count; it is requested again, and then it has its outcome."""
    assert await kit.rows(tables.leads) == []
    assert kit.count("searches_total", purpose="violent_offense", outcome="failed") == 1
    kit.clock.advance(31)
    assert await kit.reconciler.request_unanswered() == 1
    await run(kit, Gallery(), record_of((await kit.requests())[-1]))
    assert len(await kit.events("lead.no_candidate")) == 1


@pytest.mark.parametrize(
    "attributes",
    [
        {"type": "rtcc.incident.reported"},
        {"data": None},
        {"data": []},
        {"data": {"probeId": 7}},
        {"data": {"probeId": ""}},
        {"specversion": "0.3"},
    ],
)
async def test_what_is_no_request_is_rejected(kit: ProbeKit, attributes: dict[str, Any]) -> None:
    record = await request_of(kit)
    with pytest.raises(InvalidInputError):
        await run(kit, Gallery(), altered(record, **attributes))


async def test_a_request_for_an_unknown_probe_is_rejected(kit: ProbeKit) -> None:
    record = await request_of(kit)
    with pytest.raises(NotFoundError):
        await run(kit, Gallery(), altered(record, data=signed_for_nobody(kit)))


def signed_for_nobody(kit: ProbeKit) -> dict[str, Any]:
    """The data of a request that was signed for a probe that is not there: of a database that was restored, say."""
    probe = probe_record(kit.clock.now(), probe_id="unknown", lane="routine")
    token = token_for(probe, kit.parts.authority_keys.require_signer(), kit.parts.policy, kit.clock.now())
    return {"probeId": "unknown", "authority": token}


def bytes_of(kit: ProbeKit, probe: dict[str, Any]) -> Path:
    return kit.objects / str(probe["crop_object"])


def flip_a_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(bytes(content))


async def alter(kit: ProbeKit, **columns: Any) -> None:
    async with kit.database.write() as tx:
        await tx.execute(tables.probes.update().values(columns))


@pytest.mark.parametrize(
    "columns",
    [{"crop_width": 7}, {"crop_landmarks": [[3.0, 3.0]] * 5}, {"crop_object": None}],
    ids=["another size", "landmarks that coincide", "no crop"],
)
async def test_a_row_that_does_not_describe_its_picture_any_more_goes_back_to_the_supervisor(
    kit: ProbeKit, columns: dict[str, Any]
) -> None:
    """It is not what was approved (P30). Approved as it is, it ends with a result as any damaged picture does."""
    record = await request_of(kit)
    (probe,) = await kit.rows(tables.probes)
    await alter(kit, **columns)
    gallery = Gallery()
    with pytest.raises(PolicyRefusalError):
        await run(kit, gallery, record)
    kit.clock.advance(31)
    await kit.reconciler.sweep()
    assert (await kit.desk.find(probe["probe_id"])).state == "awaiting_approval"
    await kit.desk.approve(probe["probe_id"], SUPERVISOR)
    *_, again = sorted(await kit.requests(), key=lambda row: int(row["id"]))
    await run(kit, gallery, record_of(again))
    assert gallery.seen == []
    assert (await kit.desk.find(probe["probe_id"])).state == "unreadable"


@pytest.mark.parametrize("damage", ["bit flipped", "bytes gone", "key gone"])
async def test_a_damaged_picture_ends_its_own_probe_with_a_result_and_harms_no_other(
    kit: ProbeKit, damage: str
) -> None:
    damaged = await request_of(kit)
    (probe,) = await kit.rows(tables.probes)
    if damage == "bit flipped":
        flip_a_bit(bytes_of(kit, probe))
    elif damage == "bytes gone":
        bytes_of(kit, probe).unlink()
    else:
        async with kit.database.write() as tx:
            await tx.execute(tables.object_keys.delete().where(tables.object_keys.c.object_key == probe["crop_object"]))
    await kit.authorized("incident-2")
    sound = record_of((await kit.requests())[-1])
    gallery = Gallery()
    await run(kit, gallery, damaged, damaged, sound)
    assert len(gallery.seen) == 1
    (lead,) = await kit.events("lead.rejected_quality")
    assert (lead["probeId"], lead["approval"], lead["search"]) == (probe["probe_id"], None, None)
    assert lead["probeQuality"]["unifiedScore"] is None
    assert "attach the still again" in lead["probeQuality"]["sentences"][0]
    (ended,) = await kit.rows(tables.probes, probe_id=probe["probe_id"])
    assert (ended["state"], ended["state_reason"]) == ("unreadable", lead["probeQuality"]["sentences"][0])
    (entry,) = [one["entry"] for one in await kit.audited("probe.search") if one["entry"]["outcome"] == "unreadable"]
    assert entry["subject"] == probe["probe_id"]
    assert kit.count("searches_total", purpose="violent_offense", outcome="unreadable") == 1
    assert len(await kit.events("lead.no_candidate")) == 1
    kit.clock.advance(3600)
    assert await kit.reconciler.request_unanswered() == 0


async def test_p14_an_approval_that_was_to_follow_a_damaged_picture_is_neither_asked_for_nor_counted(
    kit: ProbeKit,
) -> None:
    await kit.deferred()
    (probe,) = await kit.rows(tables.probes)
    flip_a_bit(bytes_of(kit, probe))
    await run(kit, Gallery(), record_of((await kit.requests())[0]))
    kit.clock.advance(3600)
    assert await kit.reconciler.lapse_overdue() == 0
    with pytest.raises(ConflictError, match="nothing to decide"):
        await kit.approvals.approve(probe["probe_id"], SUPERVISOR)
    async with kit.database.write() as tx:
        assert await probes.count_unapproved_deferrals(tx, ANALYST.name, ()) == 0


async def test_p08_a_probe_that_was_withdrawn_meanwhile_is_not_ended_again(
    kit: ProbeKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = await request_of(kit)
    (probe,) = await kit.rows(tables.probes)
    flip_a_bit(bytes_of(kit, probe))
    unseal = kit.vault.unseal

    async def withdrawn_while_it_is_read(*arguments: Any) -> bytes:
        async with kit.database.write() as tx:
            await kit.approvals.withdraw_for_incident(tx, "incident-1", "cancelled")
        return await unseal(*arguments)

    monkeypatch.setattr(kit.vault, "unseal", withdrawn_while_it_is_read)
    await run(kit, Gallery(), record)
    assert (await kit.rows(tables.probes))[0]["state"] == "withdrawn"
    assert await kit.rows(tables.leads) == []


async def test_a_store_that_is_not_mounted_is_for_later(kit: ProbeKit) -> None:
    record = await request_of(kit)
    kit.objects.rename(kit.objects.with_name("elsewhere"))
    with pytest.raises(UnavailableError):
        await run(kit, Gallery(), record)
    assert (await kit.rows(tables.probes))[0]["state"] == "authorized"
