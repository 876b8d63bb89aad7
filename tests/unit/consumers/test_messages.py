"""The wire models and the translation of types and codes."""

from datetime import UTC, datetime
from typing import Any

import pytest

from rtcc_bridge.cloud_event import CloudEvent
from rtcc_bridge.consumers.incidents import to_incident_event
from rtcc_bridge.consumers.messages import IncidentMessage, ThreatMessage, referenced_identifiers, validated
from rtcc_bridge.consumers.threats import to_threat_event
from rtcc_bridge.errors import InvalidInputError
from rtcc_bridge.incidents.threat import MessageType
from rtcc_bridge.simulate import incident_data, threat_data

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
INCIDENT = incident_data("I-1", "SHOOT", 1, NOON, location="Elm St")
THREAT = threat_data("T-1", "Active shooter", NOON, incident_ids=("I-1",))


def incident_event(event_type: str = "rtcc.incident.reported", **changes: Any) -> CloudEvent:
    return CloudEvent(id="1", source="urn:cad", type=event_type, data={**INCIDENT, **changes})


def threat_event(event_type: str = "rtcc.threat.alert", **changes: Any) -> CloudEvent:
    return CloudEvent(id="1", source="urn:alerts", type=event_type, data={**THREAT, **changes})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("incidentId", None),
        ("incidentId", ""),
        ("incidentId", "x" * 257),
        ("incidentId", 5),
        ("lastUpdateTimeStamp", None),
        ("lastUpdateTimeStamp", "2026-11-23T12:00:00"),
        ("lastUpdateTimeStamp", 1_700_000_000),
        ("incidentCommonPriorityNumber", 11),
        ("incidentCommonPriorityNumber", -1),
        ("incidentCommonPriorityNumber", "1"),
        ("incidentCommonPriorityNumber", True),
        ("incidentTypeCommonRegistryText", "no spaces"),
        ("incidentTypeCommonRegistryText", "x" * 65),
        ("location", "Elm St"),
        ("location", {"lat": 91.0}),
        ("location", {"text": "x" * 2049}),
        ("openedAt", "today"),
        ("exercise", "yes"),
        ("notes", "text"),
        ("notes", [0] * 1001),
    ],
)
def test_a_wrong_field_of_an_incident_is_named_and_its_value_is_not(field: str, value: Any) -> None:
    with pytest.raises(InvalidInputError, match=field) as raised:
        validated(IncidentMessage, {**INCIDENT, field: value})
    assert raised.value.reason == "invalid_fields"
    assert "no spaces" not in str(raised.value)
    assert "today" not in str(raised.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("identifier", "has space"),
        ("identifier", "a,b"),
        ("identifier", "x" * 241),
        ("sender", ""),
        ("sent", "now"),
        ("status", "actual"),
        ("msgType", "Ack"),
        ("references", [5]),
        ("incidents", {"a": 1}),
        ("info", "text"),
        ("info", {**THREAT["info"], "category": []}),
        ("info", {**THREAT["info"], "category": ["Crime"]}),
        ("info", {**THREAT["info"], "urgency": "Now"}),
        ("info", {**THREAT["info"], "severity": "High"}),
        ("info", {**THREAT["info"], "certainty": "Sure"}),
        ("info", {**THREAT["info"], "event": None}),
        ("info", {**THREAT["info"], "expires": "never"}),
        ("info", {**THREAT["info"], "area": 5}),
        ("info", {**THREAT["info"], "area": {"areaDesc": "x" * 2049}}),
        ("info", {**THREAT["info"], "area": ["Elm St"] * 101}),
    ],
)
def test_a_wrong_field_of_a_threat_is_named(field: str, value: Any) -> None:
    with pytest.raises(InvalidInputError, match=field):
        validated(ThreatMessage, {**THREAT, field: value})


@pytest.mark.parametrize("data", [None, [], "text", 5])
def test_data_has_to_be_an_object(data: Any) -> None:
    with pytest.raises(InvalidInputError, match="object"):
        validated(IncidentMessage, data)


def test_many_problems_are_counted() -> None:
    wrong = dict.fromkeys(("identifier", "sender", "sent", "status", "msgType", "info", "references"), 5)
    with pytest.raises(InvalidInputError, match="and 2 more"):
        validated(ThreatMessage, wrong)


def test_a_sites_own_types_and_codes_are_translated() -> None:
    event = incident_event("cad.call.changed", incidentStatusCommonRegistryText="EN ROUTE")
    read = to_incident_event(event, {"cad.call.changed": "rtcc.incident.updated"}, {"EN ROUTE": "open"})
    assert read.fields["incidentStatusCommonRegistryText"] == "open"
    alert = to_threat_event(threat_event("capcode.new"), {"capcode.new": "rtcc.threat.alert"})
    assert alert.message_type is MessageType.ALERT


def test_unknown_types_and_codes_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="type_mapping") as unknown_type:
        to_incident_event(incident_event("cad.call.changed"), {}, {})
    with pytest.raises(InvalidInputError, match="incident_status_mapping") as unknown_status:
        to_incident_event(incident_event(incidentStatusCommonRegistryText="EN ROUTE"), {}, {})
    with pytest.raises(InvalidInputError, match="type_mapping"):
        to_threat_event(threat_event("rtcc.incident.reported"), {})
    assert (unknown_type.value.reason, unknown_status.value.reason) == ("unknown_type", "unknown_status")


def test_unknown_fields_are_kept_and_known_ones_are_written_in_one_form() -> None:
    event = incident_event(openedAt="2026-11-23T14:00:00+02:00", incidentTypeCommonRegistryText=" shoot ", extra=[1])
    fields = to_incident_event(event, {}, {}).fields
    assert fields["extra"] == [1]
    assert fields["openedAt"] == "2026-11-23T12:00:00Z"
    assert fields["incidentTypeCommonRegistryText"] == "SHOOT"


def test_where_type_and_message_type_disagree_the_one_that_ends_more_counts() -> None:
    assert to_threat_event(threat_event("rtcc.threat.cancel"), {}).message_type is MessageType.CANCEL
    assert to_threat_event(threat_event(msgType="Cancel"), {}).message_type is MessageType.CANCEL


def test_an_alert_has_to_say_what_it_is_about_and_a_cancel_need_not() -> None:
    with pytest.raises(InvalidInputError, match="info"):
        to_threat_event(threat_event(info=None), {})
    assert to_threat_event(threat_event("rtcc.threat.cancel", info=None, msgType="Cancel"), {}).infos == ()


def test_a_message_cannot_speak_about_itself() -> None:
    with pytest.raises(InvalidInputError, match="itself"):
        to_threat_event(threat_event(references=["T-1"]), {})


def test_lists_may_be_written_as_in_cap() -> None:
    event = to_threat_event(threat_event(references="a b", incidents="I-1 I-2 I-1"), {})
    assert event.references == ("a", "b")
    assert event.incident_ids == ("I-1", "I-2")


def test_references_begin_with_the_earliest_message() -> None:
    late, early = "s,late,2026-01-02T00:00:00Z", "s,early,2026-01-01T00:00:00Z"
    assert referenced_identifiers([late, early]) == ("early", "late")
    assert referenced_identifiers(["b", early]) == ("b", "early")
    for wrong in ("a,b", "a,,2026-01-01T00:00:00Z", "a,b,yesterday", "x" * 241):
        with pytest.raises(InvalidInputError, match="references"):
            referenced_identifiers([wrong])


@pytest.mark.parametrize(
    "area", [None, "Elm St", {"areaDesc": "Elm St", "circle": "41.1,-96.0 1"}, ["Elm St", {"areaDesc": "Oak St"}]]
)
def test_the_area_of_a_threat_may_be_text_or_what_cap_says_and_is_kept(area: Any) -> None:
    info = {**THREAT["info"], "area": area}
    assert to_threat_event(threat_event(info=info), {}).data["info"]["area"] == area
    (checked,) = validated(ThreatMessage, {**THREAT, "info": info}).info
    expected = area if isinstance(area, list) else [] if area is None else [area]
    assert [part if isinstance(part, str) else part.description for part in checked.area] == [
        part if isinstance(part, str) else part["areaDesc"] for part in expected
    ]
