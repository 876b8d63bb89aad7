"""The last door: what is about a lead leaves with its constants or not at all (P15)."""

import pytest

from rtcc_bridge.errors import IntegrityError
from rtcc_bridge.publishing.lead_constants import LEAD_CONSTANTS, require_lead_constants

COMPLETE = {"leadId": "x", **LEAD_CONSTANTS}


@pytest.mark.parametrize("event_type", ["lead.candidates", "lead.something_new", "floor.lead", "floor.leads"])
def test_p15_complete_data_passes(event_type: str) -> None:
    require_lead_constants(event_type, COMPLETE)


@pytest.mark.parametrize("name", LEAD_CONSTANTS)
@pytest.mark.parametrize("event_type", ["lead.candidates", "lead.something_new", "floor.lead", "other"])
def test_p15_a_missing_constant_stops_it(event_type: str, name: str) -> None:
    with pytest.raises(IntegrityError, match=name):
        require_lead_constants(event_type, {key: value for key, value in COMPLETE.items() if key != name})


@pytest.mark.parametrize(("name", "value"), [("probableCause", 0), ("corroborationRequired", 1), ("notice", "Guilty.")])
def test_p15_another_value_stops_it_even_one_that_python_takes_for_equal(name: str, value: object) -> None:
    with pytest.raises(IntegrityError, match=name):
        require_lead_constants("lead.candidates", {**COMPLETE, name: value})


def test_an_event_that_is_about_no_lead_needs_none() -> None:
    require_lead_constants("floor.incident", {"incidentId": "INC-1"})


def test_the_constants_cannot_be_changed() -> None:
    with pytest.raises(TypeError, match="does not support item assignment"):
        LEAD_CONSTANTS["probableCause"] = True  # type: ignore[index]
