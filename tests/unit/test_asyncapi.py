"""The AsyncAPI document against the code that it describes.

AsyncAPI's own JSON Schema is no dependency here: structure and references are checked by hand, payloads by examples.
"""

from typing import Any

import pytest
from jsonschema import Draft7Validator, ValidationError

from rtcc_bridge.asyncapi import asyncapi_document
from rtcc_bridge.broker.topics import topic_names
from rtcc_bridge.consumers import incidents, threats
from rtcc_bridge.gallery.head import HEAD_MOVED
from rtcc_bridge.leads.schemas import LEAD_EVENT_TYPES
from rtcc_bridge.probes.search_request import SEARCH_EVENT_TYPE
from rtcc_bridge.settings import Settings
from tests.unit.leads.event_examples import EXAMPLES, event_of

SETTINGS = Settings()
DOCUMENT = asyncapi_document(SETTINGS)


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [found for part in value.values() for found in references(part)]
    if isinstance(value, list):
        return [found for part in value for found in references(part)]
    return []


def resolve(reference: str) -> Any:
    found: Any = DOCUMENT
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def test_every_topic_has_a_channel() -> None:
    addresses = [channel["address"] for channel in DOCUMENT["channels"].values()]
    assert sorted(addresses) == sorted(topic_names(SETTINGS.kafka))


def test_it_follows_the_names_in_the_settings() -> None:
    named = Settings.model_validate({"kafka": {"topics": {"leads": "city.leads"}}})
    assert asyncapi_document(named)["channels"]["leads"]["address"] == "city.leads"


def test_every_reference_leads_somewhere() -> None:
    found = references(DOCUMENT)
    assert len(found) > 20
    for reference in found:
        assert resolve(reference)


def test_operations_use_the_verbs_of_version_3_on_known_channels() -> None:
    assert DOCUMENT["asyncapi"].startswith("3.")
    for operation in DOCUMENT["operations"].values():
        assert operation["action"] in {"send", "receive"}
        assert resolve(operation["channel"]["$ref"]) in DOCUMENT["channels"].values()


def test_channels_hold_the_event_types_that_the_code_knows() -> None:
    channels = DOCUMENT["channels"]
    assert set(channels["leads"]["messages"]) == set(LEAD_EVENT_TYPES)
    assert set(channels["leadsExercise"]["messages"]) == set(LEAD_EVENT_TYPES)
    assert set(channels["incidents"]["messages"]) == set(incidents.TYPES)
    assert set(channels["threats"]["messages"]) == set(threats.TYPES)
    assert set(channels["probesImminent"]["messages"]) == {SEARCH_EVENT_TYPE}
    assert set(channels["gallery"]["messages"]) == {HEAD_MOVED}


def test_every_channel_is_sent_to_or_received_from() -> None:
    used = {operation["channel"]["$ref"].rpartition("/")[2] for operation in DOCUMENT["operations"].values()}
    assert used == set(DOCUMENT["channels"])


MESSAGES = DOCUMENT["components"]["messages"]


@pytest.mark.parametrize("name", [name for name, message in MESSAGES.items() if "payload" in message])
def test_every_payload_is_a_schema_of_the_draft_that_asyncapi_builds_on(name: str) -> None:
    payload = MESSAGES[name]["payload"]
    Draft7Validator.check_schema(payload)
    assert payload["properties"]["type"]["const"] == name
    assert "$defs" not in str(payload)


@pytest.mark.parametrize("event_type", LEAD_EVENT_TYPES)
def test_p15_a_lead_validates_and_one_without_a_constant_does_not(event_type: str) -> None:
    validator = Draft7Validator(MESSAGES[event_type]["payload"])
    event = event_of(event_type)
    validator.validate(event)
    with pytest.raises(ValidationError):
        validator.validate({**event, "data": {**event["data"], "probableCause": True}})


def test_incoming_data_may_carry_more_than_is_named() -> None:
    validator = Draft7Validator(MESSAGES["rtcc.incident.reported"]["payload"])
    data = {"incidentId": "INC-1", "lastUpdateTimeStamp": "2026-11-23T12:00:00Z", "siteField": 1}
    event = {"specversion": "1.0", "id": "1", "source": "urn:cad", "type": "rtcc.incident.reported", "data": data}
    validator.validate(event)
    with pytest.raises(ValidationError):
        validator.validate({**event, "data": {"siteField": 1}})


def test_the_examples_cover_the_lead_topic() -> None:
    assert set(LEAD_EVENT_TYPES) <= set(EXAMPLES)
