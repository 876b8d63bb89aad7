"""Gallery snapshots: what is let in, and how one version follows another."""

import math
from itertools import pairwise

import numpy as np
import pytest

from rtcc_bridge.matching.errors import TemplateError
from rtcc_bridge.matching.search_index import open_index
from rtcc_bridge.matching.snapshot import BOUND_ROWS, ChunkCollector, GallerySnapshot, TemplateChunk
from rtcc_bridge.matching.stored_templates import StoredTemplates
from rtcc_bridge.matching.types import Float32Array, Int64Array
from tests.unit.matching.search_cases import random_templates, snapshot_of


def ids(*values: int) -> Int64Array:
    return np.array(values, np.int64)


EYE: Float32Array = np.eye(4, dtype=np.float32)


def stored(templates: Float32Array) -> StoredTemplates:
    return StoredTemplates.of(templates)


def rows_of(snapshot: GallerySnapshot, rows: Int64Array) -> list[list[float]]:
    found: list[list[float]] = snapshot.templates_of(rows).as_float32().round(4).tolist()
    return found


@pytest.mark.parametrize(
    "templates",
    [
        np.array([[1, math.nan]], np.float32),
        np.array([[math.inf, 0]], np.float32),
        np.array([[0, 0]], np.float32),
        np.array([[1.002, 0]], np.float32),
        np.array([[0.998, 0]], np.float32),
        np.array([1, 0], np.float32),
        np.empty((0, 0), np.float32),
        np.array([[1, 0]], np.float64),
    ],
    ids=["nan", "infinite", "zero", "long", "short", "flat", "no length", "float64"],
)
def test_templates_that_are_none_are_refused(templates: Float32Array) -> None:
    with pytest.raises(TemplateError):
        snapshot_of(templates)


def test_a_template_within_the_tolerance_is_let_in() -> None:
    assert snapshot_of(np.array([[1.0009, 0], [0.9991, 0]], np.float32)).image_count == 2


@pytest.mark.parametrize(
    ("image_ids", "subject_ids"),
    [(ids(1), ids(1, 2)), (ids(1, 2), ids(1)), (ids(1, 1), ids(1, 2)), (np.array([1.0, 2.0]), ids(1, 2))],
    ids=["images", "subjects", "twice", "not whole"],
)
def test_ids_that_do_not_fit_are_refused(image_ids: Int64Array, subject_ids: Int64Array) -> None:
    with pytest.raises(ValueError, match=r"image_ids|subject_ids|twice"):
        GallerySnapshot.build("test", 1, [stored(EYE[:2])], image_ids, subject_ids)


def test_a_snapshot_cannot_be_written_to() -> None:
    snapshot = snapshot_of(EYE)
    templates = snapshot.chunks[0].templates
    for array in (templates.high, templates.low, templates.scales, snapshot.image_ids, snapshot.subject_ids):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    with pytest.raises(ValueError, match="read-only"):
        snapshot.alive[0] = False


def test_removing_leaves_the_older_version_as_it_was_and_shares_its_templates() -> None:
    older = snapshot_of(EYE, [1, 1, 2, 3])
    newer = older.without(2, ids(100, 102, 999))
    assert (older.version, older.image_count, older.subject_count) == (1, 4, 3)
    assert (newer.version, newer.image_count, newer.subject_count) == (2, 2, 2)
    assert newer.chunks is older.chunks


def test_appending_keeps_what_was_removed_removed() -> None:
    older = snapshot_of(EYE[:2]).without(2, ids(100))
    newer = older.appended(3, [stored(EYE[2:])], ids(7, 8), ids(70, 80))
    assert newer.version == 3
    assert newer.image_ids[newer.alive].tolist() == [101, 7, 8]
    assert rows_of(newer, np.flatnonzero(newer.alive)) == EYE[1:].tolist()
    assert older.image_count == 1


def test_a_living_image_cannot_be_appended_again() -> None:
    with pytest.raises(ValueError, match="twice"):
        snapshot_of(EYE[:2]).appended(2, [stored(EYE[2:3])], ids(101), ids(5))


def test_a_removed_image_may_come_back_as_another_row() -> None:
    older = snapshot_of(EYE[:2]).without(2, ids(100))
    newer = older.appended(3, [stored(EYE[2:3])], ids(100), ids(5))
    assert newer.image_ids.tolist() == [101, 100]
    assert rows_of(newer, ids(1)) == EYE[2:3].tolist()


def test_templates_of_another_length_cannot_be_appended() -> None:
    with pytest.raises(TemplateError, match="length 2"):
        snapshot_of(EYE).appended(2, [stored(np.array([[1, 0]], np.float32))], ids(1), ids(1))


def test_compacting_drops_the_removed_rows() -> None:
    compacted = snapshot_of(EYE).without(2, ids(100, 103)).compacted(3)
    assert compacted.image_ids.tolist() == [101, 102]
    assert compacted.alive.all()
    assert rows_of(compacted, ids(0, 1)) == EYE[1:3].tolist()


def test_a_row_that_was_taken_out_is_no_template() -> None:
    with pytest.raises(TemplateError, match="length is not 1"):
        GallerySnapshot.build("test", 1, [stored(EYE[:2]).without(ids(1))], ids(1, 2), ids(1, 2))


def test_rows_are_found_in_whichever_chunk_they_lie() -> None:
    generator = np.random.default_rng(7)
    templates = random_templates(generator, 500, 16)
    snapshot = GallerySnapshot.build("test", 1, [stored(templates[:300])], np.arange(300), np.arange(300))
    for start in range(300, 500, 7):
        some = np.arange(start, min(start + 7, 500))
        snapshot = snapshot.appended(2, [stored(templates[some])], some, some)
    assert 1 < len(snapshot.chunks) < 10
    wanted = generator.permutation(500)[:90]
    assert np.allclose(snapshot.templates_of(wanted).as_float32(), templates[wanted], atol=1e-4)


def test_a_full_chunk_is_not_copied_when_rows_are_added_or_removed_elsewhere() -> None:
    many = random_templates(np.random.default_rng(8), 70_000, 2)
    older = GallerySnapshot.build("test", 1, [stored(many)], np.arange(70_000), np.arange(70_000))
    newer = older.appended(2, [stored(EYE[:3, :2][:2])], ids(100_000, 100_001), ids(1, 2))
    assert newer.chunks[0] is older.chunks[0]
    assert newer.without(3, ids(100_000)).compacted(3).chunks[0] is older.chunks[0]


def test_a_snapshot_of_ids_follows_its_head_like_any_other() -> None:
    first = GallerySnapshot.of_ids("test", 1, 4, ids(1, 2, 3), ids(1, 1, 2)).without(2, ids(2))
    assert (first.image_count, first.subject_count, first.row_count) == (2, 2, 3)
    joined = first.joined_by(GallerySnapshot.of_ids("test", 3, 4, ids(4), ids(3)))
    assert (joined.version, joined.image_count, joined.chunks) == (3, 3, ())
    assert joined.compacted(4).image_ids.tolist() == [1, 3, 4]
    with pytest.raises(ValueError, match="stands twice"):
        joined.joined_by(GallerySnapshot.of_ids("test", 4, 4, ids(4), ids(3)))
    with pytest.raises(ValueError, match="subject_ids has to be int64"):
        GallerySnapshot.of_ids("test", 1, 4, ids(1, 2), ids(1))


def test_a_snapshot_of_ids_is_not_searched_as_if_nobody_were_in_it() -> None:
    with pytest.raises(ValueError, match="kept elsewhere"):
        open_index(GallerySnapshot.of_ids("test", 1, 4, ids(1), ids(1)))


def test_parts_become_full_chunks_as_they_come() -> None:
    templates = random_templates(np.random.default_rng(5), 70_001, 8)
    whole = stored(templates)
    parts = [np.arange(*ends) for ends in pairwise((0, 1, 1, 30_000, 65_536, 70_000, 70_001, 70_001))]
    with ChunkCollector(8, list(map(len, parts))) as collector:
        for part in parts:
            collector.next_room().put(whole, part)
        chunks = collector.chunks()
    assert [len(chunk) for chunk in chunks] == [65_536, 4_465]
    numbers = np.arange(len(templates))
    snapshot = GallerySnapshot.of_chunks("test", 1, 8, chunks, numbers, numbers.copy())
    assert all(one is other for one, other in zip(snapshot.chunks, chunks, strict=True)), "measured once"
    found = snapshot.templates_of(numbers)
    for plane in ("high", "low", "scales"):
        assert np.array_equal(getattr(found, plane), getattr(whole, plane))


@pytest.mark.parametrize("part_rows", [[], [0], [65_536, 0, 0]])
def test_no_chunk_is_empty(part_rows: list[int]) -> None:
    whole = stored(random_templates(np.random.default_rng(5), sum(part_rows), 1))
    with ChunkCollector(1, part_rows) as collector:
        for rows in part_rows:
            collector.next_room().put(whole, np.arange(rows))
        assert [len(chunk) for chunk in collector.chunks()] == [rows for rows in part_rows if rows]


def test_a_part_that_was_not_read_is_not_searched_as_if_it_were() -> None:
    with ChunkCollector(4, [4, 4]) as collector:
        collector.next_room().put(stored(EYE), np.arange(4))
        with pytest.raises(ValueError, match="not read"):
            collector.chunks()


def test_a_part_with_a_row_that_was_taken_out_is_refused() -> None:
    with ChunkCollector(4, [4, 4]) as collector:
        collector.next_room().put(stored(EYE), np.arange(4))
        collector.next_room().put(stored(EYE).without(ids(2)), np.arange(4))
        with pytest.raises(TemplateError):
            collector.chunks()


@pytest.mark.parametrize("length", [3, 128, 512])
def test_what_bounds_a_scan_are_the_largest_of_each_block(length: int) -> None:
    templates = stored(random_templates(np.random.default_rng(length), BOUND_ROWS + 300, length))
    chunk = TemplateChunk.of(templates)
    rests = np.linalg.norm(templates.low.astype(np.float64), axis=1) * templates.scales
    for block, rows in enumerate((slice(0, BOUND_ROWS), slice(BOUND_ROWS, None))):
        assert rests[rows].max() <= chunk.largest_rest[block] <= rests[rows].max() * (1 + length**0.5 * 2.0**-14)
    assert len(chunk.largest_rest) == 2
