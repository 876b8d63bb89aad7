"""The published schemas of what is no lead, against events that the code makes and takes."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

from rtcc_bridge.gallery.head import put_head_notice
from rtcc_bridge.probes.search_request import search_request
from rtcc_bridge.probes.search_token import token_for
from rtcc_bridge.publishing.outbox import Outbox
from rtcc_bridge.storage import outbox
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.topic_schemas import HEAD_DATA, INCIDENT_DATA, SEARCH_DATA, THREAT_DATA, topic_data_schemas
from rtcc_bridge.topic_settings import TopicSettings
from tests.doubles import ManualClock
from tests.lead_parts import probe_record
from tests.probe_kit import authority_keys, policy

SCHEMAS = topic_data_schemas()
TOPICS = TopicSettings()
MOMENT = "2026-11-23T12:00:00Z"
INFO = {"category": ["Safety"], "event": "x", "urgency": "Immediate", "severity": "Extreme", "certainty": "Observed"}


def validate(name: str, data: Any) -> None:
    Draft202012Validator(SCHEMAS[name]).validate(data)


@pytest.mark.parametrize("name", SCHEMAS)
def test_each_is_a_schema_with_a_name_of_its_own(name: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[name])
    assert SCHEMAS[name]["$id"].endswith(f":{name}")


async def test_the_notice_of_a_head_is_as_described(database: Database, clock: ManualClock) -> None:
    async with database.write() as tx:
        await put_head_notice(tx, Outbox(clock), TOPICS.gallery, "demo", 1)
    async with database.read() as tx:
        (notice,) = await outbox.unpublished(tx, TOPICS.gallery, 10)
    validate(HEAD_DATA, notice.event["data"])


def test_a_search_request_is_as_described(clock: ManualClock) -> None:
    probe = probe_record(clock.now())
    token = token_for(probe, authority_keys().require_signer(), policy(), clock.now())
    validate(SEARCH_DATA, search_request(probe, TOPICS, token).data)


def test_incoming_data_needs_its_id_and_its_time_and_may_carry_more() -> None:
    data = {"incidentId": "INC-1", "lastUpdateTimeStamp": MOMENT, "siteField": 1}
    validate(INCIDENT_DATA, data)
    for needed in ("incidentId", "lastUpdateTimeStamp"):
        with pytest.raises(ValidationError):
            validate(INCIDENT_DATA, {name: value for name, value in data.items() if name != needed})


def test_a_code_that_cap_does_not_have_is_refused() -> None:
    threat = {"identifier": "a", "sender": "s", "sent": MOMENT, "status": "Actual", "msgType": "Alert"}
    validate(THREAT_DATA, {**threat, "info": [INFO]})
    with pytest.raises(ValidationError):
        validate(THREAT_DATA, {**threat, "info": [{**INFO, "urgency": "Soon"}]})
