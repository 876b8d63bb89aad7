"""Which packs a live gallery may be searched with (P28): signed, calibrated, evaluated lately, within the limits."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rtcc_bridge.errors import ConfigurationError
from rtcc_bridge.matching.calibration import save_calibration
from rtcc_bridge.matching.calibration_fit import fit_calibration
from rtcc_bridge.matching.modelpack import ModelPack
from rtcc_bridge.policy.policy_file import EvaluationRule
from rtcc_bridge.qualification.evaluation_run import as_document, networks_of
from rtcc_bridge.qualification.in_force import QualificationInForce
from rtcc_bridge.qualification.pack_files import put_into_pack
from rtcc_bridge.qualification.qualified import Qualification, qualify
from rtcc_bridge.qualification.signature import sign_pack
from tests.probe_kit import policy
from tests.signing_keys import KeyPair, key_pair
from tests.unit.matching.search_cases import normalised
from tests.unit.qualification.evaluations import EVALUATED_ON, evaluation_run
from tests.unit.qualification.packs import paper_pack

NOW = datetime(2026, 6, 1, tzinfo=UTC)
RULE = EvaluationRule(max_fnir_rank20=0.05, max_group_fnir_rank1=0.3, max_group_fpir=0.2)


@pytest.fixture(scope="module")
def evaluation() -> dict[str, Any]:
    return as_document(evaluation_run(300, noise=0.4, groups=("north", "south")))


@dataclass
class Candidate:
    pack: ModelPack
    keys: KeyPair

    def qualification(self, rule: EvaluationRule | None = RULE) -> Qualification:
        return qualify(self.pack, self.keys.public, rule)

    def problem(self, rule: EvaluationRule | None = RULE, now: datetime = NOW) -> str:
        return self.qualification(rule).problem_at(now)


@pytest.fixture
def candidate(tmp_path: Path, evaluation: dict[str, Any]) -> Callable[..., Candidate]:
    """A pack that qualifies, but for the changes to its evaluation."""
    keys = key_pair(tmp_path / "keys")

    def make(change: Callable[[dict[str, Any]], Any] = lambda document: document) -> Candidate:
        pack = paper_pack(tmp_path / "pack")
        templates = normalised(np.random.default_rng(1).standard_normal((120, 32)).astype(np.float32))
        calibration = fit_calibration(
            templates,
            np.arange(120),
            recognizer_sha256=pack.files["recognizer.onnx"],
            provenance={"people": "none"},
            seed=1,
        )
        pack = put_into_pack(pack, "calibration", lambda path: save_calibration(calibration, path))
        document = change({**json.loads(json.dumps(evaluation)), "networks": dict(networks_of(pack))})
        pack = put_into_pack(pack, "evaluation", lambda path: _write(path, json.dumps(document)))
        sign_pack(pack, keys.private)
        return Candidate(pack, keys)

    return make


Make = Callable[..., Candidate]


async def test_a_pack_follows_the_limits_of_the_policy_in_force(candidate: Make) -> None:
    """Worked out beforehand, and in force with the rest of the policy, not before."""
    good = candidate()
    strict = RULE.model_copy(update={"max_fnir_rank20": 1e-9})
    lenient, stricter = (policy().model_copy(update={"evaluation": rule}) for rule in (RULE, strict))
    followed = await QualificationInForce.open(good.pack, good.keys.public, lenient)
    assert followed.problem_at(NOW) == ""
    put_into_force = await followed.prepare(stricter)
    assert followed.problem_at(NOW) == ""
    put_into_force()
    assert "FNIR at rank 20" in followed.problem_at(NOW)
    good.keys.public.unlink()
    with pytest.raises(ConfigurationError):
        await followed.prepare(lenient)
    assert "FNIR at rank 20" in followed.problem_at(NOW)


def test_a_pack_that_has_shown_everything_qualifies(candidate: Make) -> None:
    assert candidate().problem() == ""


def test_the_evaluation_ages(candidate: Make) -> None:
    qualification = candidate().qualification()
    assert qualification.evaluated_on == EVALUATED_ON
    assert qualification.problem_at(datetime(2027, 3, 1, tzinfo=UTC)) == ""
    assert "366 days old, more than 365" in qualification.problem_at(datetime(2027, 3, 2, tzinfo=UTC))
    assert "still to come" in qualification.problem_at(datetime(2026, 2, 28, tzinfo=UTC))


def test_what_is_missing_is_named(candidate: Make, tmp_path: Path) -> None:
    made = candidate()
    assert "policy sets no limits" in made.problem(rule=None)
    assert "no key is named" in qualify(made.pack, None, RULE).problem_at(NOW)
    assert "not that of the key" in qualify(made.pack, key_pair(tmp_path / "other").public, RULE).problem_at(NOW)
    (made.pack.folder / "pack.sig").unlink()
    assert made.problem() == "it is not signed"
    assert "demonstration" in qualify(paper_pack(tmp_path / "d", "default"), made.keys.public, RULE).problem_at(NOW)


def test_a_key_that_cannot_be_read_is_a_mistake_in_the_settings(candidate: Make, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"matching\.evaluation_key_file"):
        qualify(candidate().pack, tmp_path / "gone.pem", RULE)


def _group_without_proof(document: dict[str, Any]) -> dict[str, Any]:
    document["groups"]["unit"][1]["intervals"]["fnir_rank1"] = [0.1, 0.4]
    return document


def _group_too_small(document: dict[str, Any]) -> dict[str, Any]:
    small: dict[str, Any] = {
        "mated": None,
        "nonmated": None,
        "fnir_rank1": "not measurable",
        "fpir": "not measurable",
        "intervals": {},
    }
    document["groups"]["unit"][1] |= small
    return document


def _strangers_listed(document: dict[str, Any]) -> dict[str, Any]:
    document["groups"]["unit"][0]["intervals"]["fpir"] = [0.15, 0.25]
    return document


def _not_measured(document: dict[str, Any]) -> dict[str, Any]:
    del document["intervals"]["fnir_rank20"]
    return {**document, "fnir_rank20": "not measurable"}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (_group_without_proof, r"FNIR at rank 1 of unit south may be as high as 0\.400, and the policy allows 0\.3"),
        (_strangers_listed, r"FPIR of unit north may be as high as 0\.250"),
        (_not_measured, "FNIR at rank 20 was not measurable"),
        (lambda document: {**document, "networks": {"recognizer": "c" * 64}}, "other networks"),
        (lambda document: {**document, "format": 2}, "not an evaluation of this format"),
        (lambda document: {**document, "date": "yesterday"}, "not an evaluation of this format"),
        (lambda document: {**document, "groups": []}, "not an evaluation of this format"),
        (lambda document: {**document, "groups": {"unit": [7]}}, "not an evaluation of this format"),
        (lambda document: {**document, "intervals": {"fnir_rank20": ["x"]}}, "not an evaluation of this format"),
        (lambda document: {**document, "intervals": {"fnir_rank20": [0, float("nan")]}}, "may be as high as nan"),
        (lambda document: [document], "not an evaluation of this format"),
    ],
)
def test_an_evaluation_that_does_not_show_enough(
    candidate: Make, change: Callable[[dict[str, Any]], Any], complaint: str
) -> None:
    """However well it is signed."""
    problem = candidate(change).problem()
    assert re.search(complaint, problem), problem


def test_a_group_too_small_to_be_shown_is_not_judged(candidate: Make) -> None:
    assert candidate(_group_too_small).problem() == ""


def test_the_upper_end_of_the_interval_counts(candidate: Make, evaluation: dict[str, Any]) -> None:
    """The value alone would pass: a small sample must not be an easy way through."""
    low, high = evaluation["intervals"]["fnir_rank20"]
    strict = RULE.model_copy(update={"max_fnir_rank20": (evaluation["fnir_rank20"] + high) / 2})
    assert evaluation["fnir_rank20"] < strict.max_fnir_rank20
    assert "FNIR at rank 20 may be as high as" in candidate().problem(rule=strict)
    assert low <= evaluation["fnir_rank20"]


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
