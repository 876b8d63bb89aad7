"""Every state, purpose and code that can occur has its words."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

import rtcc_bridge
from rtcc_bridge.leads.comparison import Aid, Component, Finding
from rtcc_bridge.leads.events import EstimatedFpir, LeadData, WithdrawalPart
from rtcc_bridge.leads.lead import Outcome
from rtcc_bridge.policy.accounts import DEMO_ACCOUNTS
from rtcc_bridge.policy.permissions import Deed
from rtcc_bridge.policy.policy_parts import Conclusion, EvidenceKind
from rtcc_bridge.policy.purposes import ABSOLUTE_REFUSALS, Purpose
from rtcc_bridge.probes.state import Approval, ProbeState
from rtcc_bridge.reports.misuse_signals import SignalKind
from rtcc_bridge.web import life_words, words
from rtcc_bridge.web.oversight_words import ACTS, KINDS, RULES
from rtcc_bridge.web.route_deeds import GUARDS
from tests.probe_kit import policy
from tests.unit.leads.event_examples import EXAMPLES

REFUSALS = {"PolicyRefusalError", "SignInRequiredError", "ExpiredTokenError"}


def test_nothing_is_without_words() -> None:
    assert set(words.PROBE_STATES) == set(ProbeState)
    assert set(words.APPROVALS) == set(Approval)
    assert set(words.PURPOSES) == set(Purpose)
    assert set(words.WITHDRAWALS) == set(get_args(WithdrawalPart.model_fields["cause"].annotation))
    assert set(words.DEMO_PEOPLE) == set(DEMO_ACCOUNTS) - {"operations"}
    assert set(life_words.COMPONENTS) == set(Component)
    assert set(life_words.FINDINGS) == set(Finding)
    assert set(life_words.AIDS) == set(Aid)
    assert set(life_words.CONCLUSIONS) == set(life_words.CONCLUSIONS_FOR_REQUESTORS) == set(Conclusion)
    assert set(life_words.OUTCOMES) == set(Outcome) - {Outcome.NONE}
    assert set(life_words.EVIDENCE) == set(EvidenceKind)
    assert set(life_words.SIGNALS) == set(life_words.SIGNAL_ITEMS) == set(SignalKind)


def test_no_two_keys_of_a_page_are_the_same() -> None:
    for page, keys in life_words.SHORTCUTS.items():
        everywhere = (*life_words.ANYWHERE, *life_words.DEMO_SHORTCUTS)
        assert len({key for key, _ in (*keys, *everywhere)}) == len(keys) + len(everywhere), page


def test_candidates_have_letters() -> None:
    assert [life_words.letter(place) for place in (0, 1, 25, 26, 27, 51, 52)] == ["A", "B", "Z", "AA", "AB", "AZ", "BA"]


def test_every_incident_type_that_the_policy_speaks_of_has_words() -> None:
    spoken_of = {kind for rule in policy().purposes.values() for kind in rule.incident_types}
    assert spoken_of | set(ABSOLUTE_REFUSALS) <= set(words.INCIDENT_TYPES)


@pytest.mark.parametrize(
    ("value", "low", "high", "said"),
    [
        (0.3, 0.25, 0.351, "about 30 of 100 searches like this one (between 25 and 35)"),
        (0.0123, 0.008, 0.02, "about 12 of 1,000 searches like this one (between 8 and 20)"),
        (0.00002, 0.0, 0.00004, "about 2 of 100,000 searches like this one (between 0 and 4)"),
        (0.0, 0.0, 0.00003, "fewer than 1 of 100,000 searches like this one (between 0 and 3)"),
    ],
)
def test_how_often_a_search_lists_somebody_is_counted_in_searches(
    value: float, low: float, high: float, said: str
) -> None:
    assert words.of_searches(EstimatedFpir(value=value, low=low, high=high)) == said


def test_no_conclusion_has_a_key_that_judges_a_part_and_each_has_one() -> None:
    assert set(life_words.CONCLUSION_KEYS) == set(Conclusion)
    assert {len(key) for key in life_words.CONCLUSION_KEYS.values()} == {1}
    assert set(life_words.CONCLUSION_KEYS.values()).isdisjoint({"1", "2", "3"})


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
        ("lead.expired", "expired", "0 candidates to compare", "Do not use: its time was over."),
    ],
)
def test_what_the_board_says_of_a_lead(event_type: str, state: str, result: str, detail: str | None) -> None:
    data = LeadData.model_validate(EXAMPLES[event_type])
    assert words.lead_state(data)[0] == state
    assert words.result_words(data) == result
    assert words.lead_detail(data) == detail


def test_p18_only_of_a_lead_that_somebody_had_an_outcome_was_missing() -> None:
    data = LeadData.model_validate({**EXAMPLES["lead.expired"], "releasedAt": "2026-11-23T12:00:00Z"})
    assert words.lead_detail(data) == "Do not use: no outcome was reported in time."


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("broker", "message broker"),
        ("matcher.routine", "Searches wait"),
        ("gallery demo", "P25"),
        ("evaluation", "P28"),
        ("records", "bookings"),
        ("new", "new is not"),
    ],
)
def test_every_dependency_says_what_its_absence_means(name: str, part: str) -> None:
    assert part in words.outage_words(name)


def test_every_act_that_is_not_everybodys_has_words_in_the_audit_log() -> None:
    everybodys = {None, Deed.WATCH_FLOOR, Deed.READ_DOCUMENTS, Deed.SEE_HEALTH}
    acts = {guard.action for guard in GUARDS.values() if guard.deed not in everybodys}
    assert acts <= set(ACTS)
    assert {act.partition(".")[0] for act in acts} - {"activity"} <= set(KINDS)


def test_every_rule_that_refuses_says_what_it_is_about_and_no_other_is_listed() -> None:
    assert set(rules_that_refuse()) == set(RULES)


def rules_that_refuse() -> Iterator[str]:
    """By the first argument of every refusal that the program raises, which it writes out each time."""
    for file in Path(rtcc_bridge.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(ast.Name(name), [ast.Constant(str(rule)), *_]) if name in REFUSALS:
                    yield rule
