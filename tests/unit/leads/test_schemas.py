"""The published schemas accept what is sent and nothing that P15 and P16 forbid."""

import pytest
from jsonschema import Draft202012Validator, ValidationError

from rtcc_bridge.leads.schemas import LEAD_EVENT_TYPES, lead_schemas
from rtcc_bridge.publishing.lead_constants import LEAD_CONSTANTS
from tests.unit.leads.event_examples import LEAKS, event_of

SCHEMAS = lead_schemas()


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(SCHEMAS[name], format_checker=Draft202012Validator.FORMAT_CHECKER)


def test_there_is_a_schema_of_each_event_and_of_its_data() -> None:
    assert set(SCHEMAS) == {*LEAD_EVENT_TYPES, *(f"{event_type}.data" for event_type in LEAD_EVENT_TYPES)}


@pytest.mark.parametrize("name", SCHEMAS)
def test_each_is_a_schema_of_the_dialect_that_it_names(name: str) -> None:
    assert SCHEMAS[name]["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(SCHEMAS[name])


@pytest.mark.parametrize("event_type", LEAD_EVENT_TYPES)
def test_each_accepts_its_event(event_type: str) -> None:
    event = event_of(event_type)
    validator(event_type).validate(event)
    validator(f"{event_type}.data").validate(event["data"])


@pytest.mark.parametrize("event_type", LEAD_EVENT_TYPES)
@pytest.mark.parametrize("name", LEAD_CONSTANTS)
def test_p15_a_constant_is_required_and_has_one_value(event_type: str, name: str) -> None:
    event = event_of(event_type)
    assert SCHEMAS[f"{event_type}.data"]["properties"][name]["const"] == LEAD_CONSTANTS[name]
    for wrong in (None, "", 1, 0, not LEAD_CONSTANTS[name]):
        with pytest.raises(ValidationError):
            validator(event_type).validate({**event, "data": {**event["data"], name: wrong}})
    without = {key: value for key, value in event["data"].items() if key != name}
    with pytest.raises(ValidationError, match=name):
        validator(event_type).validate({**event, "data": without})


@pytest.mark.parametrize("event_type", LEAD_EVENT_TYPES)
@pytest.mark.parametrize("field", LEAKS)
def test_p16_other_fields_are_refused_at_every_level(event_type: str, field: str) -> None:
    event = event_of(event_type)
    for wrong in (
        {**event, field: "x"},
        {**event, "data": {**event["data"], field: "x"}},
        {**event, "data": {**event["data"], "candidates": [{"candidateRef": "r" * 22, field: "x"}]}},
    ):
        with pytest.raises(ValidationError):
            validator(event_type).validate(wrong)


@pytest.mark.parametrize("event_type", LEAD_EVENT_TYPES)
def test_the_type_and_its_data_belong_together(event_type: str) -> None:
    other = next(name for name in ("lead.candidates", "lead.withdrawn") if name != event_type)
    with pytest.raises(ValidationError):
        validator(event_type).validate(event_of(other))


@pytest.mark.parametrize("event_type", LEAD_EVENT_TYPES)
def test_an_event_may_bear_its_trace_and_nothing_in_its_place(event_type: str) -> None:
    event = event_of(event_type)
    traced = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    validator(event_type).validate({**event, "traceparent": traced})
    for wrong in (None, "", 5, f"{traced}-x", traced.upper()):
        with pytest.raises(ValidationError, match="traceparent"):
            validator(event_type).validate({**event, "traceparent": wrong})
