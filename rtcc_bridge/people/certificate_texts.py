"""How certificates are written: in the provider's claims, at the command line and in the database."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

from rtcc_bridge.cloud_event import rfc3339
from rtcc_bridge.policy.certificates import Certificate

_DAY_CHARACTERS: Final = len("2027-01-31")
_LATEST: Final = datetime(9000, 1, 1, tzinfo=UTC)
"""A later day may lie so late that no days can be added to it."""


def certificate_of(written: Any) -> Certificate | None:
    """`ISSUED` or `ISSUED/LAST`, as ISO 8601 writes a span: each a day (UTC; the last one counts in full) or a moment
    (RFC 3339).

    None for all else: without the day of its issue nobody knows how long the policy lets a certificate hold.
    """
    if not isinstance(written, str):
        return None
    issued, slash, last = (part.strip() for part in written.partition("/"))
    try:
        return Certificate(_moment(issued), _moment(last, day_after=True) if slash else None)
    except (ValueError, OverflowError):
        return None


def certificates_to_json(certificates: Mapping[str, Certificate]) -> dict[str, str]:
    """By name. Those of the demo's accounts, which were never issued, are kept nowhere."""
    return {name: _text(one.issued_at, one.until) for name, one in certificates.items() if one.issued_at is not None}


def certificates_from_json(written: Mapping[str, Any]) -> dict[str, Certificate]:
    """What cannot be read is no certificate."""
    found = {name: certificate_of(text) for name, text in written.items()}
    return {name: one for name, one in found.items() if one is not None}


def _moment(text: str, *, day_after: bool = False) -> datetime:
    """day_after: of a day, the moment at which it is over. Raises ValueError, OverflowError."""
    if len(text) == _DAY_CHARACTERS:
        moment = datetime.combine(date.fromisoformat(text), time.min, UTC) + timedelta(days=day_after)
    else:
        moment = datetime.fromisoformat(text)
    if moment.tzinfo is None or moment.astimezone(UTC) >= _LATEST:
        raise ValueError(text)
    return moment.astimezone(UTC)


def _text(issued_at: datetime, until: datetime | None) -> str:
    return rfc3339(issued_at) if until is None else f"{rfc3339(issued_at)}/{rfc3339(until)}"
