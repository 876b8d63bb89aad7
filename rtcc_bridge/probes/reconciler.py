"""What has to happen although nobody asks: lost searches, lapsed approvals, leads whose grounds have ended."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final, NoReturn

import structlog

from rtcc_bridge.audit.entries import SYSTEM
from rtcc_bridge.errors import ConflictError, NotFoundError, PolicyRefusalError
from rtcc_bridge.leads.lead import LIVE_STATES
from rtcc_bridge.periodic import periodically
from rtcc_bridge.policy.rules import AUTHORITY_ENDED, IncidentFacts, approval_span
from rtcc_bridge.probes.approval import ApprovalDesk
from rtcc_bridge.probes.authority import authority_of, end_of
from rtcc_bridge.probes.parts import ProbeParts
from rtcc_bridge.probes.provisional import ProvisionalDesk
from rtcc_bridge.probes.search_gate import is_overdue, reason_to_suspend
from rtcc_bridge.probes.search_token import require_kept_authority
from rtcc_bridge.probes.state import DECIDABLE, Approval, ProbeState
from rtcc_bridge.probes.steps import request_search
from rtcc_bridge.settings import LeadSettings
from rtcc_bridge.storage import incidents, leads, probes
from rtcc_bridge.storage.engine import Transaction, on_commit
from rtcc_bridge.storage.locks import UNCONTESTED, SoleRight, Work, alone
from rtcc_bridge.storage.probes import ProbeRecord
from rtcc_bridge.telemetry.tracing import Facts, Kind
from rtcc_bridge.telemetry.work import log_scope, taken_up

AT_ONCE: Final = 100
"""Probes of one kind that one sweep works on; the others come with the next."""

PAUSE_GROWTH: Final = (1, 2, 4, 8, 16, 32)
"""The pause after the first, second, ... request, in multiples of `reconcile_after_seconds`; the last one stays.

A search is requested as long as its authority lasts (an approval ends after hours, a deferral within one), so there is
no last request; growing pauses keep a probe that breaks its matcher from taking the others' place.
"""

STRANDED_AFTER_REQUESTS: Final = 5
"""With more requests than this and no outcome a probe is counted as stranded: somebody has to look."""

log = structlog.get_logger()


class Reconciler:
    """Sweeps periodically, in one process at a time. Two at once do no harm: a step is taken if nobody was faster."""

    def __init__(self, parts: ProbeParts, settings: LeadSettings, provisional: ProvisionalDesk) -> None:
        self._provisional = provisional
        self._parts = parts
        self._settings = settings
        self._approvals = ApprovalDesk(parts)

    async def run(self) -> NoReturn:
        """Sweeps until cancelled. An outage of the database is waited for; any other error ends it."""
        sweep = partial(alone, self._parts.database, Work.RECONCILER, self.sweep)
        await periodically("reconciling searches", sweep, every_seconds=self._settings.reconcile_every_seconds)

    async def sweep(self, right: SoleRight = UNCONTESTED) -> None:
        """One round. Each probe has a transaction of its own. Raises TransientError, also when the right is lost."""
        await self._provisional.withdraw_overdue()
        await self.withdraw_ended(right)
        await self.lapse_overdue(right)
        await self.suspend_unfounded(right)
        await self.request_unanswered(right)
        await right.confirm()
        await self._parts.leads.expire_due()
        await self._parts.leads.remind_due(self._parts.policy.review.remind_hours_before)

    async def withdraw_ended(self, right: SoleRight = UNCONTESTED) -> int:
        """Withdraws live leads whose incident has ended, or may not have been searched for. Returns how many.

        The incident desk withdraws those of an incident that ends (P08) in the same transaction. This is the net under
        it, for events about one incident that crossed each other before the incident was there to be locked. What
        dispatch calls by a type that is never searched for (P02), or an exercise (P07), only when the search has run,
        ends here.
        """
        withdrawn, after = 0, ""
        while True:
            async with self._parts.database.read() as tx:
                found = await leads.doubtful_incidents(tx, LIVE_STATES, AUTHORITY_ENDED, after, AT_ONCE)
            for after in found:
                await right.confirm()
                async with self._parts.database.write() as tx:
                    withdrawn += await self._withdraw_if_ended(tx, after)
            if len(found) < AT_ONCE:
                return withdrawn

    async def lapse_overdue(self, right: SoleRight = UNCONTESTED) -> int:
        """Withdraws what P14 let through without the approval that should have followed. Returns how many."""
        now = self._parts.clock.now()
        async with self._parts.database.read() as tx:
            found = await probes.overdue(tx, DECIDABLE, now=now, limit=AT_ONCE)
        return await self._each(found, self._lapse, right)

    async def suspend_unfounded(self, right: SoleRight = UNCONTESTED) -> int:
        """Sends searches that did not run yet back to the supervisor when their authority has run out.

        That is so when the threat that deferred the approval ended (P14), and when the approval is too old, or seems to
        come from the future (P01).
        """
        span = approval_span(self._parts.policy, self._parts.clock.now())
        async with self._parts.database.read() as tx:
            found = [
                *await probes.waiting_for_search(tx, approval=Approval.PENDING, limit=AT_ONCE),
                *await probes.waiting_for_search(tx, approval=Approval.GRANTED, approved_outside=span, limit=AT_ONCE),
            ]
        return await self._each(found, self._suspend, right)

    async def request_unanswered(self, right: SoleRight = UNCONTESTED) -> int:
        """Requests searches again that have authority and no outcome, and counts those that stay without.

        One whose row is not what its authority was given for goes back to the supervisor (P30).
        """
        now = self._parts.clock.now()
        pauses = [timedelta(seconds=self._settings.reconcile_after_seconds * factor) for factor in PAUSE_GROWTH]
        async with self._parts.database.read() as tx:
            found = await probes.unanswered(tx, [now - pause for pause in pauses], AT_ONCE, now=now)
            stranded = await probes.count_unanswered(tx, STRANDED_AFTER_REQUESTS + 1)
        self._parts.metrics.probes_stranded.set(stranded)
        return await self._each(found, self._request, right)

    async def _each(
        self,
        found: Sequence[ProbeRecord],
        act: Callable[[Transaction, ProbeRecord, datetime], Awaitable[bool]],
        right: SoleRight,
    ) -> int:
        """Lets `act` work on each probe in a transaction of its own; returns on how many it did."""
        acted = 0
        for seen in found:
            await right.confirm()
            with log_scope():
                acted += await self._one(seen, act)
        return acted

    async def _one(
        self, seen: ProbeRecord, act: Callable[[Transaction, ProbeRecord, datetime], Awaitable[bool]]
    ) -> bool:
        about: Facts = {"probe_id": seen.probe_id, "incident_id": seen.incident_id}
        try:
            with taken_up("probe.reconcile", seen.traceparent, kind=Kind.INTERNAL, **about):
                async with self._parts.database.write() as tx:
                    return await act(tx, seen, self._parts.clock.now())
        except (ConflictError, NotFoundError) as error:
            log.warning("probe left for the next sweep", probe_id=seen.probe_id, error=str(error))
            return False

    async def _withdraw_if_ended(self, tx: Transaction, incident_id: str) -> int:
        await incidents.lock_all(tx, (incident_id,))
        try:
            authority = await authority_of(tx, incident_id, self._parts.policy, self._parts.clock.now())
        except ConflictError:  # what it was merged into is not known yet
            return 0
        end = end_of(authority.incident, exercise=authority.incident.exercise)
        if end is None:  # of all that was searched for it
            return await self._withdraw_changed(tx, incident_id, authority.incident)
        rule, reason = end
        await self._approvals.withdraw_for_incident(tx, incident_id, reason, rule)
        withdrawn = await self._parts.leads.withdraw_for_incident(tx, incident_id, reason, SYSTEM)
        log.warning("leads were still live", incident_id=incident_id, rule=rule, reason=reason, withdrawn=withdrawn)
        return withdrawn

    async def _withdraw_changed(self, tx: Transaction, incident_id: str, incident: IncidentFacts) -> int:
        """Those of the incident that were searched in the gallery of the other kind of event (P07)."""
        withdrawn = 0
        for probe in await probes.of_incidents(tx, (incident_id,), lock=True):
            if (end := end_of(incident, exercise=probe.exercise)) is not None:
                rule, reason = end
                withdrawn += await self._approvals.withdraw_unpermitted(tx, probe, rule, reason)
        if withdrawn:
            log.warning("leads were of the other kind", incident_id=incident_id, withdrawn=withdrawn)
        return withdrawn

    async def _lapse(self, tx: Transaction, seen: ProbeRecord, now: datetime) -> bool:
        probe = await probes.find(tx, seen.probe_id, lock=True)
        if probe is None or not is_overdue(probe, now):
            return False
        await self._approvals.lapse(tx, probe)
        log.warning("approval lapsed", probe_id=probe.probe_id)
        return True

    async def _suspend(self, tx: Transaction, seen: ProbeRecord, now: datetime) -> bool:
        probe = await probes.find(tx, seen.probe_id, lock=True)
        if probe is None or probe.state != ProbeState.AUTHORIZED:
            return False
        policy = self._parts.policy
        authority = await authority_of(tx, probe.attached_to, policy, now)
        reason = reason_to_suspend(probe, policy, now, imminent_threat=authority.imminent_threat)
        if reason is None:
            return False
        rule = "P01" if probe.approval == Approval.GRANTED else "P14"
        await self._approvals.suspend(tx, probe, rule=rule, reason=reason)
        log.info("search sent back for approval", probe_id=probe.probe_id, reason=reason)
        return True

    async def _request(self, tx: Transaction, seen: ProbeRecord, now: datetime) -> bool:
        requested = await probes.mark_requested(tx, seen, at=now)
        if requested is None:
            return False
        try:
            require_kept_authority(requested, self._parts.authority_keys.require_verifier())
        except PolicyRefusalError as refusal:
            await self._approvals.suspend(tx, requested, rule=refusal.rule, reason=str(refusal))
            on_commit(tx, self._parts.metrics.policy_refusals_total.labels(refusal.rule).inc)
            log.error("search without proof of its authority", probe_id=requested.probe_id, reason=str(refusal))
            return True
        await request_search(self._parts, tx, requested)
        log.info("search requested again", probe_id=requested.probe_id, requests=requested.requests)
        return True
