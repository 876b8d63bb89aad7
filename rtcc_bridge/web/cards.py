"""What the board and the pages show of incidents and leads, worded and ready for the templates."""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from rtcc_bridge.leads.examiners import EXAMINED_IN
from rtcc_bridge.leads.lead import LIVE_STATES
from rtcc_bridge.storage.incidents import NO_PRIORITY
from rtcc_bridge.web.views import IncidentView, LeadView, ThreatView
from rtcc_bridge.web.words import LEAD_ONLY, incident_words, lead_detail, lead_state, result_words

LEVELS: Final = ("imminent", "threat", "calm")
LATEST: Final = 10**17
"""Microseconds that no clock here will reach (the year 5138)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """key: what the card stands for; version: changes with anything that is shown, so that a page swaps it then."""

    key: str

    @property
    def version(self) -> str:
        return hashlib.blake2s(repr(self).encode(), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentCard(Card):
    """An incident on the board. level: imminent, threat or calm."""

    level: str
    title: str
    code: str
    place: str | None
    priority: int | None
    status: str
    exercise: bool
    opened_at: datetime
    threats: tuple[ThreatView, ...]
    alarm: str | None

    @property
    def order(self) -> str:
        """Where it stands on the board, as `storage.incidents.list_open` has it: the least text comes first."""
        priority = NO_PRIORITY if self.priority is None else self.priority
        newest = LATEST - int(self.opened_at.timestamp() * 1_000_000)
        return f"{LEVELS.index(self.level)} {priority:02} {newest:018} {self.key}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeadCard(Card):
    """A lead on the board. approve_by: set while its approval is pending. to_examine: whether it is the reader's own
    and its examiners have not come to an end; is_own: whether the reader has taken it."""

    state: str
    state_words: str
    result: str | None
    detail: str | None
    incident_id: str
    incident_title: str | None
    place: str | None
    probe_id: str
    live: bool
    taken: bool
    exercise: bool
    approve_by: datetime | None
    created_at: datetime
    announcement: str
    is_own: bool = False
    to_examine: bool = False


def incident_card(view: IncidentView) -> IncidentCard:
    title = incident_words(view.incident_type)
    level = "imminent" if view.imminent else "threat" if view.threats else "calm"
    headline = next((threat.headline or threat.event for threat in view.threats if threat.imminent), None)
    return IncidentCard(
        key=view.incident_id,
        level=level,
        title=title,
        code=view.incident_type,
        place=view.location.text,
        priority=view.priority,
        status=view.status,
        exercise=view.exercise,
        opened_at=view.opened_at or view.last_update_time_stamp,
        threats=view.threats,
        alarm=f"Imminent threat: {headline or title}. {view.location.text or ''}".strip() if view.imminent else None,
    )


def lead_card(view: LeadView, incidents: Mapping[str, IncidentCard], own: Collection[str] = ()) -> LeadCard:
    """own: the leads that the reader has taken."""
    data = view.data
    state, state_words = lead_state(data)
    incident = incidents.get(data.incident_id)
    live = data.review_state in LIVE_STATES
    pending = data.approval is not None and data.approval.state == "pending" and live
    result = None if state in {"withdrawn", "expired"} else result_words(data)
    return LeadCard(
        key=data.lead_id,
        state=state,
        state_words=state_words,
        result=result,
        detail=lead_detail(data),
        incident_id=data.incident_id,
        incident_title=None if incident is None else incident.title,
        place=None if incident is None else incident.place,
        probe_id=data.probe_id,
        live=live,
        taken=data.acknowledged_at is not None,
        exercise=view.exercise,
        approve_by=data.approval.approve_by if pending and data.approval is not None else None,
        created_at=view.created_at,
        announcement=f"Lead, {state_words}: {result or lead_detail(data) or ''}. {LEAD_ONLY}.",
        is_own=data.lead_id in own,
        to_examine=data.lead_id in own and data.review_state in EXAMINED_IN and data.result == "candidates",
    )


def by_key(cards: Iterable[IncidentCard]) -> dict[str, IncidentCard]:
    return {card.key: card for card in cards}
