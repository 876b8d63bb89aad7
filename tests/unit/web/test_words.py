"""Every state, purpose and code that can occur has its words."""

from typing import get_args

import pytest

from rtcc_bridge.leads.events import LeadData, WithdrawalPart
from rtcc_bridge.policy.accounts import Role
from rtcc_bridge.policy.purposes import ABSOLUTE_REFUSALS, Purpose
from rtcc_bridge.probes.state import Approval, ProbeState
from rtcc_bridge.web import words
from tests.probe_kit import policy
from tests.unit.leads.event_examples import EXAMPLES


def test_nothing_is_without_words() -> None:
    assert set(words.PROBE_STATES) == set(ProbeState)
    assert set(words.APPROVALS) == set(Approval)
    assert set(words.PURPOSES) == set(Purpose)
    assert set(words.WITHDRAWALS) == set(get_args(WithdrawalPart.model_fields["cause"].annotation))
    assert set(words.ROLES) <= set(Role)


def test_every_incident_type_that_the_policy_speaks_of_has_words() -> None:
    spoken_of = {kind for rule in policy().purposes.values() for kind in rule.incident_types}
    assert spoken_of | set(ABSOLUTE_REFUSALS) <= set(words.INCIDENT_TYPES)


def test_an_unknown_incident_type_is_shown_as_it_is() -> None:
    assert words.incident_words("NEW-CODE") == "NEW-CODE"


@pytest.mark.parametrize(
    ("event_type", "state", "result", "detail"),
    [
        ("lead.candidates", "unreviewed", "1 candidate to compare", None),
        ("lead.no_candidate", "unreviewed", "No candidate", None),
        ("lead.rejected_quality", "unreviewed", "Picture could not be searched", None),
        ("lead.acknowledged", "taken", "1 candidate to compare", None),
        (
            "lead.withdrawn",
            "withdrawn",
            "0 candidates to compare",
            "Do not use: its incident was cancelled or unfounded.",
        ),
        (
            "lead.approval_lapsed",
            "withdrawn",
            "0 candidates to compare",
            "Do not use: the approval did not come in time.",
        ),
        ("lead.expired", "expired", "0 candidates to compare", "Do not use: no outcome was reported in time."),
    ],
)
def test_what_the_board_says_of_a_lead(event_type: str, state: str, result: str, detail: str | None) -> None:
    data = LeadData.model_validate(EXAMPLES[event_type])
    assert words.lead_state(data)[0] == state
    assert words.result_words(data) == result
    assert words.lead_detail(data) == detail


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("broker", "message broker"),
        ("matcher.routine", "Searches wait"),
        ("gallery demo", "gallery"),
        ("new", "new is not"),
    ],
)
def test_every_dependency_says_what_its_absence_means(name: str, part: str) -> None:
    assert part in words.outage_words(name)
