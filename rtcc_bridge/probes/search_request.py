"""The request that sends a probe with authority to the matchers."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from rtcc_bridge.cloud_event import CloudEvent, rfc3339
from rtcc_bridge.errors import InvalidInputError
from rtcc_bridge.matching.types import Lane
from rtcc_bridge.publishing.outbox import OutgoingEvent
from rtcc_bridge.storage.probes import ProbeRecord
from rtcc_bridge.telemetry.tracing import within
from rtcc_bridge.topic_settings import TopicSettings

SEARCH_EVENT_TYPE: Final = "rtcc-bridge.probe.search"
_LONGEST_ID: Final = 64


def search_request(probe: ProbeRecord, topics: TopicSettings, token: Mapping[str, Any]) -> OutgoingEvent:
    """The event for a probe that has authority. Its key spreads a busy incident's probes over the matchers.

    token: see `search_token.token_for`.
    """
    imminent = probe.lane == Lane.IMMINENT
    data: dict[str, Any] = {"probeId": probe.probe_id, "lane": probe.lane, "authority": dict(token)}
    if probe.authority_at is not None:
        data["authorityAt"] = rfc3339(probe.authority_at)
    return OutgoingEvent(
        event_type=SEARCH_EVENT_TYPE,
        topic=topics.probes_imminent if imminent else topics.probes_routine,
        key=probe.probe_id,
        subject=probe.probe_id,
        data=data,
        on_feed=False,
        urgent=imminent,
        traceparent=within(probe.traceparent),
    )


def requested_now(now: datetime, earlier_requests: int) -> dict[str, Any]:
    """The columns of a probe that is being requested."""
    return {"requested_at": now, "requests": earlier_requests + 1}


@dataclass(frozen=True, slots=True)
class SearchOrder:
    """What a matcher reads out of a request: everything else it takes from the database. token: not checked yet."""

    probe_id: str
    token: object


def parse_search_request(event: CloudEvent) -> SearchOrder:
    """Raises InvalidInputError for what is no search request."""
    if event.type != SEARCH_EVENT_TYPE:
        raise InvalidInputError(f"{event.type!r} is no search request: {SEARCH_EVENT_TYPE} is expected", "type")
    probe_id = event.data.get("probeId") if isinstance(event.data, dict) else None
    if not isinstance(probe_id, str) or not 0 < len(probe_id) <= _LONGEST_ID:
        raise InvalidInputError("a search request has to name its probe in data.probeId", "fields")
    return SearchOrder(probe_id, event.data.get("authority"))
