"""The certificates that an analyst's work needs (P10): which are missing, and since when one has expired.

That all of them are needed, and how long each may hold, stands in the policy file.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from enum import StrEnum

from rtcc_bridge.cloud_event import rfc3339


class CertificateKind(StrEnum):
    """A closed list: the policy file leaves none of them out."""

    FACIAL_COMPARISON = "facial_comparison_32h"
    IMPLICIT_BIAS = "implicit_bias"
    YEARLY_REFRESHER = "yearly_refresher"


def missing(held: Mapping[str, datetime], needed: Collection[str], now: datetime) -> tuple[str, ...]:
    """Those that the person does not have, or has no longer. One that ends at a moment does not hold at that moment."""
    return tuple(name for name in needed if name not in held or held[name] <= now)


def expired_since(held: Mapping[str, datetime], needed: Collection[str], now: datetime) -> datetime | None:
    """Since when the first of those that are needed has expired; None while all of them hold or were never there."""
    ended = [held[name] for name in needed if name in held and held[name] <= now]
    return min(ended, default=None)


def marks(held: Mapping[str, datetime], needed: Collection[str], now: datetime) -> dict[str, str]:
    """What the audit entry says of work that was begun with certificates in date and is finished without them."""
    since = expired_since(held, needed, now)
    return {} if since is None else {"certificateExpiredSince": rfc3339(since)}
