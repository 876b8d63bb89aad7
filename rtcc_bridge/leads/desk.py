"""What happens to leads. Each step is one transaction: the lead's state, its audit entry and its event (decision 4).

An exercise's leads go to the exercise topic and never to the floor's feed (P07). Account names, reasons in words, the
person behind a reference and every score stay inside (P16).
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from rtcc_bridge.audit.entries import SYSTEM, AuditLog
from rtcc_bridge.clock import Clock
from rtcc_bridge.errors import NotFoundError, PolicyRefusalError
from rtcc_bridge.leads import lead as rules
from rtcc_bridge.leads import rounds
from rtcc_bridge.leads.candidates import ReferencedCandidate, alive_candidates
from rtcc_bridge.leads.events import FLOOR_UPDATE, build, for_the_floor, to_wire
from rtcc_bridge.leads.examiners import require_examiner
from rtcc_bridge.leads.gates import require_in_time, require_no_say_in, require_still_grounded
from rtcc_bridge.leads.lead import LIVE_STATES, Lead, LeadApproval, LeadResult, ReviewState
from rtcc_bridge.leads.parts import (
    GALLERY_REMOVAL,
    SearchOutcome,
    approval_part,
    latency_of,
    lead_of,
    published_cause,
    quality_part,
    search_part,
)
from rtcc_bridge.leads.reminders import remind_due
from rtcc_bridge.matching.types import Lane
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.policy.accounts import Account, same_person
from rtcc_bridge.policy.in_force import PolicyInForce
from rtcc_bridge.policy.permissions import Deed
from rtcc_bridge.policy.rules import require_certified
from rtcc_bridge.probes.refusals import RefusalLog
from rtcc_bridge.publishing.outbox import Latency, Outbox, OutgoingEvent
from rtcc_bridge.settings import LeadSettings
from rtcc_bridge.storage import examinations, galleries, leads
from rtcc_bridge.storage.engine import Database, Transaction, on_commit
from rtcc_bridge.storage.leads import LeadRecord
from rtcc_bridge.storage.objects import ObjectVault, SealedObject
from rtcc_bridge.storage.probes import ProbeRecord
from rtcc_bridge.telemetry.tracing import Facts, within
from rtcc_bridge.telemetry.work import is_about, taken_up
from rtcc_bridge.topic_settings import TopicSettings

_EXPIRED_AT_ONCE: Final = 100
_ENDED: Final[Mapping[str, Any]] = {"candidateCount": 0, "candidates": []}


class LeadDesk:
    """Records leads and everything that happens to them."""

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        audit: AuditLog,
        vault: ObjectVault,
        topics: TopicSettings,
        settings: LeadSettings,
        metrics: Metrics,
        clock: Clock,
        policy_in_force: PolicyInForce,
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._audit = audit
        self._vault = vault
        self._topics = topics
        self._lifetime = timedelta(hours=settings.expires_after_hours)
        self._metrics = metrics
        self._clock = clock
        self._policy_in_force = policy_in_force
        self._refusals = RefusalLog(database, audit, metrics)

    async def record_search(
        self, tx: Transaction, probe: ProbeRecord, outcome: SearchOutcome, sealed_candidates: SealedObject | None
    ) -> LeadRecord:
        """Records what a search returned, as `lead.candidates` or `lead.no_candidate`; once for each probe.

        Persons who were removed since the search are left out (P25). Takes the sealed list into the transaction when
        the lead refers to it: when the returned lead's `candidates_object` is another, the caller discards the object.
        Raises ConflictError when the probe has no authority for a search.
        """
        await leads.hold_probe(tx, probe.probe_id)
        if (existing := await leads.of_probe(tx, probe.probe_id)) is not None:
            return existing
        approval = approval_part(probe)
        alive_ids = await galleries.alive_image_ids(tx, outcome.candidates.image_ids)
        alive = alive_candidates(outcome.candidates, alive_ids, outcome.facts.threshold)
        result = LeadResult.CANDIDATES if alive else LeadResult.NO_CANDIDATE
        kept = sealed_candidates if alive else None
        if kept is not None:
            await self._vault.record(tx, kept)
        search = search_part(outcome.facts)
        values = {"approval": approval, "search": search, "probeQuality": quality_part(outcome.quality)}
        record = await self._open(tx, probe, result, alive, kept, values)
        counter = self._metrics.searches_total.labels(probe.purpose, result.value)
        on_commit(tx, counter.inc)
        return record

    async def record_rejected_quality(
        self, tx: Transaction, probe: ProbeRecord, sentences: Sequence[str], quality: Mapping[str, Any] | None
    ) -> LeadRecord:
        """Records that the probe is too poor, or damaged, to be searched, as `lead.rejected_quality`; once for each.

        sentences: why, in plain words. quality: that of the face as `ProbeRecord.faces` holds it, if one can be judged.
        """
        await leads.hold_probe(tx, probe.probe_id)
        if (existing := await leads.of_probe(tx, probe.probe_id)) is not None:
            return existing
        described = {**quality_part(quality or {}), "sentences": list(sentences)}
        values = {"approval": None, "search": None, "probeQuality": described}
        return await self._open(tx, probe, LeadResult.REJECTED_QUALITY, (), None, values)

    async def acknowledge(self, lead_id: str, account: Account) -> LeadRecord:
        """The account takes responsibility for the lead; once more by the same account changes nothing. Commits.

        Its list is then the account's to examine. On the imminent lane the peer review opens in the same transaction,
        so that both have the list from the same moment and work in parallel (P12).

        Raises PolicyRefusalError (P10, without certificates too; P02, P07, P08, P09: its incident does not permit the
        search any more; P11: the requestor's own, or the approver's; P14, P18: its time is over), NotFoundError, and
        ConflictError when the lead has ended or somebody else has taken it.
        """
        action = "lead.acknowledge"
        async with self._refusals.watching(actor=account.name, action=action, subject=lead_id, authority={}):
            require_examiner(account, Deed.ACKNOWLEDGE_LEAD)
            async with self._database.write() as tx:
                record = await leads.find(tx, lead_id, lock=True)
                if record is None:
                    raise NotFoundError(f"There is no lead {lead_id}.")
                about: Facts = {"lead_id": lead_id, "probe_id": record.probe_id, "incident_id": record.incident_id}
                with taken_up(action, record.traceparent, **about):
                    return await self._acknowledge(tx, record, account)

    async def open_review(self, tx: Transaction, record: LeadRecord, actor: str) -> LeadRecord:
        """Opens the peer review of a lead that the caller has locked, as `lead.in_review`. Raises ConflictError.

        Neither the event nor its audit entry says anything of what the first examiner thinks (P12).
        """
        record = await self.step(tx, record, rules.open_review(lead_of(record)), "lead.in_review", actor, {})
        await rounds.open_blind(tx, record, rounds.PEER, self._clock.now())
        return record

    async def withdraw_for_incident(self, tx: Transaction, incident_id: str, reason: str, actor: str) -> int:
        """Withdraws the live leads of the incident, and of stills attached to it, as its authority has ended (P08).

        Returns how many.
        Withdraw the incident's probes first in the same transaction, so that no search adds a lead in between.
        """
        found = await leads.of_incident(tx, incident_id, LIVE_STATES)
        return await self.withdraw_all(tx, found, "authority_ended", reason, actor)

    async def withdraw_for_subject(self, tx: Transaction, subject_id: int, reason: str, actor: str) -> int:
        """Withdraws the live leads that list a person who is removed from the gallery (P25). Returns how many.

        Remove the person first in the same transaction, so that no search adds a lead in between.
        """
        found = await leads.with_subject(tx, subject_id, LIVE_STATES)
        return await self.withdraw_all(tx, found, GALLERY_REMOVAL, reason, actor)

    async def withdraw_for_probe(self, tx: Transaction, probe_id: str, reason: str, actor: str) -> int:
        """Withdraws the probe's live lead, since its incident does not permit the search any more. Returns how many.

        As above, withdraw the probe first.
        """
        record = await leads.of_probe(tx, probe_id, lock=True)
        found = [record] if record is not None and lead_of(record).is_live else []
        return await self.withdraw_all(tx, found, "authority_ended", reason, actor)

    async def approval_granted(self, tx: Transaction, probe: ProbeRecord) -> None:
        """Notes the approval that was deferred (P14) in the probe's lead, if there is one that still waits for it.

        The lead topic has no event type for it: the floor's feed gets an update, and every later event of the lead
        carries `approval.state: granted`. A consumer that needs the moment hears of the other outcome, the lapse, as
        `lead.approval_lapsed`.
        """
        record = await leads.of_probe(tx, probe.probe_id, lock=True)
        if record is None or lead_of(record).approval is not LeadApproval.PENDING or not lead_of(record).is_live:
            return
        after = rules.grant_approval(lead_of(record))
        await self._require_approver_examines_nothing(tx, record, probe)
        await self.restate(tx, record, {"approval": {"state": after.approval.value}})

    async def approval_lapsed(self, tx: Transaction, probe: ProbeRecord) -> None:
        """Withdraws the probe's lead, since the deferred approval did not come in time (P14), if it is still live."""
        record = await leads.of_probe(tx, probe.probe_id, lock=True)
        if record is None or not lead_of(record).is_live:
            return
        after = rules.lapse_approval(lead_of(record))
        fields = {**_ENDED, "withdrawal": {"cause": "approval_lapsed"}}
        await self.step(tx, record, after, "lead.approval_lapsed", SYSTEM, fields)

    async def approval_refused(self, tx: Transaction, probe: ProbeRecord, reason: str, actor: str) -> None:
        """Withdraws the probe's lead, since the supervisor refused the approval that was deferred, if it is live."""
        record = await leads.of_probe(tx, probe.probe_id, lock=True)
        if record is not None and lead_of(record).is_live:
            await self.withdraw_all(tx, [record], "approval_refused", reason, actor)

    async def follow_merge(self, tx: Transaction, incident_id: str, into: str) -> int:
        """Lets the live leads of an incident, and of stills attached to it, follow its merge (P08). Returns how many.

        into: the incident itself when a merge was taken back. Their next events carry the new incident id, and are
        keyed by it.
        """
        found = [lead for lead in await leads.of_incident(tx, incident_id, LIVE_STATES) if lead.incident_id != into]
        for record in found:
            await self.restate(tx, replace(record, incident_id=into), {"incidentId": into})
        return len(found)

    async def expire_due(self) -> int:
        """Expires the leads whose time is over (P18), in transactions of at most 100. Commits. Returns how many."""
        expired = 0
        while True:
            async with self._database.write() as tx:
                found = await leads.due(tx, self._clock.now(), LIVE_STATES, _EXPIRED_AT_ONCE)
                for record in found:
                    await self._expire(tx, record)
            expired += len(found)
            if len(found) < _EXPIRED_AT_ONCE:
                return expired

    async def remind_due(self, hours_before: Sequence[int]) -> int:
        """Asks for the outcomes of released leads that end so soon (P18). Commits. Returns for how many."""
        return await remind_due(self._database, self._audit, self._clock, hours_before)

    async def extend(self, tx: Transaction, record: LeadRecord, until: datetime) -> LeadRecord:
        """Gives a lead that the caller has locked more time; the caller audits who wanted it and why."""
        return await self.restate(tx, replace(record, expires_at=until), {"expiresAt": until})

    async def _expire(self, tx: Transaction, record: LeadRecord) -> None:
        """One that was released to somebody who has not said what came of it is entered and counted as such."""
        unanswered = record.review_state == ReviewState.RELEASED and record.result == LeadResult.CANDIDATES
        details = {"unanswered": True} if unanswered else {}
        await self.step(tx, record, rules.expire(lead_of(record)), "lead.expired", SYSTEM, _ENDED, details)
        if unanswered:
            on_commit(tx, self._metrics.leads_unanswered_total.labels(record.lane).inc)

    async def _acknowledge(self, tx: Transaction, record: LeadRecord, account: Account) -> LeadRecord:
        before, person = lead_of(record), account.person
        after = rules.acknowledge(before, person)
        if after == before:
            return record
        now, created_at = self._clock.now(), record.created_at
        policy = self._policy_in_force.current
        require_certified(account, policy, now)
        require_in_time(record, now)
        require_no_say_in(account, await require_still_grounded(tx, record, policy, now))
        taken = replace(record, acknowledged_by=person, acknowledged_at=now)
        fields = {"acknowledgedAt": now}
        record = await self.step(tx, taken, after, "lead.acknowledged", account.name, fields)
        timer = self._metrics.time_to_acknowledge_seconds.labels(record.lane)
        on_commit(tx, lambda: timer.observe((now - created_at).total_seconds()))
        if after.result is not LeadResult.CANDIDATES:
            return record
        await rounds.open_first(tx, record, person, now)
        return await self.open_review(tx, record, account.name) if record.lane == Lane.IMMINENT else record

    async def _require_approver_examines_nothing(self, tx: Transaction, record: LeadRecord, probe: ProbeRecord) -> None:
        """P11: a deferred approval may come when the lead is being examined, and not from an examiner of it."""
        for one in await examinations.of_lead(tx, record.lead_id):
            if (
                one.examiner is not None
                and probe.approved_by is not None
                and same_person(one.examiner, probe.approved_by)
            ):
                raise PolicyRefusalError(
                    "P11", "You examine this lead: another supervisor has to decide on its search."
                )

    async def _open(
        self,
        tx: Transaction,
        probe: ProbeRecord,
        result: LeadResult,
        candidates: Sequence[ReferencedCandidate],
        sealed: SealedObject | None,
        values: Mapping[str, Any],
    ) -> LeadRecord:
        """Adds the lead with its first event."""
        now = self._clock.now()
        record = LeadRecord(
            lead_id=secrets.token_urlsafe(16),
            probe_id=probe.probe_id,
            incident_id=probe.incident_id,
            exercise=probe.exercise,
            lane=probe.lane,
            sequence=0,
            result=result.value,
            review_state=ReviewState.UNREVIEWED.value,
            data={},
            candidates_object=None if sealed is None else sealed.object_key,
            acknowledged_by=None,
            acknowledged_at=None,
            expires_at=now + self._lifetime,
            created_at=now,
            updated_at=now,
            traceparent=within(probe.traceparent),
        )
        is_about(lead_id=record.lead_id)
        references = [{"candidateRef": referenced.candidate_ref} for referenced in candidates]
        fields = {
            **values,
            "candidateCount": len(references),
            "candidates": references,
            "policyHash": probe.policy_hash,
            "expiresAt": record.expires_at,
        }
        event_type = f"lead.{result.value}"
        record = await self._decide(tx, record, event_type, probe.analyst, fields, {"purpose": probe.purpose})
        await leads.add(tx, record, [(item.candidate_ref, item.candidate.subject_id) for item in candidates])
        await self._send(tx, record, event_type, latency_of(probe))
        return record

    async def step(
        self,
        tx: Transaction,
        record: LeadRecord,
        after: Lead,
        event_type: str,
        actor: str,
        fields: Mapping[str, Any],
        details: Mapping[str, Any] | None = None,
    ) -> LeadRecord:
        """Brings a lead that the caller has locked to its next state, with the next event and its audit entry.

        What was still to be examined of a lead that needs it no longer is closed.
        """
        moved = replace(record, review_state=after.review_state.value, result=after.result.value)
        moved = await self._decide(tx, moved, event_type, actor, fields, details or {})
        await leads.change(tx, moved)
        if after.review_state not in {ReviewState.UNREVIEWED, ReviewState.IN_REVIEW}:
            await examinations.close_open(tx, record.lead_id, self._clock.now())
        await self._send(tx, moved, event_type, None)
        return moved

    async def restate(self, tx: Transaction, record: LeadRecord, changes: Mapping[str, Any]) -> LeadRecord:
        """Writes what has changed in a lead that the caller has locked, without an event on its topic.

        For what the topic has no event type for: the floor's feed gets an update, and every later event carries it.
        """
        values = {**record.data, **changes}
        shown = to_wire(FLOOR_UPDATE, build(FLOOR_UPDATE, for_the_floor(values)))
        restated = replace(record, data={**shown, "candidates": values["candidates"]}, updated_at=self._clock.now())
        await leads.change(tx, restated)
        await self._update_board(tx, restated)
        return restated

    async def _decide(
        self,
        tx: Transaction,
        record: LeadRecord,
        event_type: str,
        actor: str,
        fields: Mapping[str, Any],
        details: Mapping[str, Any],
    ) -> LeadRecord:
        """The record with the next sequence number, and with data that cites the audit entry of this very step."""
        values = {
            **record.data,
            **fields,
            "leadId": record.lead_id,
            "probeId": record.probe_id,
            "incidentId": record.incident_id,
            "sequence": record.sequence + 1,
            "result": record.result,
            "reviewState": record.review_state,
        }
        approval = values["approval"] or {"state": LeadApproval.NOT_NEEDED.value}
        leaf = await self._audit.append(
            tx,
            actor=actor,
            action=event_type,
            subject=record.lead_id,
            outcome=record.review_state,
            authority={"policyHash": values["policyHash"], "approval": approval["state"], "lane": record.lane},
            details={
                "incidentId": record.incident_id,
                "probeId": record.probe_id,
                "sequence": record.sequence + 1,
                "result": record.result,
                "candidateCount": values["candidateCount"],
                "search": values["search"],
                **details,
            },
        )
        data = to_wire(event_type, build(event_type, {**values, "auditLeaf": leaf}))
        return replace(record, sequence=record.sequence + 1, data=data, updated_at=self._clock.now())

    async def _send(self, tx: Transaction, record: LeadRecord, event_type: str, latency: Latency | None) -> None:
        """A lead that was released says more on its topic than the floor's feed may, which gets an update instead."""
        has_conclusions = for_the_floor(record.data) != record.data
        event = OutgoingEvent(
            event_type=event_type,
            topic=self._topics.leads_exercise if record.exercise else self._topics.leads,
            key=record.incident_id,
            subject=record.lead_id,
            data=record.data,
            on_feed=not (record.exercise or has_conclusions),
            latency=latency,
            traceparent=within(record.traceparent),
        )
        await self._outbox.put(tx, event)
        if has_conclusions:
            await self._update_board(tx, record)
        on_commit(tx, self._metrics.leads_total.labels(event_type.removeprefix("lead.")).inc)

    async def _update_board(self, tx: Transaction, record: LeadRecord) -> None:
        if record.exercise:
            return
        event = OutgoingEvent(
            event_type=FLOOR_UPDATE,
            topic=None,
            key=record.incident_id,
            subject=record.lead_id,
            data=for_the_floor(record.data),
            on_feed=True,
            traceparent=within(record.traceparent),
        )
        await self._outbox.put(tx, event)

    async def withdraw_all(
        self, tx: Transaction, found: Sequence[LeadRecord], cause: str, reason: str, actor: str
    ) -> int:
        """Withdraws leads that the caller has locked. Returns how many.

        `cause` is what the audit log keeps; what is published of it says nothing about the gallery.
        """
        for record in found:
            after = rules.withdraw(lead_of(record))
            fields = {**_ENDED, "withdrawal": {"cause": published_cause(cause)}}
            details = {"cause": cause, "reason": reason}
            await self.step(tx, record, after, "lead.withdrawn", actor, fields, details)
        return len(found)
