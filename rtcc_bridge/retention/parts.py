"""What everything that decides on keeping and purging shares."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

from rtcc_bridge.audit.commitments import Name
from rtcc_bridge.audit.entries import AuditLog
from rtcc_bridge.clock import Clock
from rtcc_bridge.policy.accounts import Account
from rtcc_bridge.policy.in_force import PolicyInForce
from rtcc_bridge.policy.policy_parts import RetentionRule
from rtcc_bridge.probes.refusals import RefusalLog
from rtcc_bridge.storage.engine import Database, Transaction
from rtcc_bridge.storage.objects import ObjectVault


@dataclass(frozen=True, slots=True)
class RetentionParts:
    """The database and everything that is written to it when something is held or purged."""

    database: Database
    vault: ObjectVault
    audit: AuditLog
    clock: Clock
    policy_in_force: PolicyInForce
    refusals: RefusalLog

    @property
    def rule(self) -> RetentionRule:
        """The periods of the policy in force at this moment."""
        return self.policy_in_force.current.retention

    def watching(self, account: Account, action: str, subject: str) -> AbstractAsyncContextManager[None]:
        """Records a refusal of the block (P22). The block must not be inside a transaction."""
        return self.refusals.watching(actor=account.name, action=action, subject=subject, authority={})

    async def note(
        self,
        tx: Transaction,
        actor: str,
        action: str,
        subject: str,
        outcome: str,
        details: Mapping[str, Any],
        names: Mapping[str, Name] | None = None,
    ) -> str:
        """Writes the audit entry into the transaction of the act; returns its leaf (P23)."""
        return await self.audit.append(
            tx,
            actor=actor,
            action=action,
            subject=subject,
            outcome=outcome,
            authority={"rule": "P24", "policyHash": self.policy_in_force.current.hash},
            details=details,
            names=names or {},
        )
