"""Independent evidence (P18): what a report of an outcome has to hold. Pure."""

from collections.abc import Collection
from datetime import datetime
from typing import Final

from rtcc_bridge.errors import PolicyRefusalError
from rtcc_bridge.policy.policy_parts import EvidenceKind

MOST_ITEMS: Final = 20


def require_independent(kind: EvidenceKind, *, obtained_at: datetime, disclosed_at: datetime, now: datetime) -> None:
    """P18: the item exists, and owes nothing to the lead. Raises PolicyRefusalError."""
    if obtained_at > now:
        raise PolicyRefusalError("P18", "An item of evidence has a date that is still to come: correct the date.")
    if kind is EvidenceKind.WITNESS_IDENTIFICATION and obtained_at >= disclosed_at:
        raise PolicyRefusalError(
            "P18",
            "An identification by a witness that was made after the candidate was disclosed is no independent "
            "evidence: report what else there is.",
        )


def require_evidence(*, corroborated: bool, items: int) -> None:
    """P18: nothing is corroborated without at least one item. Raises PolicyRefusalError."""
    if corroborated and not items:
        raise PolicyRefusalError(
            "P18", "A lead is corroborated by independent evidence alone: give at least one item of it."
        )


def require_kinds(kinds: Collection[EvidenceKind], counted: Collection[EvidenceKind]) -> None:
    """P18: the policy in force counts such evidence. Raises PolicyRefusalError."""
    if missing := {kind.value for kind in kinds} - set(counted):
        raise PolicyRefusalError(
            "P18", f"By the policy, {', '.join(sorted(missing))} is no independent evidence: report what else there is."
        )
