"""An agency's own pack: YuNet and MobileFaceNet, described by nothing but a pack.json, load and rank."""

from pathlib import Path

import numpy as np

from rtcc_bridge.matching.modelpack import ModelPack
from tests.agency_pack import AGENCY_PACK
from tests.integration.labelled_faces import LabelledTemplates, read_pairs


def test_the_same_person_outranks_others(second_pack: ModelPack, test_data: Path) -> None:
    """50 genuine and 50 impostor pairs: nine in ten genuine scores lie above every impostor's."""
    pairs = read_pairs(test_data)
    chosen = [
        *[pair for pair in pairs if pair.same][::22][:50],
        *[pair for pair in pairs if not pair.same][::60][:50],
    ]
    paths = sorted({path for pair in chosen for path in (pair.first, pair.second)})
    templates, missed = LabelledTemplates(second_pack).of(paths)
    assert not missed
    scores = np.array([float(templates[pair.first] @ templates[pair.second]) for pair in chosen])
    same = np.array([pair.same for pair in chosen])
    assert (scores[same] > scores[~same].max()).mean() > 0.9


def test_the_packs_differ_in_name_and_hash(second_pack: ModelPack, default_pack: ModelPack) -> None:
    assert second_pack.name == AGENCY_PACK
    assert second_pack.pack_hash != default_pack.pack_hash
