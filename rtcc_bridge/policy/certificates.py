"""The certificates that an analyst's work needs (P10): which are missing, and since when one has expired.

That all of them are needed, and how long each may hold, stands in the policy file.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from rtcc_bridge.cloud_event import rfc3339
from rtcc_bridge.policy.policy_parts import CertificateKind, CertificateRule

Needed = Mapping[CertificateKind, CertificateRule]
"""As the policy file has them."""

_NEVER: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate of a person.

    issued_at: from then on it holds, for as long as the policy lets it; None for the demo's accounts alone, which are
    trained whatever day it is. until: from then on it does not hold; None where whoever issued it named no end.
    """

    issued_at: datetime | None
    until: datetime | None = None

    def ends_at(self, rule: CertificateRule) -> datetime:
        """By its own end or by the policy's days, whichever comes first. It does not hold at that moment any more."""
        by_policy = None if self.issued_at is None else self.issued_at + timedelta(days=rule.valid_days)
        return min(end for end in (self.until, by_policy, _NEVER) if end is not None)

    def holds(self, rule: CertificateRule, now: datetime) -> bool:
        return (self.issued_at is None or self.issued_at <= now) and now < self.ends_at(rule)


def missing(held: Mapping[str, Certificate], needed: Needed, now: datetime) -> tuple[str, ...]:
    """Those that the person does not have, not yet or not any more."""
    return tuple(name for name, rule in needed.items() if name not in held or not held[name].holds(rule, now))


def expired_since(held: Mapping[str, Certificate], needed: Needed, now: datetime) -> datetime | None:
    """Since when the first of those that are needed has expired; None while all of them hold or were never there."""
    ends = [held[name].ends_at(rule) for name, rule in needed.items() if name in held]
    return min((end for end in ends if end <= now), default=None)


def marks(held: Mapping[str, Certificate], needed: Needed, now: datetime) -> dict[str, str]:
    """What the audit entry says of work that was begun with certificates in date and is finished without them."""
    since = expired_since(held, needed, now)
    return {} if since is None else {"certificateExpiredSince": rfc3339(since)}
