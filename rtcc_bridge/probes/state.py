"""The states of a probe and the one table of the steps between them."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from rtcc_bridge.errors import ConflictError


class ProbeState(StrEnum):
    """Where a probe stands."""

    FACES_FOUND = "faces_found"
    """The analyst has to choose one of the faces."""
    AWAITING_APPROVAL = "awaiting_approval"
    """A supervisor has to approve the search."""
    AUTHORIZED = "authorized"
    """The search may run, and has been asked for."""
    SEARCHED = "searched"
    """The search ran and its lead was recorded."""
    REJECTED_QUALITY = "rejected_quality"
    """The picture is too poor to be searched: a result, recorded as a lead."""
    UNREADABLE = "unreadable"
    """The stored picture was damaged before it was searched: a result, recorded as a lead."""
    REFUSED = "refused"
    """A supervisor refused the search."""
    WITHDRAWN = "withdrawn"
    """The authority ended before or after the search; its lead, if there is one, is withdrawn too."""


class Approval(StrEnum):
    """What the supervisor said."""

    NONE = "none"
    PENDING = "pending"
    GRANTED = "granted"
    REFUSED = "refused"
    LAPSED = "lapsed"
    """It did not come within the time that P14 allows."""


TRANSITIONS: Final[Mapping[ProbeState, frozenset[ProbeState]]] = MappingProxyType(
    {
        ProbeState.FACES_FOUND: frozenset(
            {
                ProbeState.AWAITING_APPROVAL,
                ProbeState.AUTHORIZED,  # an imminent threat: the approval may follow (P14)
                ProbeState.REJECTED_QUALITY,
                ProbeState.WITHDRAWN,
            }
        ),
        ProbeState.AWAITING_APPROVAL: frozenset({ProbeState.AUTHORIZED, ProbeState.REFUSED, ProbeState.WITHDRAWN}),
        ProbeState.AUTHORIZED: frozenset(
            {
                ProbeState.AWAITING_APPROVAL,  # the threat ended before the search: the deferral is over (P14)
                ProbeState.SEARCHED,
                ProbeState.UNREADABLE,
                ProbeState.REFUSED,
                ProbeState.WITHDRAWN,
            }
        ),
        ProbeState.SEARCHED: frozenset({ProbeState.REFUSED, ProbeState.WITHDRAWN}),
        ProbeState.REJECTED_QUALITY: frozenset(),
        ProbeState.UNREADABLE: frozenset(),
        ProbeState.REFUSED: frozenset(),
        ProbeState.WITHDRAWN: frozenset(),
    }
)
"""A picture that is too poor from the start begins in REJECTED_QUALITY, every other one in FACES_FOUND."""

WAITING: Final = (ProbeState.FACES_FOUND, ProbeState.AWAITING_APPROVAL, ProbeState.AUTHORIZED)
"""Something is still to happen: what the end of an incident's authority withdraws (P08)."""

DECIDABLE: Final = (ProbeState.AWAITING_APPROVAL, ProbeState.AUTHORIZED, ProbeState.SEARCHED)
"""With its approval pending, a supervisor can still decide on such a probe."""


def require_transition(current: ProbeState, following: ProbeState) -> None:
    """Raises ConflictError unless the table holds that step."""
    if following not in TRANSITIONS[current]:
        raise ConflictError(f"A probe that is {current.value} cannot become {following.value}.")
