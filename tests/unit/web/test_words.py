"""Every state, purpose and code that can occur has its words."""

from typing import get_args

import pytest

from rtcc_bridge.leads.comparison import Component, Finding
from rtcc_bridge.leads.events import LeadData, WithdrawalPart
from rtcc_bridge.leads.lead import Outcome
from rtcc_bridge.policy.accounts import DEMO_ACCOUNTS
from rtcc_bridge.policy.policy_parts import Conclusion, EvidenceKind
from rtcc_bridge.policy.purposes import ABSOLUTE_REFUSALS, Purpose
from rtcc_bridge.probes.state import Approval, ProbeState
from rtcc_bridge.reports.misuse_signals import SignalKind
from rtcc_bridge.web import life_words, words
from tests.probe_kit import policy
from tests.unit.leads.event_examples import EXAMPLES


def test_nothing_is_without_words() -> None:
    assert set(words.PROBE_STATES) == set(ProbeState)
    assert set(words.APPROVALS) == set(Approval)
    assert set(words.PURPOSES) == set(Purpose)
    assert set(words.WITHDRAWALS) == set(get_args(WithdrawalPart.model_fields["cause"].annotation))
    assert set(words.DEMO_PEOPLE) == set(DEMO_ACCOUNTS) - {"operations"}
    assert set(life_words.COMPONENTS) == set(Component)
    assert set(life_words.FINDINGS) == set(Finding)
    assert set(life_words.CONCLUSIONS) == set(life_words.CONCLUSIONS_FOR_REQUESTORS) == set(Conclusion)
    assert set(life_words.OUTCOMES) == set(Outcome) - {Outcome.NONE}
    assert set(life_words.EVIDENCE) == set(EvidenceKind)
    assert set(life_words.SIGNALS) == set(SignalKind)


def test_no_two_keys_of_a_page_are_the_same() -> None:
    for page, keys in life_words.SHORTCUTS.items():
        assert len({key for key, _ in (*keys, *life_words.ANYWHERE)}) == len(keys) + len(life_words.ANYWHERE), page


def test_candidates_have_letters() -> None:
    assert [life_words.letter(place) for place in (0, 1, 25, 26, 27, 51, 52)] == ["A", "B", "Z", "AA", "AB", "AZ", "BA"]


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
        ("records", "bookings"),
        ("new", "new is not"),
    ],
)
def test_every_dependency_says_what_its_absence_means(name: str, part: str) -> None:
    assert part in words.outage_words(name)
