"""Whether a live gallery may be searched with a pack (P28)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

from rtcc_bridge.matching.calibration import load_pack_calibration
from rtcc_bridge.matching.errors import ModelPackError
from rtcc_bridge.matching.modelpack import ModelPack
from rtcc_bridge.matching.pack_fields import parse_json
from rtcc_bridge.modelpacks.installed import DEFAULT_PACK
from rtcc_bridge.policy.policy_file import EvaluationRule
from rtcc_bridge.qualification.evaluation_run import FORMAT, networks_of
from rtcc_bridge.qualification.signature import signature_problem
from rtcc_bridge.signing_keys import load_public_key

KEY_SETTING: Final = "matching.evaluation_key_file"


@dataclass(frozen=True, slots=True)
class Qualification:
    """What is known of a pack from its files, which do not change while the program runs; only time goes by.

    problem: why no live gallery may be searched with it; empty when only the evaluation's age is left to ask for.
    """

    problem: str
    evaluated_on: date | None
    max_age_days: int

    def problem_at(self, now: datetime) -> str:
        """Why no live gallery may be searched at this moment; empty when one may."""
        if self.problem:
            return self.problem
        assert self.evaluated_on is not None, "the evaluation was read"
        age = (now.date() - self.evaluated_on).days
        if age < 0:
            return f"its evaluation is dated {self.evaluated_on.isoformat()}, which is still to come"
        if age > self.max_age_days:
            return f"its evaluation is {age} days old, more than {self.max_age_days}: evaluate and sign the pack anew"
        return ""


def qualify(pack: ModelPack, key_file: Path | None, rule: EvaluationRule | None) -> Qualification:
    """Read what P28 asks for: signature, calibration, evaluation and the policy's limits. Blocks.

    key_file: the public key of whoever may vouch for a pack. Raises ConfigurationError when it cannot be read.
    """
    max_age_days = 0 if rule is None else rule.max_age_days
    try:
        _require_vouched_for(pack, key_file)
        return Qualification("", _day_of_good_evaluation(pack, rule), max_age_days)
    except (_UnqualifiedError, ModelPackError) as problem:
        return Qualification(str(problem), None, max_age_days)


class _UnqualifiedError(Exception):
    """The pack is in order, and does not qualify."""


def _require_vouched_for(pack: ModelPack, key_file: Path | None) -> None:
    if pack.name == DEFAULT_PACK:
        raise _UnqualifiedError("the default pack is for demonstration and training")
    if key_file is None:
        raise _UnqualifiedError(f"no key is named whose signature counts ({KEY_SETTING})")
    if problem := signature_problem(pack, load_public_key(KEY_SETTING, key_file)):
        raise _UnqualifiedError(problem)


def _day_of_good_evaluation(pack: ModelPack, rule: EvaluationRule | None) -> date:
    if rule is None:
        raise _UnqualifiedError("the policy sets no limits that an evaluation has to meet (`evaluation` in its file)")
    if load_pack_calibration(pack) is None:
        raise _UnqualifiedError("it has no calibration")
    if pack.evaluation is None:
        raise _UnqualifiedError("it has no evaluation")
    evaluation = _Recorded(pack.folder / pack.evaluation, pack.read(pack.evaluation))
    if evaluation.networks != networks_of(pack):
        raise _UnqualifiedError("its evaluation was made with other networks")
    if breaches := "; ".join(evaluation.breaches(rule)):
        raise _UnqualifiedError(breaches)
    return evaluation.on


class _Recorded:
    """The evaluation that a pack keeps. Every read raises ModelPackError when the file does not hold what it should."""

    def __init__(self, path: Path, data: bytes) -> None:
        self._path = path
        self._document: Any = parse_json(path, data)
        if not isinstance(self._document, dict) or self._document.get("format") != FORMAT:
            raise self._damaged()

    @property
    def networks(self) -> Mapping[str, str]:
        return dict(self._object(self._document, "networks"))

    @property
    def on(self) -> date:
        try:
            return date.fromisoformat(self._document["date"])
        except (KeyError, TypeError, ValueError) as error:
            raise self._damaged() from error

    def breaches(self, rule: EvaluationRule) -> Iterator[str]:
        """Which limits are not met. What counts is the upper end of the interval: what the sample does not exclude."""
        yield from self._over(self._document, "fnir_rank20", "FNIR at rank 20", rule.max_fnir_rank20)
        for attribute, parts in self._object(self._document, "groups").items():
            for part in parts if isinstance(parts, list) else [None]:
                if not isinstance(part, dict):
                    raise self._damaged()
                of = f"of {attribute} {part.get('label')}"
                if part.get("mated") is not None:
                    yield from self._over(part, "fnir_rank1", f"FNIR at rank 1 {of}", rule.max_group_fnir_rank1)
                if part.get("nonmated") is not None:
                    yield from self._over(part, "fpir", f"FPIR {of}", rule.max_group_fpir)

    def _over(self, part: Mapping[str, Any], name: str, words: str, limit: float) -> Iterator[str]:
        if name not in part:
            raise self._damaged()
        interval = self._object(part, "intervals").get(name)
        if interval is None:
            yield f"its {words} was not measurable"
            return
        try:
            high = float(interval[1])
        except (IndexError, TypeError, ValueError) as error:
            raise self._damaged() from error
        if not high <= limit:
            yield f"its {words} may be as high as {high:.3f}, and the policy allows {limit:g}"

    def _object(self, part: Mapping[str, Any], name: str) -> Mapping[str, Any]:
        value = part.get(name)
        if not isinstance(value, dict):
            raise self._damaged()
        return value

    def _damaged(self) -> ModelPackError:
        return ModelPackError(f"{self._path} is not an evaluation of this format: evaluate the pack again")
