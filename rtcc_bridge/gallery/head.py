"""The notice that a gallery's head moved: a hint to every matcher, since the database is the truth."""

from typing import Final

from rtcc_bridge.publishing.outbox import Outbox, OutgoingEvent
from rtcc_bridge.storage.engine import Transaction

HEAD_MOVED: Final = "rtcc-bridge.gallery.head_moved"


async def put_head_notice(tx: Transaction, outbox: Outbox, topic: str, gallery: str, version: int) -> None:
    """Puts the notice into the transaction that made this version."""
    event = OutgoingEvent(
        event_type=HEAD_MOVED,
        topic=topic,
        key=gallery,
        subject=gallery,
        data={"gallery": gallery, "version": version},
        on_feed=False,
    )
    await outbox.put(tx, event)
