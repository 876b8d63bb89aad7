"""Brings leads up to what their topic has said: after a restoration the topic knows more than the database.

What was published cannot be taken back, so a sequence number that others have seen is never used for anything else. A
lead that the database knows takes over the newest state that was published. One that it does not know was made after
the backup, and nobody can say any more what it rested on: it is withdrawn with the next number of its own sequence,
and its probe, if that is known, is searched again.
"""

import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import structlog

from rtcc_bridge.audit.entries import SYSTEM, AuditLog
from rtcc_bridge.clock import Clock
from rtcc_bridge.errors import IntegrityError
from rtcc_bridge.leads.events import EVENT_DATA, FLOOR_UPDATE, build, to_wire
from rtcc_bridge.leads.examiners import EXAMINED_IN
from rtcc_bridge.leads.lead import ENDED, Outcome, ReviewState
from rtcc_bridge.publishing.outbox import Outbox, OutgoingEvent
from rtcc_bridge.storage import corroborations, examinations, leads
from rtcc_bridge.storage.corroborations import CorroborationRecord
from rtcc_bridge.storage.engine import Database, Transaction
from rtcc_bridge.storage.leads import LeadRecord

_NOT_KNOWN: Final = "not known after a restoration"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ReadbackReport:
    """taken_over: leads that go on after a newer state; withdrawn: leads that the database did not know."""

    taken_over: int
    withdrawn: int


class PublishedLeads:
    """The newest published state of each lead, collected from records of the lead topics."""

    def __init__(self) -> None:
        self._newest: dict[str, tuple[str, str, Mapping[str, Any]]] = {}

    def add(self, topic: str, value: bytes | None) -> None:
        """Takes one record; what is no lead event of this program is left out, and logged."""
        try:
            event = json.loads(value or b"")
            event_type, data = event["type"], event["data"]
            if event_type not in EVENT_DATA or event_type == FLOOR_UPDATE:
                raise IntegrityError("no event type of a lead")
            checked = to_wire(event_type, build(event_type, data))
        except (ValueError, KeyError, TypeError, IntegrityError) as error:
            _log.warning("a record of the lead topic is no lead event", topic=topic, error=str(error))
            return
        known = self._newest.get(checked["leadId"])
        if known is None or known[2]["sequence"] < checked["sequence"]:
            self._newest[checked["leadId"]] = (topic, event_type, checked)

    def __iter__(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        return ((topic, data) for topic, _, data in self._newest.values())


class LeadReadback:
    """Applies what was published."""

    def __init__(self, database: Database, outbox: Outbox, audit: AuditLog, clock: Clock, exercise_topic: str) -> None:
        self._database = database
        self._outbox = outbox
        self._audit = audit
        self._clock = clock
        self._exercise_topic = exercise_topic

    async def apply(self, published: PublishedLeads) -> ReadbackReport:
        """One transaction for each lead; applying the same again changes nothing. Raises UnavailableError."""
        taken_over = withdrawn = 0
        for topic, data in published:
            async with self._database.write() as tx:
                record = await leads.find(tx, data["leadId"], lock=True)
                if record is None:
                    withdrawn += await self._withdraw(tx, topic, data)
                elif record.sequence < data["sequence"]:
                    await self._take_over(tx, record, data)
                    taken_over += 1
        return ReadbackReport(taken_over, withdrawn)

    async def _take_over(self, tx: Transaction, record: LeadRecord, data: Mapping[str, Any]) -> None:
        """It ends when the topic has said that it does (P18), and nobody examines one that has ended already (P12)."""
        now = self._clock.now()
        acknowledged = data["acknowledgedAt"]
        changed = replace(
            record,
            incident_id=data["incidentId"],
            sequence=data["sequence"],
            result=data["result"],
            review_state=data["reviewState"],
            data=data,
            acknowledged_at=None if acknowledged is None else datetime.fromisoformat(acknowledged),
            acknowledged_by=record.acknowledged_by or (None if acknowledged is None else _NOT_KNOWN),
            expires_at=datetime.fromisoformat(data["expiresAt"]),
            updated_at=now,
        )
        await leads.change(tx, changed)
        if changed.review_state not in EXAMINED_IN:
            await examinations.close_open(tx, record.lead_id, now)
        await self._take_over_outcome(tx, data, now)
        await self._note(tx, data, "taken_over", data["sequence"])

    async def _take_over_outcome(self, tx: Transaction, data: Mapping[str, Any], now: datetime) -> None:
        """A lead whose outcome was published does not expire, though nobody knows the items of evidence any more."""
        published = data["corroboration"]
        known = {one.outcome for one in await corroborations.of_lead(tx, data["leadId"])}
        if published["state"] == Outcome.NONE or published["state"] in known:
            return
        record = CorroborationRecord(
            corroboration_id=secrets.token_urlsafe(16),
            lead_id=data["leadId"],
            outcome=published["state"],
            evidence=[{"kind": kind} for kind in published["evidenceKinds"]],
            investigator=_NOT_KNOWN,
            reported_by=_NOT_KNOWN,
            reported_at=now,
        )
        await corroborations.add(tx, record)

    async def _withdraw(self, tx: Transaction, topic: str, data: Mapping[str, Any]) -> bool:
        if data["reviewState"] in ENDED:
            return False
        sequence = data["sequence"] + 1
        leaf = await self._note(tx, data, "withdrawn", sequence)
        values = {
            **data,
            "sequence": sequence,
            "reviewState": ReviewState.WITHDRAWN.value,
            "candidateCount": 0,
            "candidates": [],
            "withdrawal": {"cause": "no_longer_supported"},
            "auditLeaf": leaf,
        }
        event = OutgoingEvent(
            event_type="lead.withdrawn",
            topic=topic,
            key=data["incidentId"],
            subject=data["leadId"],
            data=to_wire("lead.withdrawn", build("lead.withdrawn", values)),
            on_feed=topic != self._exercise_topic,
        )
        await self._outbox.put(tx, event)
        return True

    async def _note(self, tx: Transaction, data: Mapping[str, Any], outcome: str, sequence: int) -> str:
        return await self._audit.append(
            tx,
            actor=SYSTEM,
            action="lead.read_back",
            subject=data["leadId"],
            outcome=outcome,
            authority={"policyHash": data["policyHash"]},
            details={"incidentId": data["incidentId"], "probeId": data["probeId"], "sequence": sequence},
        )
