"""The event that carries a signed checkpoint to the topic of checkpoints."""

from typing import Final

from rtcc_bridge.audit.note import SignedCheckpoint
from rtcc_bridge.publishing.outbox import OutgoingEvent

CHECKPOINT_SIGNED: Final = "audit.checkpoint_signed"


def checkpoint_event(signed: SignedCheckpoint, topic: str) -> OutgoingEvent:
    checkpoint = signed.checkpoint
    return OutgoingEvent(
        event_type=CHECKPOINT_SIGNED,
        topic=topic,
        key=checkpoint.origin,
        subject=checkpoint.origin,
        data={
            "origin": checkpoint.origin,
            "size": checkpoint.size,
            "rootHash": checkpoint.root.hex(),
            "note": signed.note,
        },
        on_feed=False,
    )
