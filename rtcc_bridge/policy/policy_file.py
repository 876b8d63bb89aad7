"""The policy file: what the agency decides within the bounds that the code sets."""

import hashlib
from collections.abc import Hashable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import yaml
from pydantic import Field, StringConstraints, ValidationError, field_validator, model_validator

from rtcc_bridge.errors import ConfigurationError, ConfigurationProblem
from rtcc_bridge.policy.policy_parts import (
    CandidateRule,
    CertificateKind,
    CertificateRule,
    ConclusionRule,
    CorroborationRule,
    JurisdictionRule,
    MisuseRule,
    PolicyPart,
    RetentionRule,
    ReviewRule,
    all_certificates,
    default_certificates,
)
from rtcc_bridge.policy.purposes import ABSOLUTE_REFUSALS, Purpose, absolute_refusal

IncidentType = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9][A-Z0-9_.-]{0,63}$")]
Sender = Annotated[str, StringConstraints(min_length=1, max_length=256, strip_whitespace=True)]

_REMEDY = "Correct the policy file (config/policy.yaml explains each field)"
_MAX_FILE_BYTES = 1_000_000

MOST_VALID_DAYS: Final = 731
"""Two years: a policy that nobody looks at again is none."""


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
    valid_from: date = Field(description="The first day (UTC) on which it holds.")
    valid_until: date = Field(description="The last day (UTC) on which it holds.")
    purposes: Mapping[Purpose, PurposeRule] = Field(min_length=1, description="The permitted purposes (P02).")
    approval: ApprovalRule = Field(default_factory=lambda: ApprovalRule.model_validate({}))
    deferral: DeferralRule = Field(description="The emergency deferral (P14).")
    evaluation: EvaluationRule | None = Field(
        None, description="What a model has to show (P28); without it no live gallery is searched."
    )
    jurisdiction: JurisdictionRule = Field(default_factory=lambda: JurisdictionRule.model_validate({}))
    certificates: Mapping[CertificateKind, CertificateRule] = Field(
        default_factory=default_certificates, description="The certificates that an analyst's work needs (P10)."
    )
    candidates: CandidateRule = Field(default_factory=lambda: CandidateRule.model_validate({}))
    conclusions: ConclusionRule = Field(default_factory=lambda: ConclusionRule.model_validate({}))
    review: ReviewRule = Field(default_factory=lambda: ReviewRule.model_validate({}))
    corroboration: CorroborationRule = Field(default_factory=lambda: CorroborationRule.model_validate({}))
    retention: RetentionRule = Field(default_factory=lambda: RetentionRule.model_validate({}))
    misuse: MisuseRule = Field(default_factory=lambda: MisuseRule.model_validate({}))
    hash: str = Field(pattern=r"^[0-9a-f]{64}$", description="Computed when the file is read, never written in it.")

    @field_validator("certificates")
    @classmethod
    def _every_certificate(
        cls, rules: Mapping[CertificateKind, CertificateRule]
    ) -> Mapping[CertificateKind, CertificateRule]:
        return all_certificates(rules)

    @model_validator(mode="after")
    def _holds_for_a_while(self) -> Self:
        days = (self.valid_until - self.valid_from).days + 1
        if not 1 <= days <= MOST_VALID_DAYS:
            message = f"valid_until is not within the {MOST_VALID_DAYS} days that begin with valid_from (P21)"
            raise ValueError(message)
        return self

    @property
    def begins_at(self) -> datetime:
        """From this moment on it holds."""
        return datetime.combine(self.valid_from, time(), UTC)

    @property
    def expires_at(self) -> datetime:
        """From this moment on it holds no longer: the end of its last day."""
        return datetime.combine(self.valid_until + timedelta(days=1), time(), UTC)

    def covers(self, purpose: Purpose, incident_type: str) -> bool:
        rule = self.purposes.get(purpose)
        return rule is not None and incident_type in rule.incident_types


def load_policy(path: Path) -> Policy:
    """Reads the policy file, signed or not. Blocks. Raises ConfigurationError as `parse_policy` does."""
    return parse_policy(path, read_policy(path))


def read_policy(path: Path) -> bytes:
    """The file's bytes: read once, so that what is verified is what is parsed. Blocks. Raises ConfigurationError."""
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        problem = ConfigurationProblem(str(path), f"cannot be read ({error.strerror})", "Name an existing policy file")
        raise ConfigurationError(problem) from error
    if len(content) > _MAX_FILE_BYTES:
        raise _error(path, None, f"is larger than {_MAX_FILE_BYTES} bytes")
    return content


def parse_policy(path: Path, content: bytes) -> Policy:
    """The policy in these bytes. Raises ConfigurationError that names every problem: path, cause and remedy."""
    document = _parse(path, content)
    if "hash" in document:
        raise _error(path, "hash", "is computed from the file and cannot be set in it")
    try:
        return Policy(**document, hash=policy_hash(content))
    except ValidationError as error:
        raise ConfigurationError(*(_problem(path, detail) for detail in error.errors(include_url=False))) from error


def policy_hash(content: bytes) -> str:
    """What leads cite and what is signed."""
    return hashlib.sha256(content).hexdigest()


class _UniqueKeysLoader(yaml.SafeLoader):
    """Refuses a key that stands twice: of two values, a reader could see the one and the program take the other."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            name = self.construct_object(key, deep=True)
            if not isinstance(name, Hashable) or name in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {name!r} stands twice", key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep)


def _parse(path: Path, content: bytes) -> dict[str, Any]:
    try:
        document = yaml.load(content, _UniqueKeysLoader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: no UTF-8, or a day that there is not
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
