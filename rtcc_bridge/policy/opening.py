"""What makes a policy fit to decide: two signatures and the present day (P21)."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Self

from rtcc_bridge.errors import ConfigurationError, ConfigurationProblem
from rtcc_bridge.policy.policy_file import Policy, parse_policy, read_policy
from rtcc_bridge.policy.policy_signatures import Signer, SignerKeys, signature_file_of, signature_problem
from rtcc_bridge.settings import PolicySettings

ADMINISTRATOR_KEY_SETTING: Final = "policy.administrator_key_file"
CITY_KEY_SETTING: Final = "policy.city_key_file"


@dataclass(frozen=True, slots=True)
class PolicyFiles:
    """Where a policy, its signatures and the public keys are."""

    policy: Path
    signatures: Path | None
    administrator_key: Path | None
    city_key: Path | None

    @classmethod
    def of(cls, settings: PolicySettings) -> Self:
        return cls(settings.file, settings.signature_file, settings.administrator_key_file, settings.city_key_file)


@dataclass(frozen=True, slots=True)
class OpenedPolicy:
    """A policy that may decide.

    remark: what keeps it from deciding outside the demo; empty when nothing does. ends_at: from then on it begins no
    search any more; None in the demo.
    """

    policy: Policy
    remark: str
    ends_at: datetime | None


def open_policy(files: PolicyFiles, *, demo: bool, now: datetime) -> OpenedPolicy:
    """Reads and verifies the same bytes. Blocks.

    demo: it need not be signed, nor in date, and the remark says so. Raises ConfigurationError for a file that is none,
    and outside the demo for a policy that is unsigned, half-signed, altered, expired or still to come.
    """
    content = read_policy(files.policy)
    policy = parse_policy(files.policy, content)
    problem = _reason_not_signed(files, content, may_be_unsigned=demo) or _reason_not_in_date(policy, now)
    if problem is not None and not demo:
        raise ConfigurationError(problem)
    return OpenedPolicy(policy, "" if problem is None else problem.cause, None if demo else policy.expires_at)


def _reason_not_signed(files: PolicyFiles, content: bytes, *, may_be_unsigned: bool) -> ConfigurationProblem | None:
    if may_be_unsigned and files.administrator_key is None and files.city_key is None:
        return ConfigurationProblem(str(files.policy), "the policy is not signed", "Sign it outside the demo")
    keys = SignerKeys.load(
        {
            Signer.ADMINISTRATOR: (ADMINISTRATOR_KEY_SETTING, files.administrator_key),
            Signer.CITY: (CITY_KEY_SETTING, files.city_key),
        }
    )
    signatures = files.signatures or signature_file_of(files.policy)
    if problem := signature_problem(content, signatures, keys):
        return ConfigurationProblem(
            str(files.policy),
            f"the policy does not hold: {problem}",
            "Have the administrator and the city sign it (`rtcc-bridge policy sign`), or put the signed one back",
        )
    return None


def _reason_not_in_date(policy: Policy, now: datetime) -> ConfigurationProblem | None:
    if now >= policy.expires_at:
        return ConfigurationProblem(
            "valid_until",
            f"the policy held until {policy.valid_until.isoformat()} and has expired",
            "Put one in place that is in date, signed by the administrator and the city",
        )
    if now < policy.begins_at:
        return ConfigurationProblem(
            "valid_from",
            f"the policy holds from {policy.valid_from.isoformat()} on, which is still to come",
            "Keep the one before it in place until then",
        )
    return None
