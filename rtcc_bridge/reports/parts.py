"""What every desk that makes a report works with."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from rtcc_bridge.audit.commitments import Name
from rtcc_bridge.audit.entries import AuditLog
from rtcc_bridge.clock import Clock
from rtcc_bridge.errors import InvalidInputError
from rtcc_bridge.policy.accounts import Account
from rtcc_bridge.policy.in_force import PolicyInForce
from rtcc_bridge.policy.policy_file import Policy
from rtcc_bridge.probes.refusals import RefusalLog
from rtcc_bridge.storage import audit_search
from rtcc_bridge.storage.audit_search import EntryPlace
from rtcc_bridge.storage.engine import Database, Transaction

_NO_NAMES: Final[Mapping[str, Name]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ReportParts:
    """The database, which reports only read, and the audit log, in which the making of each is entered."""

    database: Database
    clock: Clock
    audit: AuditLog
    refusals: RefusalLog
    policy_in_force: PolicyInForce

    @property
    def policy(self) -> Policy:
        """The one in force at this moment."""
        return self.policy_in_force.current

    def watching(self, account: Account, action: str, subject: str) -> AbstractAsyncContextManager[None]:
        """Records a refusal of the block (P22). The block must not be inside a transaction."""
        return self.refusals.watching(actor=account.name, action=action, subject=subject, authority={})

    async def note(
        self,
        tx: Transaction,
        account: Account,
        action: str,
        subject: str,
        outcome: str,
        details: Mapping[str, Any],
        names: Mapping[str, Name] = _NO_NAMES,
    ) -> str:
        """Enters the making of a report; returns the leaf hash of the entry."""
        return await self.audit.append(
            tx,
            actor=account.name,
            action=action,
            subject=subject,
            outcome=outcome,
            authority={"policyHash": self.policy.hash},
            details=details,
            names=names,
        )


async def page_end(tx: Transaction, entry_id: str | None) -> EntryPlace | None:
    """Where the page of entries that ended with this one ended. Raises InvalidInputError for an entry that is none."""
    if entry_id is None:
        return None
    found = await audit_search.place_of(tx, entry_id)
    if found is None:
        raise InvalidInputError("No page ended there: begin with the newest one.", "fields")
    return found
