"""What somebody asks the board to show: the fields of the form above it, which stand in the page's address.

So that a reload, a bookmark and the part that is loaded anew all show the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from aiohttp import web

from rtcc_bridge.errors import InvalidInputError
from rtcc_bridge.leads.lead import ENDED, ReviewState
from rtcc_bridge.storage.incidents import NO_FILTER, BoardFilter

LEAD_GROUPS: Final[Mapping[str, frozenset[ReviewState]]] = MappingProxyType(
    {
        "unreviewed": frozenset({ReviewState.UNREVIEWED}),
        "in_review": frozenset({ReviewState.IN_REVIEW}),
        "inconclusive": frozenset({ReviewState.INCONCLUSIVE}),
        "released": frozenset({ReviewState.RELEASED}),
        "ended": ENDED,
    }
)
PRIORITIES: Final = range(11)
"""As dispatch gives them: 0 is the most urgent."""

_LONGEST_TYPE: Final = 64


@dataclass(frozen=True, slots=True)
class BoardWish:
    """incidents: which of them. leads: a group of `LEAD_GROUPS`; None for all."""

    incidents: BoardFilter
    leads: str | None

    @property
    def is_narrowed(self) -> bool:
        return self.incidents != NO_FILTER or self.leads is not None

    @property
    def lead_states(self) -> frozenset[ReviewState] | None:
        return None if self.leads is None else LEAD_GROUPS[self.leads]


def wish_of(request: web.Request) -> BoardWish:
    """An empty field asks for everything. Raises InvalidInputError for what the form does not offer."""
    kind, priority = request.query.get("type", ""), request.query.get("priority", "")
    exercises, group = request.query.get("exercises", ""), request.query.get("leads", "")
    if (
        len(kind) > _LONGEST_TYPE
        or priority not in {"", *map(str, PRIORITIES)}
        or exercises not in {"", "without"}
        or group not in {"", *LEAD_GROUPS}
    ):
        raise InvalidInputError("The board cannot be narrowed to that: choose from its form.", "fields")
    only = BoardFilter(
        incident_type=kind or None,
        lowest_priority=int(priority) if priority else None,
        exercises=exercises != "without",
    )
    return BoardWish(only, group or None)
