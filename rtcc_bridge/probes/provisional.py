"""Provisional incidents (P01): a supervisor opens one while the feed is down, and says afterwards which one it is."""

import secrets
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog

from rtcc_bridge.audit.entries import SYSTEM
from rtcc_bridge.errors import ConflictError, InvalidInputError, NotFoundError, PolicyRefusalError
from rtcc_bridge.incidents.board import floor_view
from rtcc_bridge.incidents.desk import FLOOR_INCIDENT, IncidentDesk
from rtcc_bridge.incidents.incident import Status, is_placeholder, placeholder, with_status
from rtcc_bridge.policy import rules
from rtcc_bridge.policy.accounts import Account
from rtcc_bridge.policy.permissions import Deed, require_permission
from rtcc_bridge.probes.approval import ApprovalDesk
from rtcc_bridge.probes.authority import authority_of, require_still_permitted
from rtcc_bridge.probes.parts import ProbeParts
from rtcc_bridge.probes.reasons import stated
from rtcc_bridge.probes.refusals import RefusalLog
from rtcc_bridge.publishing.outbox import OutgoingEvent
from rtcc_bridge.storage import incidents, input_events, probes, processes, provisional_incidents
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.incidents import IncidentRecord
from rtcc_bridge.storage.provisional_incidents import ProvisionalIncident

SILENT_AFTER: Final = timedelta(minutes=30)
"""With no event about an incident for so long, the feed counts as down although the consumers work."""

_CONSUMER: Final = "consumer"
"""Under this name a process reports whether it reads the topic of incidents."""
_LONGEST_TYPE: Final = 64
_SUBJECT: Final = "provisional"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ProvisionalForm:
    """What the supervisor states: an APCO common incident type code, and why it cannot wait for the feed."""

    incident_type: str
    reason: str


class ProvisionalDesk:
    """Where they are opened, reconciled, and withdrawn when nobody reconciles them."""

    def __init__(self, parts: ProbeParts, desk: IncidentDesk) -> None:
        self._parts = parts
        self._desk = desk
        self._refusals = RefusalLog(parts.database, parts.audit, parts.metrics)

    async def open(self, form: ProvisionalForm, account: Account) -> ProvisionalIncident:
        """Opens one, on which stills can be attached as on any other.

        Raises PolicyRefusalError (role; the feed works; a type that is refused absolutely), InvalidInputError.
        """
        parts, now = self._parts, self._parts.clock.now()
        async with self._watching(account, "incident.open_provisional", _SUBJECT), parts.database.write() as tx:
            require_permission(account, Deed.OPEN_PROVISIONAL)
            rules.require_feed_down(works=await self._feed_works(tx))
            reason = stated(form.reason, "A provisional incident")
            incident_type = _type_of(form)
            rules.require_provisional_type(incident_type)
            incident_id = f"provisional-{secrets.token_urlsafe(16)}"
            incident = placeholder(incident_id, incident_type, exercise=False, at=now, now=now)
            await incidents.add_all(tx, (incident,))
            record = ProvisionalIncident(
                incident_id=incident_id,
                opened_by=account.name,
                opened_at=now,
                reconcile_by=now + rules.RECONCILE_WITHIN,
                reason=reason,
            )
            await provisional_incidents.add(tx, record)
            await self._tell_floor(tx, incident)
            await self._audit(tx, account.name, "incident.open_provisional", incident_id, "opened", incident_type)
        return record

    async def waiting(self, account: Account) -> Sequence[ProvisionalIncident]:
        """Those that nobody has reconciled yet, with who opened them. Each look is audited.

        Raises PolicyRefusalError (P10), UnavailableError.
        """
        action = "incident.view_provisional"
        async with self._watching(account, action, _SUBJECT):
            require_permission(account, Deed.OPEN_PROVISIONAL)
        async with self._parts.database.write() as tx:
            await self._parts.audit.append(
                tx, actor=account.name, action=action, subject=_SUBJECT, outcome="shown", authority={}, details={}
            )
            return await provisional_incidents.waiting(tx)

    async def reconcile(self, incident_id: str, into: str, account: Account) -> ProvisionalIncident:
        """Says that it is this incident of dispatch: its probes and leads go on there, as far as that one permits.

        Raises PolicyRefusalError (role), NotFoundError (not provisional; not seen on the feed), ConflictError
        (reconciled or withdrawn already).
        """
        parts, now = self._parts, self._parts.clock.now()
        async with self._watching(account, "incident.reconcile", incident_id), parts.database.write() as tx:
            require_permission(account, Deed.OPEN_PROVISIONAL)
            changes = await self._desk.lock(tx, (incident_id, into))
            incident, target = changes.get(incident_id), changes.get(into)
            record = await provisional_incidents.find(tx, incident_id, lock=True)
            if record is None or incident is None:
                raise NotFoundError("There is no such provisional incident.")
            if not record.is_waiting or record.is_overdue(now):
                raise ConflictError("This incident is reconciled already, or its time is over.")
            if target is None or is_placeholder(target):
                raise NotFoundError("Name the incident as dispatch has reported it: that one was not seen on the feed.")
            merged = with_status(incident, Status.MERGED, now, merged_into=into)
            moved = [probe.probe_id for probe in await probes.of_incidents(tx, (incident_id,), lock=True)]
            await self._desk.change(tx, changes, merged)
            await self._desk.save(tx, changes)
            await self._withdraw_unpermitted(tx, moved, into)
            done = {"reconciled_with": into, "reconciled_by": account.name, "reconciled_at": now}
            await provisional_incidents.change(tx, incident_id, **done)
            await self._tell_floor(tx, merged)
            await self._audit(tx, account.name, "incident.reconcile", incident_id, "reconciled", target.incident_type)
            found = await provisional_incidents.find(tx, incident_id)
        assert found is not None, "it was changed in this transaction"
        return found

    async def withdraw_overdue(self) -> int:
        """Withdraws those whose time is over, and what hangs on them, its leads too. Commits. Returns how many."""
        now = self._parts.clock.now()
        async with self._parts.database.read() as tx:
            due = await provisional_incidents.waiting(tx, due=now)
        withdrawn = 0
        for record in due:
            async with self._parts.database.write() as tx:
                withdrawn += await self._withdraw(tx, record.incident_id)
        return withdrawn

    async def _withdraw(self, tx: Transaction, incident_id: str) -> bool:
        now = self._parts.clock.now()
        changes = await self._desk.lock(tx, (incident_id,))
        record = await provisional_incidents.find(tx, incident_id, lock=True)
        incident = changes.get(incident_id)
        if record is None or incident is None or not record.is_waiting:
            return False
        ended = with_status(incident, Status.UNFOUNDED, now)
        await self._desk.change(tx, changes, ended)
        await self._desk.save(tx, changes)
        await provisional_incidents.change(tx, incident_id, withdrawn_at=now)
        await self._tell_floor(tx, ended)
        await self._audit(tx, SYSTEM, "incident.withdraw_provisional", incident_id, "withdrawn", incident.incident_type)
        log.warning("a provisional incident was not reconciled in time", incident_id=incident_id)
        return True

    async def _withdraw_unpermitted(self, tx: Transaction, moved: Sequence[str], into: str) -> None:
        """As dispatch calls it, it permits what it does and no more (P02, P07): each probe that came is judged."""
        policy, approvals = self._parts.policy, ApprovalDesk(self._parts)
        authority = await authority_of(tx, into, policy, self._parts.clock.now())
        for probe_id in moved:
            probe = await probes.find(tx, probe_id, lock=True)
            assert probe is not None, "probes are never deleted"
            try:
                require_still_permitted(policy, probe, authority)
            except PolicyRefusalError as refusal:
                await approvals.withdraw_unpermitted(tx, probe, refusal.rule, str(refusal))

    async def _feed_works(self, tx: Transaction) -> bool:
        """Whether a process reads the topic of incidents and something came on it of late."""
        reading = any(
            process.is_alive and process.dependencies.get(_CONSUMER, "not its role") is None
            for process in await processes.every(tx)
        )
        last = await input_events.last_received(tx, self._parts.topics.incidents)
        return reading and last is not None and self._parts.clock.now() - last < SILENT_AFTER

    async def _tell_floor(self, tx: Transaction, incident: IncidentRecord) -> None:
        event = OutgoingEvent(
            event_type=FLOOR_INCIDENT,
            topic=None,
            key=None,
            subject=incident.incident_id,
            data=floor_view(incident, (), self._parts.clock.now()),
            on_feed=True,
        )
        await self._parts.outbox.put(tx, event)

    async def _audit(
        self, tx: Transaction, actor: str, action: str, incident_id: str, outcome: str, incident_type: str
    ) -> None:
        await self._parts.audit.append(
            tx,
            actor=actor,
            action=action,
            subject=incident_id,
            outcome=outcome,
            authority={"policyHash": self._parts.policy.hash},
            details={"rule": "P01", "incidentType": incident_type},
        )

    def _watching(self, account: Account, action: str, subject: str) -> AbstractAsyncContextManager[None]:
        return self._refusals.watching(actor=account.name, action=action, subject=subject, authority={})


def _type_of(form: ProvisionalForm) -> str:
    incident_type = form.incident_type.strip().upper()
    if not 0 < len(incident_type) <= _LONGEST_TYPE:
        raise InvalidInputError(
            f"The incident type is a code of at most {_LONGEST_TYPE} characters: state it.", "fields"
        )
    return incident_type
