"""Pictures that somebody sends on a page: what is taken, what is left out, and that each is enrolled once."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NoReturn

import numpy as np
import pytest

from rtcc_bridge.errors import ConflictError, InvalidInputError, NotFoundError, UnavailableError
from rtcc_bridge.gallery.additions import GalleryAdditions
from rtcc_bridge.gallery.identity import GalleryKind
from rtcc_bridge.gallery.picture_batch import PictureBatches
from rtcc_bridge.gallery.sent_enrolment import KEPT_FOR, SentPictureEnroller
from rtcc_bridge.gallery.sent_pictures import PictureWords
from rtcc_bridge.gallery.sent_watch import SentPictureWatch
from rtcc_bridge.storage import galleries, tables
from rtcc_bridge.storage.sent_pictures import SentPictureRecord
from tests.gallery_kit import ADMINISTRATOR, PACK, SENT_WORDS, GalleryKit, WordReader, stored_template_of
from tests.vault_kit import stored_files


async def sent(text: str) -> AsyncIterator[bytes]:
    yield text.encode()


@pytest.fixture
async def kit(kit: GalleryKit) -> GalleryKit:
    """With a gallery that nothing is in."""
    await GalleryAdditions(kit.parts(), PACK).open_gallery("city", GalleryKind.DEMO, "somebody")
    return kit


async def send(
    kit: GalleryKit, text: str, reader: WordReader | None = None, words: PictureWords = SENT_WORDS
) -> SentPictureRecord:
    return await kit.sent_pictures(reader).take(ADMINISTRATOR, "city", words, sent(text))


async def searched(kit: GalleryKit) -> Counter[str]:
    """How many images of each person are searched."""
    async with kit.database.read() as tx:
        images = await galleries.living_images(tx, "city")
        names = await galleries.subject_refs(tx, {image.subject_id for image in images})
    return Counter(names[image.subject_id] for image in images)


async def entries(kit: GalleryKit, action: str) -> list[dict[str, Any]]:
    async with kit.database.read() as tx:
        return [dict(row.entry) for row in await tx.execute(tables.audit_entries.select()) if row.action == action]


def sealed(kit: GalleryKit) -> set[str]:
    """The kinds of what lies in the object store."""
    return {file.parent.name for file in stored_files(kit.folder)} - {"removals", "entries"}


async def newest(kit: GalleryKit) -> SentPictureRecord:
    return (await kit.sent_pictures().newest(ADMINISTRATOR, "city"))[0]


async def test_a_picture_waits_sealed_and_is_then_enrolled_with_all_that_was_stated(kit: GalleryKit) -> None:
    record = await send(kit, "ann-1", words=replace(SENT_WORDS, taken_on="2019-05-30"))
    assert (record.settled_at, record.sent_by) == (None, ADMINISTRATOR.name)
    assert await searched(kit) == {}
    assert {"sent-picture", "sent-face"} <= sealed(kit)
    assert await kit.sent_enroller().enroll_some() == 1
    assert await kit.sent_enroller().enroll_some() == 0
    async with kit.database.read() as tx:
        [image] = await galleries.living_images(tx, "city")
    assert (image.provenance, image.lawful_basis, image.taken_on) == ("booking desk", "statute 12", "2019-05-30")
    assert (image.retain_until, image.quality_score) == (datetime(2031, 1, 1, tzinfo=UTC), 80)
    follower = kit.follower()
    await follower.follow_once()
    found = follower.current.snapshot.templates_of(np.arange(1)).as_float32()
    assert found.tolist() == [stored_template_of("ann-1").tolist()]
    settled = await newest(kit)
    assert (settled.picture_id, settled.reason, settled.version) == (record.picture_id, None, 1)
    assert (settled.words, settled.face, settled.picture_object) == (None, None, None)
    assert sealed(kit).isdisjoint({"sent-picture", "sent-face"}), "the gallery has its own copy"
    told = [(entry["actor"], entry["outcome"]) for entry in await entries(kit, "gallery.send_picture")]
    assert told == [(ADMINISTRATOR.name, "waiting")]
    assert [entry["actor"] for entry in await entries(kit, "gallery.enrolled")] == [ADMINISTRATOR.name]


@pytest.mark.parametrize(
    ("text", "reason", "detail"),
    [
        ("", "no_face", "no face was found"),
        ("ann-1 bob-1", "several_faces", "2 faces were found: cut out the one that is meant"),
        ("poor", "poor_quality", "Too blurred to compare."),
    ],
)
async def test_a_picture_that_cannot_be_enrolled_is_a_result_and_nothing_of_it_is_kept(
    kit: GalleryKit, text: str, reason: str, detail: str
) -> None:
    record = await send(kit, text or " ")
    assert (record.reason, record.detail, record.words) == (reason, detail, None)
    assert sealed(kit) == set()
    assert await kit.sent_enroller().enroll_some() == 0
    [entry] = await entries(kit, "gallery.send_picture")
    assert (entry["outcome"], entry["details"]["reason"]) == ("left_out", reason)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"subject_ref": " "}, "no_subject"),
        ({"provenance": ""}, "no_provenance"),
        ({"lawful_basis": " "}, "no_lawful_basis"),
        ({"retain_until": ""}, "no_retention"),
        ({"retain_until": "soon"}, "no_retention"),
        ({"retain_until": "2020-12-31"}, "retention_passed"),
        ({"taken_on": "2099-01-01"}, "bad_row"),
        ({"provenance": "desk\n"}, "bad_row"),
        ({"attested_adult": False}, "not_adult"),
    ],
)
async def test_words_that_a_row_of_a_manifest_is_left_out_for_are_refused_before_a_byte_is_read(
    kit: GalleryKit, changes: dict[str, Any], reason: str
) -> None:
    pieces = iter([b"ann-1"])

    async def picture() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    words = replace(SENT_WORDS, **changes)
    with pytest.raises(InvalidInputError) as refused:
        await kit.sent_pictures().take(ADMINISTRATOR, "city", words, picture())
    assert refused.value.reason == reason
    assert list(pieces), "nothing was read of it"
    assert await kit.sent_pictures().newest(ADMINISTRATOR, "city") == []


async def test_only_what_there_is_and_what_this_model_made_is_added_to(kit: GalleryKit) -> None:
    with pytest.raises(NotFoundError):
        await kit.sent_pictures().take(ADMINISTRATOR, "town", SENT_WORDS, sent("ann-1"))
    other = replace(PACK, template_hash="cd" * 32)
    await GalleryAdditions(kit.parts(), other).open_gallery("other", GalleryKind.DEMO, "somebody")
    with pytest.raises(ConflictError, match="cannot be compared"):
        await kit.sent_pictures().take(ADMINISTRATOR, "other", SENT_WORDS, sent("ann-1"))


async def test_the_same_picture_sent_twice_waits_once_and_is_enrolled_once(kit: GalleryKit) -> None:
    first, second = await asyncio.gather(send(kit, "ann-1"), send(kit, "ann-1"))
    assert first.picture_id == second.picture_id
    assert len([file for file in stored_files(kit.folder) if file.parent.name.startswith("sent-")]) == 2
    await kit.sent_enroller().enroll_some()
    assert (await send(kit, "ann-1")).reason == "already_enrolled"
    assert await searched(kit) == {"ann": 1}


async def test_a_picture_of_somebody_else_is_left_out_and_does_not_tell_of_whom(kit: GalleryKit) -> None:
    another = replace(SENT_WORDS, subject_ref="bob")
    await send(kit, "ann-1")
    waiting = await send(kit, "ann-1", words=another)
    await kit.sent_enroller().enroll_some()
    enrolled = await send(kit, "ann-1", words=another)
    assert (waiting.reason, enrolled.reason) == ("duplicate", "duplicate")
    assert "ann" not in f"{waiting.detail} {enrolled.detail}".split()
    assert await searched(kit) == {"ann": 1}


async def test_a_run_that_ends_before_it_can_say_so_enrolls_nobody_twice(
    kit: GalleryKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = await send(kit, "ann-1")

    async def away(*_: object) -> None:
        raise UnavailableError("the database is away")

    with monkeypatch.context() as patch:
        patch.setattr(SentPictureEnroller, "_settle", away)
        with pytest.raises(UnavailableError):
            await kit.sent_enroller().enroll_some()
    assert await kit.sent_enroller().enroll_some() == 1
    settled = await newest(kit)
    assert (settled.picture_id, settled.reason) == (record.picture_id, None)
    assert await searched(kit) == {"ann": 1}


async def test_a_run_that_was_stopped_and_goes_on_beside_the_next_changes_nothing(
    kit: GalleryKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next has enrolled the picture when the first one comes to add it."""
    await send(kit, "ann-1")
    add = PictureBatches.add

    async def late(*given: Any) -> Any:
        monkeypatch.setattr(PictureBatches, "add", add)
        assert await kit.sent_enroller().enroll_some() == 1
        return await add(*given)

    monkeypatch.setattr(PictureBatches, "add", late)
    await kit.sent_enroller().enroll_some()
    settled = await newest(kit)
    assert (settled.reason, settled.version) == (None, 1)
    assert await searched(kit) == {"ann": 1}
    assert [entry["outcome"] for entry in await entries(kit, "gallery.send_picture")] == ["waiting"]


async def test_what_was_stored_of_it_and_is_damaged_is_told_and_holds_up_nobody(kit: GalleryKit) -> None:
    await send(kit, "ann-1")
    for file in stored_files(kit.folder):
        if file.parent.name == "sent-face":
            file.write_bytes(file.read_bytes()[:-1] + b"x")
    await send(kit, "bob-1", words=replace(SENT_WORDS, subject_ref="bob"))
    assert await kit.sent_enroller().enroll_some() == 2
    found = {one.reason: one.detail for one in await kit.sent_pictures().newest(ADMINISTRATOR, "city")}
    assert found == {None: None, "unreadable": "what was stored of it is damaged: send it again"}
    assert await searched(kit) == {"bob": 1}


async def test_a_row_that_names_the_picture_of_another_brings_in_neither(kit: GalleryKit) -> None:
    """As if somebody had written to the database: the face of the one would stand under the reference of the other."""
    ann, bob = await send(kit, "ann-1"), await send(kit, "bob-1", words=replace(SENT_WORDS, subject_ref="bob"))
    table = tables.sent_pictures
    async with kit.database.write() as tx:
        for one, other in ((ann, bob), (bob, ann)):
            change = table.update().where(table.c.picture_id == one.picture_id)
            await tx.execute(change.values(picture_object=other.picture_object))
    assert await kit.sent_enroller().enroll_some() == 2
    assert [one.reason for one in await kit.sent_pictures().newest(ADMINISTRATOR, "city")] == ["unreadable"] * 2
    assert await searched(kit) == {}


async def test_what_became_of_a_picture_is_known_for_a_week(kit: GalleryKit) -> None:
    await send(kit, "poor")
    kit.clock.advance(KEPT_FOR.total_seconds() + 1)
    last = await send(kit, "ann-1")
    await kit.sent_enroller().enroll_some()
    [left] = await kit.sent_pictures().newest(ADMINISTRATOR, "city")
    assert left.picture_id == last.picture_id


async def test_how_long_the_oldest_has_waited_is_told_until_none_waits(
    kit: GalleryKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = SentPictureWatch(kit.database, kit.clock, kit.metrics)

    def told() -> float | None:
        return kit.metrics.registry.get_sample_value("rtcc_bridge_sent_picture_wait_seconds")

    await watch.look()
    assert told() == 0
    await send(kit, "ann-1")
    kit.clock.advance(40)
    await send(kit, "bob-1", words=replace(SENT_WORDS, subject_ref="R-2"))
    await watch.look()
    assert told() == 40
    with monkeypatch.context() as away:
        away.setattr(type(kit.database), "read", out_of_reach)
        kit.clock.advance(5)
        with pytest.raises(UnavailableError):
            await watch.look()
        assert told() == 45, "an outage is not the end of the wait"
    await kit.sent_enroller().enroll_some()
    await watch.look()
    assert told() == 0


def out_of_reach(*_: object) -> NoReturn:
    raise UnavailableError("away")
