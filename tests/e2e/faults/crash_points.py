"""The points at which a process can be made to kill itself, and the points of each role in the order of its work.

A point stands between two steps of the work: what a crash there leaves behind is what the step before has made durable,
and nothing of the step after.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

READ: Final = "records read"
BEFORE_OFFSETS: Final = "before the offset commit"
AFTER_OFFSETS: Final = "after the offset commit"
BEFORE_SEND: Final = "before a record is sent"
ACKNOWLEDGED: Final = "record acknowledged"
SEALED: Final = "object stored, its key not"

STATEMENTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "event noted": "INSERT INTO input_events",
        "audit entry written": "INSERT INTO audit_entries",
        "outgoing event written": "INSERT INTO outbox",
        "lead written": "INSERT INTO leads",
        "object key written": "INSERT INTO object_keys",
        "probe written": "INSERT INTO probes",
        "probe changed": "UPDATE probes",
        "numbered": "UPDATE outbox SET feed_position",
        "marked as published": "UPDATE outbox SET published_at",
    }
)
"""Points inside a transaction: the statement that has just been executed, by its beginning."""


def assigned(group: str) -> str:
    """The point at which a member of the group has been given its partitions."""
    return f"partitions of {group} assigned"


def revoked(group: str) -> str:
    """The point at which a member of the group that has partitions is about to lose them."""
    return f"partitions of {group} revoked"


def before_commit(statement: str) -> str:
    """The point at which a transaction with that statement is complete, and not committed."""
    return f"{statement}, before COMMIT"


def after_commit(statement: str) -> str:
    """The point at which a transaction with that statement is committed, and nobody knows."""
    return f"{statement}, after COMMIT"


POINTS_OF_ROLE: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "consumer": (
            assigned("rtcc-bridge.consumer"),
            READ,
            "event noted",
            "outgoing event written",
            before_commit("event noted"),
            after_commit("event noted"),
            BEFORE_SEND,
            ACKNOWLEDGED,
            BEFORE_OFFSETS,
            AFTER_OFFSETS,
            revoked("rtcc-bridge.consumer"),
        ),
        "matcher": (
            assigned("rtcc-bridge.matcher.imminent"),
            assigned("rtcc-bridge.matcher.routine"),
            READ,
            SEALED,
            "audit entry written",
            "lead written",
            before_commit("lead written"),
            after_commit("lead written"),
            BEFORE_OFFSETS,
            AFTER_OFFSETS,
            revoked("rtcc-bridge.matcher.imminent"),
            revoked("rtcc-bridge.matcher.routine"),
        ),
        "relay": (
            before_commit("numbered"),
            after_commit("numbered"),
            BEFORE_SEND,
            ACKNOWLEDGED,
            before_commit("marked as published"),
            after_commit("marked as published"),
        ),
        "web": (
            SEALED,
            "object key written",
            before_commit("probe written"),
            after_commit("probe written"),
            "probe changed",
            "audit entry written",
            before_commit("probe changed"),
            after_commit("probe changed"),
        ),
    }
)
