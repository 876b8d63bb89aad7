"""P01: one approval covers one unknown person of one case, for several stills, for a day."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rtcc_bridge.errors import NotFoundError, PolicyRefusalError
from rtcc_bridge.matching.edits import Brightness
from rtcc_bridge.policy.accounts import Account
from rtcc_bridge.policy.rules import MOST_STILLS
from rtcc_bridge.storage import probes, tables
from rtcc_bridge.storage.probes import ProbeRecord
from tests.probe_kit import (
    ANALYST,
    OTHER_ANALYST,
    SUPERVISOR,
    Gallery,
    ProbeKit,
    face,
    face_search,
    form,
    record_of,
    search_handler,
    upload,
)


async def further(kit: ProbeKit, first: ProbeRecord, analyst: Account = ANALYST, **changes: Any) -> ProbeRecord:
    """Attaches another picture than any before."""
    stated = form(same_person_as=first.probe_id, **changes)
    kit.workers.crop_pixels = kit.workers.crop_pixels + np.uint8(1)
    return await kit.desk.attach("incident-1", stated, analyst, upload(b"picture %d" % len(kit.workers.inspected)))


async def searched(kit: ProbeKit) -> int:
    gallery = Gallery()
    search = face_search(gallery)
    async with search.batcher:
        handler = search_handler(kit, search)
        for row in await kit.requests():
            await handler.handle(record_of(row))
    return len(gallery.seen)


async def is_refused(kit: ProbeKit, first: ProbeRecord, analyst: Account = ANALYST, **changes: Any) -> None:
    """Before a byte of the still is read, counted and audited."""
    known, read = len(await kit.rows(tables.probes)), len(kit.workers.inspected)
    with pytest.raises(PolicyRefusalError) as refused:
        await further(kit, first, analyst, **changes)
    assert refused.value.rule == "P01"
    assert (len(await kit.rows(tables.probes)), len(kit.workers.inspected)) == (known, read)
    (entry,) = [row["entry"] for row in await kit.audited("probe.attach") if row["outcome"] == "refused"]
    assert entry["details"]["rule"] == "P01"


async def test_a_further_still_of_the_person_is_searched_on_the_same_approval(kit: ProbeKit) -> None:
    first = await kit.authorized()
    second = await further(kit, first)
    chosen = await kit.desk.choose_face(second.probe_id, 1, ANALYST)
    assert (chosen.state, chosen.approval, chosen.approve_by) == ("authorized", "granted", None)
    assert (chosen.approved_by, chosen.approved_at) == ("supervisor", first.approved_at)
    assert await searched(kit) == 2
    (entry,) = [row["entry"] for row in await kit.audited("probe.choose_face") if row["subject"] == second.probe_id]
    assert entry["details"]["coveredBy"] == first.probe_id


async def test_who_looks_at_the_approved_probe_sees_what_its_approval_covers(kit: ProbeKit) -> None:
    first = await kit.authorized()
    second = await further(kit, first)
    kit.clock.advance(1)
    third = await further(kit, second)
    assert third.same_person_as == first.probe_id, "what a still names that is covered itself leads to the approved one"
    async with kit.database.read() as tx:
        covered = await probes.covered_by(tx, first.probe_id)
    assert [probe.probe_id for probe in covered] == [second.probe_id, third.probe_id]


@pytest.mark.parametrize(
    "changes",
    [
        {"case_number": "26-000999"},
        {"purpose": "identify_deceased"},
        {"legal_basis": "another"},
        {"requestor": "somebody else"},
    ],
    ids=str,
)
async def test_it_covers_nothing_but_the_search_that_was_approved(kit: ProbeKit, changes: Mapping[str, Any]) -> None:
    await is_refused(kit, await kit.authorized(), **changes)


async def test_it_covers_no_other_incident(kit: ProbeKit) -> None:
    first = await kit.authorized()
    await kit.incident("incident-2")
    with pytest.raises(PolicyRefusalError) as refused:
        await kit.desk.attach("incident-2", form(same_person_as=first.probe_id), ANALYST, upload())
    assert refused.value.rule == "P01"


async def test_no_other_analyst_adds_to_it(kit: ProbeKit) -> None:
    await is_refused(kit, await kit.authorized(), OTHER_ANALYST)


@pytest.mark.parametrize(
    "state", ["attached", "chosen", "deferred", "refused", "withdrawn", "expired", "of a time to come", "too many"]
)
async def test_only_an_approval_that_stands_covers_anything(kit: ProbeKit, state: str) -> None:
    match state:
        case "attached":
            first = await kit.attached()
        case "chosen":
            first = await kit.chosen()
        case "deferred":
            first = await kit.deferred()
        case "refused":
            first = await kit.desk.refuse((await kit.chosen()).probe_id, SUPERVISOR, "no")
        case _:
            first = await kit.authorized()
    if state == "withdrawn":
        async with kit.database.write() as tx:
            await kit.approvals.withdraw_for_incident(tx, "incident-1", "the incident is cancelled")
    if state == "expired":
        kit.clock.advance(24 * 3600)
    if state == "of a time to come":
        kit.clock.advance(-2 * 3600)
    if state == "too many":
        async with kit.database.write() as tx:
            for number in range(MOST_STILLS - 1):
                await probes.insert(tx, replace(first, probe_id=f"still-{number}", same_person_as=first.probe_id))
    await is_refused(kit, first)


async def test_a_still_of_nobody_known_is_added_to_nothing(kit: ProbeKit) -> None:
    await kit.incident()
    with pytest.raises(NotFoundError):
        await kit.desk.attach("incident-1", form(same_person_as="nothing"), ANALYST, upload())


@pytest.mark.parametrize("covered", [False, True], ids=["approved", "covered already"])
async def test_no_second_face_of_one_picture_is_searched_on_one_approval(kit: ProbeKit, covered: bool) -> None:
    """Nor the same face with other edits: two faces of one picture are two people."""
    kit.workers.faces = (face(1), face(2, left=200))
    first = await kit.authorized()
    if covered:
        await kit.desk.attach("incident-1", form(same_person_as=first.probe_id), ANALYST, upload(b"another picture"))
    files, known = kit.object_files(), len(await kit.rows(tables.probes))
    again = form(same_person_as=first.probe_id, edits=(Brightness(15),))
    with pytest.raises(PolicyRefusalError, match="attach it by itself") as refused:
        await kit.desk.attach("incident-1", again, ANALYST, upload(*([b"another picture"] if covered else [])))
    assert refused.value.rule == "P01"
    assert (kit.object_files(), len(await kit.rows(tables.probes))) == (files, known)
    (entry,) = [row["entry"] for row in await kit.audited("probe.attach") if row["outcome"] == "refused"]
    assert entry["details"]["rule"] == "P01"


async def test_a_copy_of_the_approved_picture_waits_for_a_supervisor(kit: ProbeKit) -> None:
    """Saved anew it has other bytes; the chosen face has the same pixels."""
    first = await kit.authorized()
    copy = await kit.desk.attach("incident-1", form(same_person_as=first.probe_id), ANALYST, upload(b"saved anew"))
    chosen = await kit.desk.choose_face(copy.probe_id, 1, ANALYST)
    assert (chosen.state, chosen.approval, chosen.approved_by) == ("awaiting_approval", "pending", None)
    (entry,) = [row["entry"] for row in await kit.audited("probe.choose_face") if row["subject"] == copy.probe_id]
    assert entry["details"]["coveredBy"] is None
    assert await searched(kit) == 1


@pytest.mark.parametrize("same", ["bytes", "pixels"])
async def test_of_one_picture_that_came_in_twice_one_still_is_covered(kit: ProbeKit, same: str) -> None:
    """As if the two had arrived at one moment, or before copies were asked about."""
    first = await kit.authorized()
    second, third = await further(kit, first), await further(kit, first)
    if same == "bytes":
        async with kit.database.write() as tx:
            row = tables.probes.c.probe_id == third.probe_id
            await tx.execute(tables.probes.update().where(row).values(original_sha256=second.original_sha256))
    states = []
    for probe in (second, third):
        if same == "bytes":
            kit.workers.crop_pixels = kit.workers.crop_pixels + np.uint8(1)
        states.append((await kit.desk.choose_face(probe.probe_id, 1, ANALYST)).state)
    assert states == ["authorized", "awaiting_approval"]


async def test_an_approval_that_ends_before_the_face_is_chosen_covers_it_no_more(kit: ProbeKit) -> None:
    second = await further(kit, await kit.authorized())
    kit.clock.advance(24 * 3600)
    chosen = await kit.desk.choose_face(second.probe_id, 1, ANALYST)
    assert (chosen.state, chosen.approval, chosen.approved_by) == ("awaiting_approval", "pending", None)


async def test_only_an_approval_that_would_cover_a_further_still_is_offered(kit: ProbeKit) -> None:
    first = await kit.authorized()
    [offered] = await kit.desk.open_approvals("incident-1", ANALYST.name)
    assert (offered.probe.probe_id, offered.stills) == (first.probe_id, 1)
    assert await kit.desk.open_approvals("incident-1", OTHER_ANALYST.name) == []
    await further(kit, first)
    [offered] = await kit.desk.open_approvals("incident-1", ANALYST.name)
    assert offered.stills == 2
    kit.clock.advance(24 * 3600 - 1)
    assert await kit.desk.open_approvals("incident-1", ANALYST.name) == [offered]
    kit.clock.advance(1)
    assert kit.clock.now() == offered.until
    assert await kit.desk.open_approvals("incident-1", ANALYST.name) == []
    await is_refused(kit, first)


async def test_a_further_still_has_no_day_of_its_own(kit: ProbeKit) -> None:
    first = await kit.authorized()
    kit.clock.advance(23 * 3600)
    await kit.desk.choose_face((await further(kit, first)).probe_id, 1, ANALYST)
    kit.clock.advance(3600)
    assert await searched(kit) == 0
    await kit.reconciler.suspend_unfounded()
    assert {row["state"] for row in await kit.rows(tables.probes)} == {"awaiting_approval"}


async def test_an_approval_says_whether_the_search_was_opened(kit: ProbeKit) -> None:
    """What nobody opened and somebody approved is a sign of misuse (P27)."""
    unseen, seen = await kit.chosen(), await kit.chosen()
    await kit.desk.open(seen.probe_id, SUPERVISOR)
    await kit.desk.open(seen.probe_id, SUPERVISOR)
    for probe in (unseen, seen):
        await kit.desk.approve(probe.probe_id, SUPERVISOR)
    opened = {row["subject"]: row["entry"]["details"]["opened"] for row in await kit.audited("probe.approve")}
    assert opened == {unseen.probe_id: False, seen.probe_id: True}
    assert len(await kit.audited("probe.view")) == 2, "each look is an entry"
