"""Crop -> template -> candidates, against an index and a calibration that are real."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import pytest

from rtcc_bridge.errors import UnavailableError
from rtcc_bridge.matching.calibration import Calibration, load_calibration
from rtcc_bridge.matching.errors import InferenceError
from rtcc_bridge.matching.modelpack import ModelPack
from rtcc_bridge.matching.pipeline import FaceEmbedder
from rtcc_bridge.matching.search import SearchIndex
from rtcc_bridge.matching.search_device import DeviceSearchIndex
from rtcc_bridge.matching.search_index import open_index
from rtcc_bridge.matching.snapshot import GallerySnapshot
from rtcc_bridge.matching.stored_templates import StoredTemplates
from rtcc_bridge.matching.types import FaceCrop, Float32Array
from rtcc_bridge.modelpacks.default_pack import CALIBRATION
from rtcc_bridge.probes.search import GallerySearch

CALIBRATED = load_calibration(CALIBRATION)
LENGTH = CALIBRATED.template_length


@dataclass
class View:
    index: SearchIndex
    kind: str = "demo"


@dataclass
class Following:
    view: View | None

    @property
    def current(self) -> View:
        if self.view is None:
            raise UnavailableError("the gallery's head was not confirmed")
        return self.view


@dataclass
class Pack:
    name: str = "test-pack"
    pack_hash: str = "b" * 64


class Embedder:
    """Takes the first pixel of a crop for the number of the person that it shows."""

    def templates(self, crops: Sequence[FaceCrop]) -> Float32Array:
        return unit_vectors(len(crops), [int(crop.pixels[0, 0, 0]) for crop in crops])


def unit_vectors(count: int, axes: Sequence[int]) -> Float32Array:
    vectors = np.zeros((count, LENGTH), np.float32)
    vectors[np.arange(count), axes] = 1
    return vectors


def crop_of(person: int) -> FaceCrop:
    return FaceCrop(np.full((2, 2, 3), person, np.uint8), np.zeros((5, 2), np.float32))


def snapshot(people: int, version: int = 1) -> GallerySnapshot:
    """Two images of each person."""
    axes = [person for person in range(people) for _ in range(2)]
    ids = np.arange(2 * people, dtype=np.int64)
    return GallerySnapshot.build(
        "demo", version, [StoredTemplates.of(unit_vectors(2 * people, axes))], ids, ids // 2 + 100
    )


def search_of(
    following: Following, seen: list[str] | None = None, calibration: Calibration = CALIBRATED
) -> GallerySearch:
    return GallerySearch(
        cast("FaceEmbedder", Embedder()),
        following,
        cast("ModelPack", Pack()),
        calibration,
        list_length=5,
        target_fpir=0.05,
        on_stage=lambda stage, _seconds: None if seen is None else seen.append(stage),
    )


def test_each_crop_gets_its_own_person() -> None:
    seen: list[str] = []
    search = search_of(Following(View(open_index(snapshot(10)))), seen)
    found = search.search_batch([crop_of(3), crop_of(7), crop_of(99)])
    assert [[candidate.subject_id for candidate in one.candidates] for one in found] == [[103], [107], []]
    assert seen == ["search"]


def test_the_facts_are_those_of_the_index_that_was_searched() -> None:
    (found,) = search_of(Following(View(open_index(snapshot(10, version=4))))).search_batch([crop_of(1)])
    facts = found.facts
    assert (facts.gallery, facts.gallery_version, facts.gallery_size) == ("demo", 4, 10)
    assert (facts.model_pack, facts.model_hash, facts.list_length) == ("test-pack", "b" * 64, 5)
    assert facts.threshold == CALIBRATED.threshold_for(0.05, 10), "chosen for people, not for pictures"
    assert facts.estimated_fpir == CALIBRATED.estimated_fpir(facts.threshold, 10)


def test_a_list_can_be_shortened_while_the_search_goes_on() -> None:
    """The index is the same, and so is all else that is known of it."""
    search = search_of(Following(View(open_index(snapshot(10)))))
    (before,) = search.search_batch([crop_of(1)])
    search.list_at_most(2)
    (after,) = search.search_batch([crop_of(1)])
    assert after.facts == replace(before.facts, list_length=2)


def test_the_estimate_of_a_lead_is_that_of_its_probe_s_quality() -> None:
    """Strangers on poor pictures score higher here than on others, and on the rest nobody knows more than of all."""
    impostors = CALIBRATED.impostors
    body = replace(impostors.body, fmr=np.minimum(1, 2 * impostors.body.fmr))
    calibration = replace(CALIBRATED, bands={"0-24": replace(impostors, body=body)})
    search = search_of(Following(View(open_index(snapshot(10)))), calibration=calibration)
    (found,) = search.search_batch([crop_of(1)])
    poor, good = found.facts.of_probe(24), found.facts.of_probe(25)
    assert good == found.facts
    assert poor.estimated_fpir.value > good.estimated_fpir.value
    assert replace(poor, estimated_fpir=good.estimated_fpir) == good, "the threshold is the same for all"


def test_a_gallery_that_can_be_searched_passes_its_check_and_so_does_none() -> None:
    search_of(Following(View(open_index(snapshot(10))))).check()
    search_of(Following(None)).check()


def test_a_gallery_whose_device_fails_does_not_pass_its_check(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("CUDA failure 2: out of memory")

    index = DeviceSearchIndex(snapshot(10))
    monkeypatch.setattr(index, "_scan_block", fails)
    with pytest.raises(InferenceError, match="out of memory"):
        search_of(Following(View(index))).check()


def test_a_service_that_is_away_is_no_fault_of_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise UnavailableError("Milvus does not answer")

    index = open_index(snapshot(10))
    monkeypatch.setattr(index, "search", away)
    search_of(Following(View(index))).check()
    with pytest.raises(UnavailableError):
        search_of(Following(View(index))).search_batch([crop_of(1)])


def test_a_larger_gallery_raises_the_threshold_with_the_next_batch() -> None:
    view = View(open_index(snapshot(2)))
    search = search_of(Following(view))
    (before,) = search.search_batch([crop_of(1)])
    view.index = open_index(snapshot(100, version=2))
    (after,) = search.search_batch([crop_of(1)])
    assert after.facts.threshold > before.facts.threshold
    assert after.facts.gallery_version == 2


def test_a_gallery_that_cannot_be_confirmed_is_not_searched() -> None:
    following = Following(View(open_index(snapshot(2))))
    search = search_of(following)
    assert search.gallery_kind == "demo"
    following.view = None
    with pytest.raises(UnavailableError):
        search.search_batch([crop_of(1)])
    with pytest.raises(UnavailableError):
        _ = search.gallery_kind


def test_a_model_that_fails_is_told_to_who_watches_the_device() -> None:
    class Broken(Embedder):
        def templates(self, crops: Sequence[FaceCrop]) -> Float32Array:
            raise InferenceError("CUDA failure 719")

    failures: list[str] = []
    search = GallerySearch(
        cast("FaceEmbedder", Broken()),
        Following(View(open_index(snapshot(2)))),
        cast("ModelPack", Pack()),
        CALIBRATED,
        list_length=5,
        target_fpir=0.05,
        on_stage=lambda _stage, _seconds: None,
        on_failure=lambda: failures.append("failed"),
    )
    with pytest.raises(InferenceError):
        search.search_batch([crop_of(1)])
    assert failures == ["failed"]
