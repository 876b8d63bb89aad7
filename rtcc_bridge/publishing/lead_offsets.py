"""Where a lead's event lies on its topic, as far as it matters to who has read it (P19)."""

from datetime import datetime
from typing import Final

from rtcc_bridge.broker.client import RecordPlace
from rtcc_bridge.storage.lead_event_offsets import LeadEventOffset
from rtcc_bridge.storage.outbox import OutboxRecord

ENDING_EVENTS: Final = frozenset({"lead.withdrawn", "lead.expired", "lead.approval_lapsed"})
"""Whoever has read one of these knows that nobody may use the lead any more."""


def lead_event_offset(record: OutboxRecord, place: RecordPlace, at: datetime) -> LeadEventOffset | None:
    """None for what is no event of a lead, and where the broker does not tell the offset."""
    if record.topic is None or not record.event_type.startswith("lead.") or place.offset is None:
        return None
    return LeadEventOffset(
        event_id=record.event_id,
        lead_id=record.event["data"]["leadId"],
        topic=record.topic,
        partition=place.partition,
        offset=place.offset,
        ends=record.event_type in ENDING_EVENTS,
        published_at=at,
    )
