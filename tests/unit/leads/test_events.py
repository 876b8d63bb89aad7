"""What a lead event can say, and what it cannot be made to say (P15, P16)."""

from collections.abc import Mapping
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from rtcc_bridge.errors import IntegrityError
from rtcc_bridge.leads.events import EVENT_DATA, CandidatesData, build, for_the_floor, to_wire
from rtcc_bridge.publishing.lead_constants import LEAD_CONSTANTS, require_lead_constants
from tests.unit.leads.event_examples import CANDIDATES, EXAMPLES, LEAKS, NOBODY, PENDING, REF, SEARCH

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
ANYTHING: st.SearchStrategy[Any] = SCALARS | st.just([])
CONSTANT_NAMES = st.sampled_from(sorted(LEAD_CONSTANTS))


def constants_of(data: Mapping[str, Any]) -> dict[str, Any]:
    return {name: data[name] for name in LEAD_CONSTANTS}


def assert_has_the_constants(data: Mapping[str, Any]) -> None:
    assert constants_of(data) == dict(LEAD_CONSTANTS)
    assert all(type(data[name]) is type(value) for name, value in LEAD_CONSTANTS.items())


def test_every_event_type_has_an_example() -> None:
    assert set(EXAMPLES) == set(EVENT_DATA)


@pytest.mark.parametrize("event_type", EVENT_DATA)
def test_p15_every_event_carries_the_constants(event_type: str) -> None:
    wire = to_wire(event_type, build(event_type, EXAMPLES[event_type]))
    assert_has_the_constants(wire)
    given_values = {name: value for name, value in EXAMPLES[event_type].items() if name != "approval"}
    assert wire == {**wire, **given_values}


def test_p15_the_constants_are_those_of_the_contract() -> None:
    said = {name: value for name, value in LEAD_CONSTANTS.items() if name != "notice"}
    assert said == {
        "classification": "INVESTIGATIVE_LEAD_ONLY",
        "positiveIdentification": False,
        "probableCause": False,
        "corroborationRequired": True,
        "lineupOnThisAlone": False,
    }
    assert "lead" in str(LEAD_CONSTANTS["notice"])


@given(name=CONSTANT_NAMES, value=ANYTHING, event_type=st.sampled_from(sorted(EVENT_DATA)))
def test_p15_no_event_can_be_built_with_another_constant(name: str, value: object, event_type: str) -> None:
    """Pydantic takes 0 for False; then the constant itself is what is kept."""
    try:
        built = EVENT_DATA[event_type].model_validate({**EXAMPLES[event_type], name: value})
    except ValidationError:
        return
    assert value == LEAD_CONSTANTS[name]
    assert_has_the_constants(built.model_dump(mode="json", by_alias=True))


@given(name=CONSTANT_NAMES, value=ANYTHING, event_type=st.sampled_from(sorted(EVENT_DATA)))
def test_p15_no_event_can_be_serialised_with_another_constant(name: str, value: object, event_type: str) -> None:
    """Past validation: constructed without it, copied with an update, or written into."""
    valid = build(event_type, EXAMPLES[event_type])
    field = next(field for field, info in type(valid).model_fields.items() if info.alias == name)
    constructed = type(valid).model_construct(
        **{**{key: getattr(valid, key) for key in type(valid).model_fields}, field: value}
    )
    copied = valid.model_copy(update={field: value})
    written = valid.model_copy()
    object.__setattr__(written, field, value)
    written.__dict__[field] = value
    for forged in (constructed, copied, written):
        assert_has_the_constants(to_wire(event_type, forged))


@given(name=CONSTANT_NAMES, value=ANYTHING)
def test_p15_the_outbox_refuses_a_lead_without_its_constants(name: str, value: object) -> None:
    wire = to_wire("lead.candidates", build("lead.candidates", CANDIDATES))
    require_lead_constants("lead.candidates", wire)
    forged = {**wire, name: value}
    if type(value) is type(wire[name]) and value == wire[name]:
        return
    for event_type in ("lead.candidates", "floor.lead", "another.type"):
        with pytest.raises(IntegrityError, match=name):
            require_lead_constants(event_type, forged)
    with pytest.raises(IntegrityError, match=name):
        require_lead_constants("lead.candidates", {key: wire[key] for key in wire if key != name})


def test_p15_a_constant_cannot_be_assigned() -> None:
    data: Any = build("lead.candidates", CANDIDATES)
    with pytest.raises(ValidationError, match="frozen"):
        data.probable_cause = True


def test_p15_a_class_that_redefines_a_constant_is_not_sent() -> None:
    class Bold(CandidatesData):
        positive_identification: Literal[True] = True  # type: ignore[assignment]

    with pytest.raises(IntegrityError, match="Bold"):
        to_wire("lead.candidates", Bold.model_validate(CANDIDATES))


def test_data_is_sent_only_under_its_own_type() -> None:
    with pytest.raises(IntegrityError, match="NoCandidateData"):
        to_wire("lead.candidates", build("lead.no_candidate", EXAMPLES["lead.no_candidate"]))


@pytest.mark.parametrize("event_type", EVENT_DATA)
@pytest.mark.parametrize("field", LEAKS)
def test_p16_nothing_else_can_stand_in_an_event_or_beside_a_reference(event_type: str, field: str) -> None:
    example = EXAMPLES[event_type]
    with pytest.raises(IntegrityError, match=field) as refused:
        build(event_type, {**example, field: "secret"})
    assert "secret" not in str(refused.value)
    with pytest.raises(IntegrityError, match=field):
        build(event_type, {**example, "candidateCount": 1, "candidates": [{"candidateRef": REF, field: "secret"}]})
    with pytest.raises(IntegrityError, match=field):
        build(event_type, {**example, "probeQuality": {"unifiedScore": 1, "sentences": [], field: "secret"}})


def test_p16_what_is_smuggled_past_validation_is_not_sent() -> None:
    data = build("lead.candidates", CANDIDATES)
    data.__dict__["rank"] = 1
    assert "rank" not in to_wire("lead.candidates", data)
    broken = data.model_copy(update={"candidate_count": 3})
    with pytest.raises(IntegrityError, match="candidateCount"):
        to_wire("lead.candidates", broken)


@pytest.mark.parametrize("event_type", ["lead.released", "lead.corroborated", "lead.refuted", "lead.unresolved"])
def test_p16_what_the_floor_is_shown_of_a_released_lead_has_no_conclusion(event_type: str) -> None:
    wire = to_wire(event_type, build(event_type, EXAMPLES[event_type]))
    assert wire["candidates"] == [{"candidateRef": REF, "conclusion": "support"}]
    shown = to_wire("floor.lead", build("floor.lead", for_the_floor(wire)))
    assert shown == {**wire, "candidates": [{"candidateRef": REF}]}


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("lead.candidates", {"result": "no_candidate"}),
    ("lead.candidates", NOBODY),
    ("lead.candidates", {"candidateCount": 2}),
    ("lead.candidates", {"search": None}),
    ("lead.candidates", {"approval": None}),
    ("lead.candidates", {"sequence": 0}),
    ("lead.candidates", {"approval": {"state": "pending"}}),
    ("lead.candidates", {"approval": {**PENDING, "state": "granted"}}),
    ("lead.candidates", {"policyHash": "short"}),
    ("lead.candidates", {"expiresAt": "2026-12-23T12:00:00"}),
    ("lead.candidates", {"candidates": [{"candidateRef": "Jane Doe"}]}),
    ("lead.candidates", {"corroboration": {"state": "corroborated", "evidenceKinds": []}}),
    ("lead.no_candidate", {"candidateCount": 1, "candidates": [{"candidateRef": REF}]}),
    ("lead.rejected_quality", {"search": SEARCH}),
    ("lead.acknowledged", {"acknowledgedAt": None}),
    ("lead.withdrawn", {"withdrawal": None}),
    ("lead.withdrawn", {"withdrawal": {"cause": "the officer said so"}}),
    ("lead.withdrawn", {"candidateCount": 1, "candidates": [{"candidateRef": REF}]}),
    ("lead.approval_lapsed", {"withdrawal": {"cause": "authority_ended"}}),
    ("lead.expired", {"reviewState": "unreviewed"}),
    ("lead.in_review", {"result": "inconclusive"}),
    ("lead.in_review", {"candidates": [{"candidateRef": REF, "conclusion": "support"}]}),
    ("lead.inconclusive", {"candidateCount": 1, "candidates": [{"candidateRef": REF}]}),
    ("lead.released", {"candidates": [{"candidateRef": REF}]}),
    ("lead.released", {"candidates": [{"candidateRef": REF, "conclusion": "inconclusive"}]}),
    ("lead.released", {"candidates": [{"candidateRef": REF, "conclusion": "exclusion"}]}),
    ("lead.released", {"candidates": [{"candidateRef": REF, "conclusion": "certain"}]}),
    ("lead.released", {"candidateCount": 3, "candidates": [{"candidateRef": REF, "conclusion": "support"}] * 3}),
    ("lead.released", {"result": "no_candidate"}),
    ("lead.released", NOBODY),
    ("lead.released", {"releasedAt": None}),
    ("lead.corroborated", {"corroboration": {"state": "corroborated", "evidenceKinds": []}}),
    ("lead.corroborated", {"corroboration": {"state": "corroborated", "evidenceKinds": ["the same picture again"]}}),
    ("lead.corroborated", {"corroboration": {"state": "refuted", "evidenceKinds": ["dna"]}}),
    ("floor.lead", {"candidates": [{"candidateRef": REF, "conclusion": "support"}]}),
]


@pytest.mark.parametrize(("event_type", "change"), WRONG)
def test_data_that_contradicts_its_type_is_refused(event_type: str, change: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError):
        build(event_type, {**EXAMPLES[event_type], **change})
