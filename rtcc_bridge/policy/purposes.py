"""What a search may be for, and what it may never be for. This is code and not configuration on purpose (P02)."""

import unicodedata
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Purpose(StrEnum):
    """The closed list of permitted purposes (P02). The policy file gives each the incident types that it covers."""

    VIOLENT_OFFENSE = "violent_offense"
    IMMINENT_THREAT = "imminent_threat"
    IDENTIFY_DECEASED = "identify_deceased"
    IDENTIFY_INCAPACITATED = "identify_incapacitated"


ABSOLUTE_REFUSALS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "CIVDIS": "protests and civil disturbances",
        "ALIEN": "immigration matters",
    }
)
"""Incident types (APCO ANS 2.103.1) for which no search is ever permitted, whatever the policy file says.

Searches by a protected class need no entry: no purpose could name one. An incident type that stands for a group of
people and not for an act belongs in this table.
"""


OVERRIDABLE: Final = frozenset({"CIVDIS"})
"""What dispatch may first have coded a killing as; two people can attest to that (P02). Never immigration."""

KILLINGS: Final = frozenset({"HOMICIDE"})
"""What such an incident has to be coded as by now."""


def absolute_refusal(incident_type: str) -> str | None:
    """The code of ABSOLUTE_REFUSALS that the incident type begins with, None when it begins with none.

    Only letters and digits count, in whatever case: dispatch systems append numbers and words of their own to a code
    (`CIVDIS-1`), and a code that is merely written otherwise means the same.
    """
    spelled = "".join(filter(str.isalnum, unicodedata.normalize("NFKC", incident_type))).upper()
    return next((code for code in ABSOLUTE_REFUSALS if spelled.startswith(code)), None)
