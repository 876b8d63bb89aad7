"""The certificates that an analyst's work needs (P10): which, and since when one is missing."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final

REQUIRED_CERTIFICATES: Final = ("facial_comparison_32h", "implicit_bias", "yearly_refresher")
"""The facial comparison course of 32 hours, the training on implicit bias, and the refresher of each year."""


def missing(held: Mapping[str, datetime], needed: Collection[str], now: datetime) -> tuple[str, ...]:
    """Those that the person does not have, or has no longer. One that ends at a moment does not hold at that moment."""
    return tuple(name for name in needed if name not in held or held[name] <= now)


def expired_since(held: Mapping[str, datetime], needed: Collection[str], now: datetime) -> datetime | None:
    """Since when the first of those that are needed has expired; None while all of them hold or were never there."""
    ended = [held[name] for name in needed if name in held and held[name] <= now]
    return min(ended, default=None)
