"""Moments as other systems write them: RFC 3339, always with an offset."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final, TypeAlias

from pydantic import AfterValidator, AwareDatetime, BeforeValidator

_RFC3339: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def parse_rfc3339(text: str) -> datetime:
    """The moment in UTC (fractions beyond microseconds are cut off).

    Raises ValueError for anything else than a date and time with an offset, and for moments that UTC cannot express.
    """
    if not _RFC3339.fullmatch(text):
        message = "not a date and time with an offset as in 2026-03-01T12:00:00Z (RFC 3339)"
        raise ValueError(message)
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except OverflowError as error:
        message = "beyond the years that can be expressed"
        raise ValueError(message) from error


def _only_text(value: Any) -> datetime:
    if not isinstance(value, str):
        message = "a moment has to be text as in 2026-03-01T12:00:00Z (RFC 3339)"
        raise ValueError(message)
    return parse_rfc3339(value)


Moment: TypeAlias = Annotated[
    AwareDatetime, BeforeValidator(_only_text), AfterValidator(lambda moment: moment.astimezone(UTC))
]
"""A pydantic field type: RFC 3339 text in, an aware datetime in UTC out."""
