"""What the desks that work on leads share, and what each of them begins with."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from rtcc_bridge.audit.entries import AuditLog
from rtcc_bridge.clock import Clock
from rtcc_bridge.errors import NotFoundError
from rtcc_bridge.leads.desk import LeadDesk
from rtcc_bridge.leads.examiners import Examiners
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.policy.accounts import Account
from rtcc_bridge.policy.in_force import PolicyInForce
from rtcc_bridge.policy.policy_file import Policy
from rtcc_bridge.probes.refusals import RefusalLog
from rtcc_bridge.storage import leads
from rtcc_bridge.storage.engine import Database, Transaction
from rtcc_bridge.storage.leads import LeadRecord
from rtcc_bridge.storage.objects import ObjectVault
from rtcc_bridge.telemetry.tracing import Facts
from rtcc_bridge.telemetry.work import taken_up


@dataclass(frozen=True, slots=True)
class LifeParts:
    """The database and everything that is written to it beside a lead."""

    database: Database
    clock: Clock
    audit: AuditLog
    vault: ObjectVault
    leads: LeadDesk
    metrics: Metrics
    refusals: RefusalLog
    examiners: Examiners
    policy_in_force: PolicyInForce

    @property
    def policy(self) -> Policy:
        """The one in force at this moment."""
        return self.policy_in_force.current

    def watching(self, account: Account, action: str, subject: str) -> AbstractAsyncContextManager[None]:
        """Records a refusal of the block (P22). The block must not be inside a transaction."""
        return self.refusals.watching(actor=account.name, action=action, subject=subject, authority={})

    @asynccontextmanager
    async def on_lead(self, lead_id: str, action: str) -> AsyncIterator[tuple[Transaction, LeadRecord]]:
        """A write transaction in which the lead is locked. Raises NotFoundError, UnavailableError."""
        async with self.database.write() as tx:
            lead = await locked(tx, lead_id)
            about: Facts = {"lead_id": lead_id, "probe_id": lead.probe_id, "incident_id": lead.incident_id}
            with taken_up(action, lead.traceparent, **about):
                yield tx, lead

    async def note(
        self,
        tx: Transaction,
        account: Account,
        action: str,
        subject: str,
        outcome: str,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Writes the audit entry of an act, or of a look at a restricted view, into its transaction (P16, P22, P23)."""
        await self.audit.append(
            tx,
            actor=account.name,
            action=action,
            subject=subject,
            outcome=outcome,
            authority={},
            details=details or {},
        )


async def locked(tx: Transaction, lead_id: str) -> LeadRecord:
    """The lead, which nobody else changes until the transaction ends. Raises NotFoundError."""
    lead = await leads.find(tx, lead_id, lock=True)
    if lead is None:
        raise NotFoundError("There is no such lead.")
    return lead
