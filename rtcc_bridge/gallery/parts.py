"""What enrolment and expungement work with."""

from dataclasses import dataclass

from rtcc_bridge.audit.entries import AuditLog
from rtcc_bridge.clock import Clock
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
