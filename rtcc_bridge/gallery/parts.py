"""What enrolment and expungement work with."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from rtcc_bridge.audit.entries import AuditLog
from rtcc_bridge.clock import Clock
from rtcc_bridge.policy.accounts import Account
from rtcc_bridge.probes.refusals import RefusalLog
from rtcc_bridge.publishing.outbox import Outbox
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.objects import ObjectVault


@dataclass(frozen=True, slots=True)
class GalleryParts:
    """The parts that change a gallery share. head_topic: where the notices that a head moved go."""

    database: Database
    vault: ObjectVault
    audit: AuditLog
    outbox: Outbox
    clock: Clock
    head_topic: str
    refusals: RefusalLog

    def watching(self, account: Account, action: str, subject: str) -> AbstractAsyncContextManager[None]:
        """Records a refusal of the block (P22). The block must not be inside a transaction."""
        return self.refusals.watching(actor=account.name, action=action, subject=subject, authority={})
