"""The supervisor's part: approving and refusing searches, and what becomes of a search whose authority ends."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

from rtcc_bridge.audit.entries import DECLINED, SYSTEM
from rtcc_bridge.errors import ConflictError, NotFoundError
from rtcc_bridge.matching.types import Lane
from rtcc_bridge.policy import rules
from rtcc_bridge.policy.accounts import Account
from rtcc_bridge.policy.permissions import Deed, require_permission
from rtcc_bridge.probes.authority import authority_of, require_open_case, require_still_permitted
from rtcc_bridge.probes.faces import MAX_REASON_CHARACTERS
from rtcc_bridge.probes.parts import ProbeParts
from rtcc_bridge.probes.reasons import stated
from rtcc_bridge.probes.refusals import RefusalLog
from rtcc_bridge.probes.search_request import requested_now
from rtcc_bridge.probes.state import WAITING, Approval, ProbeState
from rtcc_bridge.probes.steps import keep_authority, request_search, take_step
from rtcc_bridge.storage import incidents, probe_openings, probes
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.probes import ProbeRecord
from rtcc_bridge.telemetry.work import taken_up

_LAPSED: Final = "The supervisor's approval did not come in time."


class ApprovalDesk:
    """Where searches are approved, refused and withdrawn."""

    def __init__(self, parts: ProbeParts) -> None:
        self._parts = parts
        self._refusals = RefusalLog(parts.database, parts.audit, parts.metrics)

    async def approve(self, probe_id: str, account: Account) -> ProbeRecord:
        """Approves a search that waits for it, which then runs, or one that ran already under P14.

        Raises PolicyRefusalError (role; the analyst's or requestor's own search; too late; incident ended),
        NotFoundError, ConflictError (nothing to approve, or decided by somebody else).
        """
        async with self._watching(account, "probe.approve", probe_id), self._parts.database.write() as tx:
            probe = await _found(tx, probe_id)
            with taken_up("probe.approve", probe.traceparent, probe_id=probe_id, incident_id=probe.incident_id):
                updated = await self._approve(tx, probe, account)
        self._observe_wait(updated)
        return updated

    async def refuse(self, probe_id: str, account: Account, reason: str) -> ProbeRecord:
        """Refuses a search; if it ran already under P14, its lead is withdrawn.

        Anybody with the role may refuse, also the analyst's or requestor's own account: that only makes things safer.

        Raises PolicyRefusalError (role), NotFoundError, InvalidInputError (no reason), ConflictError (decided already).
        """
        async with self._watching(account, "probe.refuse", probe_id), self._parts.database.write() as tx:
            probe = await _found(tx, probe_id)
            with taken_up("probe.refuse", probe.traceparent, probe_id=probe_id, incident_id=probe.incident_id):
                return await self._refuse(tx, probe, account, reason)

    async def withdraw_for_incident(self, tx: Transaction, incident_id: str, reason: str, rule: str = "P08") -> int:
        """Withdraws what still waits on an incident whose authority ended (P08), or never was; returns how many probes.

        Probes of incidents that were merged into it end with it, and so do those that were attached to one of these and
        lie elsewhere. Their leads are withdrawn by the lead desk.
        """
        merged = await incidents.merged_into(tx, (incident_id,))
        states = (*WAITING, ProbeState.SEARCHED)
        affected = [
            probe
            for probe in await probes.of_incidents(tx, {incident_id, *merged}, states, or_attached=True, lock=True)
            if probe.state != ProbeState.SEARCHED or probe.approval == Approval.PENDING
        ]
        for probe in affected:
            await self._withdraw(tx, probe, rule, reason)
        return len(affected)

    async def withdraw_unpermitted(self, tx: Transaction, probe: ProbeRecord, rule: str, reason: str) -> int:
        """Withdraws what still waits of this probe, which the caller has locked, and its lead: returns how many leads.

        For what its incident, as dispatch has told of it since, does not permit although its authority goes on.
        """
        if probe.state in WAITING or (probe.state == ProbeState.SEARCHED and probe.approval == Approval.PENDING):
            await self._withdraw(tx, probe, rule, reason)
        return await self._parts.leads.withdraw_for_probe(tx, probe.probe_id, reason, SYSTEM)

    async def _withdraw(self, tx: Transaction, probe: ProbeRecord, rule: str, reason: str) -> None:
        """Without the proof of its authority, so that nothing signs for it again."""
        changes = {
            "state": ProbeState.WITHDRAWN,
            "state_reason": reason[:MAX_REASON_CHARACTERS],
            "authority_token": None,
        }
        await self._by_itself(tx, probe, changes, "probe.withdraw", rule=rule, reason=reason)

    async def lapse(self, tx: Transaction, probe: ProbeRecord) -> None:
        """The deferred approval did not come in time: the probe is withdrawn, and its lead if it has one (P14)."""
        changes = {
            "state": ProbeState.WITHDRAWN,
            "approval": Approval.LAPSED,
            "state_reason": _LAPSED,
            "authority_token": None,
        }
        updated = await self._by_itself(tx, probe, changes, "probe.approval_lapsed", rule="P14", reason=_LAPSED)
        if probe.state == ProbeState.SEARCHED:
            await self._parts.leads.approval_lapsed(tx, updated)

    async def suspend(self, tx: Transaction, probe: ProbeRecord, *, rule: str, reason: str) -> ProbeRecord:
        """Takes the authority of a search that did not run yet: it needs an approval (again) before it may."""
        changes = {
            "state": ProbeState.AWAITING_APPROVAL,
            "approval": Approval.PENDING,
            "approve_by": None,
            "approved_by": None,
            "approved_at": None,
            "authority_at": None,
            "authority_token": None,
            "requested_at": None,
        }
        return await self._by_itself(tx, probe, changes, "probe.suspend", rule=rule, reason=reason)

    async def _approve(self, tx: Transaction, probe: ProbeRecord, account: Account) -> ProbeRecord:
        parts, policy, now = self._parts, self._parts.policy, self._parts.clock.now()
        rules.require_independent_approver(account, analyst=probe.analyst, requestor=probe.requestor)
        _require_pending(probe)
        rules.require_timely(approve_by=probe.approve_by, now=now)
        parts.policy_in_force.require_in_date(now)
        authority = await authority_of(tx, probe.attached_to, policy, now)
        require_still_permitted(policy, probe, authority)
        changes: dict[str, Any] = {
            "incident_id": authority.incident_id,
            "approval": Approval.GRANTED,
            "approved_by": account.name,
            "approved_at": now,
        }
        waiting = probe.state == ProbeState.AWAITING_APPROVAL
        if waiting:
            await require_open_case(tx, probe.case_number)
            lane = rules.lane_of(imminent_threat=authority.imminent_threat, earlier=Lane(probe.lane))
            changes |= {"state": ProbeState.AUTHORIZED, "lane": lane, "authority_at": now}
            changes |= {"policy_hash": policy.hash, **requested_now(now, 0)}
        opened = await probe_openings.first(tx, probe.probe_id, account.name) is not None
        details = {"opened": opened}  # an approval of what was never looked at is a sign of misuse (P27)
        updated = await take_step(
            parts, tx, probe, changes, actor=account.name, action="probe.approve", details=details
        )
        if waiting:
            await request_search(parts, tx, updated)
        else:
            await keep_authority(parts, tx, updated)
        if updated.state == ProbeState.SEARCHED:
            await parts.leads.approval_granted(tx, updated)
        return updated

    async def _refuse(self, tx: Transaction, probe: ProbeRecord, account: Account, reason: str) -> ProbeRecord:
        require_permission(account, Deed.DECIDE_SEARCH)
        text = stated(reason, "A refusal")
        _require_pending(probe)
        changes = {
            "state": ProbeState.REFUSED,
            "approval": Approval.REFUSED,
            "state_reason": text,
            "authority_token": None,
        }
        details = {"reason": text}
        updated = await take_step(
            self._parts, tx, probe, changes,
            actor=account.name, action="probe.refuse", outcome=DECLINED, details=details,
        )  # fmt: skip
        if probe.state == ProbeState.SEARCHED:
            await self._parts.leads.approval_refused(tx, updated, text, account.name)
        return updated

    async def _by_itself(
        self, tx: Transaction, probe: ProbeRecord, changes: Mapping[str, Any], action: str, *, rule: str, reason: str
    ) -> ProbeRecord:
        details = {"rule": rule, "reason": reason}
        return await take_step(self._parts, tx, probe, changes, actor=SYSTEM, action=action, details=details)

    def _watching(self, account: Account, action: str, probe_id: str) -> AbstractAsyncContextManager[None]:
        return self._refusals.watching(actor=account.name, action=action, subject=probe_id, authority={})

    def _observe_wait(self, probe: ProbeRecord) -> None:
        if probe.chosen_at is not None and probe.approved_at is not None:
            seconds = (probe.approved_at - probe.chosen_at).total_seconds()
            self._parts.metrics.time_to_approval_seconds.labels(probe.lane).observe(seconds)


async def _found(tx: Transaction, probe_id: str) -> ProbeRecord:
    probe = await probes.find(tx, probe_id, lock=True)
    if probe is None:
        raise NotFoundError("There is no such probe.")
    return probe


def _require_pending(probe: ProbeRecord) -> None:
    if probe.approval != Approval.PENDING:
        raise ConflictError(f"There is nothing to decide: the approval of this probe is {probe.approval}.")
