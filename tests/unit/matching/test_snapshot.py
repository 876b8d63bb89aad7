"""Gallery snapshots: what is let in, and how one version follows another."""

import math

import numpy as np
import pytest

from rtcc_bridge.matching.errors import TemplateError
from rtcc_bridge.matching.snapshot import GallerySnapshot
from rtcc_bridge.matching.types import Float32Array, Int64Array
from tests.unit.matching.search_cases import snapshot_of


def ids(*values: int) -> Int64Array:
    return np.array(values, np.int64)


EYE: Float32Array = np.eye(4, dtype=np.float32)


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
        GallerySnapshot.build("test", 1, EYE[:2].copy(), image_ids, subject_ids)


def test_a_snapshot_cannot_be_written_to() -> None:
    snapshot = snapshot_of(EYE.copy())
    for array in (snapshot.templates, snapshot.image_ids, snapshot.subject_ids, snapshot.alive):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_templates_in_another_memory_order_become_contiguous() -> None:
    assert snapshot_of(np.asfortranarray(EYE)).templates.flags.c_contiguous


def test_removing_leaves_the_older_version_as_it_was_and_shares_its_templates() -> None:
    older = snapshot_of(EYE.copy(), [1, 1, 2, 3])
    newer = older.without(2, ids(100, 102, 999))
    assert (older.version, older.image_count, older.subject_count) == (1, 4, 3)
    assert (newer.version, newer.image_count, newer.subject_count) == (2, 2, 2)
    assert newer.templates is older.templates


def test_appending_keeps_what_was_removed_removed() -> None:
    older = snapshot_of(EYE[:2].copy()).without(2, ids(100))
    newer = older.appended(3, EYE[2:].copy(), ids(7, 8), ids(70, 80))
    assert newer.version == 3
    assert newer.image_ids[newer.alive].tolist() == [101, 7, 8]
    assert newer.templates[newer.alive].tolist() == EYE[1:].tolist()
    assert older.image_count == 1


def test_a_living_image_cannot_be_appended_again() -> None:
    with pytest.raises(ValueError, match="twice"):
        snapshot_of(EYE[:2].copy()).appended(2, EYE[2:3].copy(), ids(101), ids(5))


def test_a_removed_image_may_come_back_as_another_row() -> None:
    older = snapshot_of(EYE[:2].copy()).without(2, ids(100))
    newer = older.appended(3, EYE[2:3].copy(), ids(100), ids(5))
    assert newer.image_ids.tolist() == [101, 100]
    assert newer.templates[1].tolist() == EYE[2].tolist()


def test_templates_of_another_length_cannot_be_appended() -> None:
    with pytest.raises(TemplateError, match="length 2"):
        snapshot_of(EYE.copy()).appended(2, np.array([[1, 0]], np.float32), ids(1), ids(1))


def test_compacting_drops_the_removed_rows() -> None:
    compacted = snapshot_of(EYE.copy()).without(2, ids(100, 103)).compacted(3)
    assert compacted.image_ids.tolist() == [101, 102]
    assert compacted.alive.all()
    assert compacted.templates.tolist() == EYE[1:3].tolist()
