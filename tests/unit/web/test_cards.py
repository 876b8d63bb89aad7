"""What the board makes of incidents and leads."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rtcc_bridge.leads.events import LeadData, for_the_floor
from rtcc_bridge.web.cards import IncidentCard, LeadCard, incident_card, lead_card
from rtcc_bridge.web.views import IncidentView, LeadView
from tests.unit.leads.event_examples import EXAMPLES, PENDING

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
THREAT = {
    "identifier": "t", "event": "Threat to life", "severity": "Extreme", "urgency": "Immediate",
    "headline": "Armed person", "expires": NOW, "imminent": True,
}  # fmt: skip


def incident(**changes: Any) -> IncidentCard:
    values: dict[str, Any] = {
        "incident_id": "INC-1", "incident_type": "SHOOT", "status": "open", "priority": 1, "exercise": False,
        "opened_at": None, "last_update_time_stamp": NOW, "merged_into": None, "location": {"text": "Pier 4"},
        "threats": (), "imminent": False,
    }  # fmt: skip
    return incident_card(IncidentView.model_validate(values | changes))


def lead(event_type: str = "lead.candidates", **changes: Any) -> LeadCard:
    data = LeadData.model_validate(for_the_floor({**EXAMPLES[event_type], **changes}))
    view = LeadView(lane="routine", exercise=False, created_at=NOW, updated_at=NOW, data=data)
    return lead_card(view, {"INC-1": incident()})


@pytest.mark.parametrize(
    ("changes", "level"),
    [
        ({}, "calm"),
        ({"threats": [THREAT | {"imminent": False}]}, "threat"),
        ({"threats": [THREAT], "imminent": True}, "imminent"),
    ],
)
def test_the_level_follows_the_threats(changes: dict[str, Any], level: str) -> None:
    assert incident(**changes).level == level


def test_an_imminent_threat_is_announced_and_nothing_else_is() -> None:
    assert incident(threats=[THREAT], imminent=True).alarm == "Imminent threat: Armed person. Pier 4"
    assert incident(threats=[THREAT | {"imminent": False}]).alarm is None


def test_an_incident_without_an_opening_time_ages_from_its_last_update() -> None:
    assert incident().opened_at == NOW
    assert incident(opened_at=NOW - timedelta(hours=1)).opened_at == NOW - timedelta(hours=1)


def test_the_version_changes_with_what_is_shown_and_only_then() -> None:
    assert incident().version == incident().version
    changed = [incident(priority=2), incident(location={"text": "Pier 5"}), incident(threats=[THREAT]), lead()]
    assert len({incident().version, *(card.version for card in changed)}) == 5


def test_a_lead_names_its_incident_by_type_and_place() -> None:
    assert (lead().incident_title, lead().place) == ("Shooting", "Pier 4")
    assert lead(incidentId="INC-9").incident_title is None


def test_p14_a_pending_approval_counts_down_while_the_lead_is_live() -> None:
    assert lead(approval=PENDING).approve_by is not None
    assert lead().approve_by is None
    assert lead("lead.approval_lapsed").approve_by is None


def test_a_withdrawn_lead_offers_no_result() -> None:
    card = lead("lead.withdrawn")
    assert (card.result, card.live) == (None, False)
    assert "Do not use" in card.announcement


def test_every_lead_is_announced_as_needing_corroboration() -> None:
    assert all(lead(kind).announcement.endswith("Investigative lead only - needs corroboration.") for kind in EXAMPLES)


def test_cards_stand_by_threat_then_priority_then_the_newest() -> None:
    wanted = [
        incident(incident_id="imminent", priority=9, threats=[THREAT], imminent=True),
        incident(incident_id="threat", priority=None, threats=[THREAT | {"imminent": False}]),
        incident(incident_id="urgent", priority=0, opened_at=NOW - timedelta(days=900)),
        incident(incident_id="new", priority=10, opened_at=NOW),
        incident(incident_id="a moment older", priority=10, opened_at=NOW - timedelta(microseconds=1)),
        incident(incident_id="old", priority=10, opened_at=datetime(1970, 1, 1, tzinfo=UTC)),
        incident(incident_id="unknown", priority=None, opened_at=NOW + timedelta(days=1)),
    ]
    mixed = [*wanted[4:], *wanted[:4]]
    assert sorted(mixed, key=lambda card: card.order) == wanted
