"""The policy file: what the agency decides within the bounds that the code sets."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from rtcc_bridge.errors import ConfigurationError, ConfigurationProblem
from rtcc_bridge.policy.purposes import ABSOLUTE_REFUSALS, Purpose, absolute_refusal

IncidentType = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9][A-Z0-9_.-]{0,63}$")]
Sender = Annotated[str, StringConstraints(min_length=1, max_length=256, strip_whitespace=True)]

_REMEDY = "Correct the policy file (config/policy.yaml explains each field)"
_MAX_FILE_BYTES = 1_000_000


class PolicyPart(BaseModel):
    """A part of the policy: strict about its keys, never changed after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PurposeRule(PolicyPart):
    """What one purpose covers."""

    incident_types: frozenset[IncidentType] = Field(min_length=1, description="Incident types that it covers (P02).")

    @field_validator("incident_types")
    @classmethod
    def _nothing_forbidden(cls, types: frozenset[str]) -> frozenset[str]:
        refused = {named: code for named in sorted(types) if (code := absolute_refusal(named)) is not None}
        if refused:
            reasons = ", ".join(f"{named} ({ABSOLUTE_REFUSALS[code]})" for named, code in refused.items())
            message = f"no policy can permit searches for {reasons}"
            raise ValueError(message)
        return types


class DeferralRule(PolicyPart):
    """When the supervisor's approval may follow the search (P14)."""

    senders: frozenset[Sender] = Field(description="Senders whose alerts can make a threat imminent; none disables it.")
    declarable_incident_types: frozenset[IncidentType] = Field(
        frozenset(), description="Incident types that the watch commander may declare imminent; none disables it."
    )
    declared_hours: int = Field(4, ge=1, le=12, description="So long such a declaration lasts.")
    approve_within_minutes: int = Field(60, ge=1, le=60, description="The lead is withdrawn without approval by then.")
    lapses_that_end_it: int = Field(
        2,
        ge=1,
        le=2,
        description="With this many approvals lapsed or outstanding, an analyst has to wait for the next.",
    )


class ApprovalRule(PolicyPart):
    """How long an approval holds (P01)."""

    valid_hours: int = Field(24, ge=1, le=24, description="A search that did not run by then needs a new approval.")


class JurisdictionRule(PolicyPart):
    """What the law of the place asks for (P09)."""

    warrant_or_exigency_for: frozenset[Purpose] = Field(
        default=frozenset(),
        description="Purposes for which a search needs a warrant, or the exigency that stands in for one.",
    )


class EvaluationRule(PolicyPart):
    """What a signed evaluation of the model has to show before a live gallery is searched with it (P28).

    The limits hold for the upper ends of the 95 % intervals. Groups too small to be shown are not judged.
    """

    max_age_days: int = Field(365, ge=1, le=365, description="An older evaluation does not count.")
    max_fnir_rank20: float = Field(gt=0, lt=1, description="Share of enrolled people not among the first 20.")
    max_group_fnir_rank1: float = Field(gt=0, lt=1, description="Share of a group's people not found first.")
    max_group_fpir: float = Field(
        gt=0, lt=1, description="Share of a group's searches that list a stranger, at the threshold of the evaluation."
    )


class Policy(PolicyPart):
    """The policy in force. `hash` is the sha256 of the file's bytes, which every lead cites."""

    format: Literal[1] = Field(description="The format of this file.")
    title: str = Field(min_length=1, max_length=256, description="What people call this policy.")
    purposes: Mapping[Purpose, PurposeRule] = Field(min_length=1, description="The permitted purposes (P02).")
    approval: ApprovalRule = Field(default_factory=lambda: ApprovalRule.model_validate({}))
    deferral: DeferralRule = Field(description="The emergency deferral (P14).")
    evaluation: EvaluationRule | None = Field(
        None, description="What a model has to show (P28); without it no live gallery is searched."
    )
    jurisdiction: JurisdictionRule = Field(default_factory=lambda: JurisdictionRule.model_validate({}))
    hash: str = Field(pattern=r"^[0-9a-f]{64}$", description="Computed when the file is read, never written in it.")

    def covers(self, purpose: Purpose, incident_type: str) -> bool:
        rule = self.purposes.get(purpose)
        return rule is not None and incident_type in rule.incident_types


def load_policy(path: Path) -> Policy:
    """Reads the policy file. Blocks. Raises ConfigurationError that names every problem: path, cause and remedy."""
    content = _read(path)
    document = _parse(path, content)
    if "hash" in document:
        raise _error(path, "hash", "is computed from the file and cannot be set in it")
    try:
        return Policy(**document, hash=hashlib.sha256(content).hexdigest())
    except ValidationError as error:
        raise ConfigurationError(*(_problem(path, detail) for detail in error.errors(include_url=False))) from error


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        problem = ConfigurationProblem(str(path), f"cannot be read ({error.strerror})", "Name an existing policy file")
        raise ConfigurationError(problem) from error
    if len(content) > _MAX_FILE_BYTES:
        raise _error(path, None, f"is larger than {_MAX_FILE_BYTES} bytes")
    return content


def _parse(path: Path, content: bytes) -> dict[str, Any]:
    try:
        document = yaml.safe_load(content)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _error(path, None, f"is not YAML ({error})") from error
    if not isinstance(document, dict) or not all(isinstance(key, str) for key in document):
        raise _error(path, None, "is not a mapping of fields")
    return document


def _problem(path: Path, detail: Any) -> ConfigurationProblem:
    where = ".".join(str(part) for part in detail["loc"]) or None
    if detail["type"] == "extra_forbidden":
        return _located(path, where, "unknown field", "Remove it or correct its name")
    if where is not None and where.startswith("purposes.") and where.endswith("[key]"):
        return _located(path, where, f"is no permitted purpose; they are {', '.join(Purpose)} (P02)", _REMEDY)
    return _located(path, where, str(detail["msg"]), _REMEDY)


def _error(path: Path, where: str | None, cause: str) -> ConfigurationError:
    return ConfigurationError(_located(path, where, cause, _REMEDY))


def _located(path: Path, where: str | None, cause: str, remedy: str) -> ConfigurationProblem:
    return ConfigurationProblem(str(path) if where is None else f"{path}: {where}", cause, remedy)
