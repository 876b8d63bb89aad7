"""What an enrolment or an expungement tells whoever asked for it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from rtcc_bridge.gallery.set_aside import Reason


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an enrolment has come."""

    done: int
    total: int
    enrolled: int
    set_aside: int


OnProgress: TypeAlias = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class EnrollReceipt:
    """What an enrolment did. set_aside: how many images were left out, by reason."""

    gallery: str
    version: int
    total: int
    enrolled: int
    already_enrolled: int
    set_aside: Mapping[Reason, int]


@dataclass(frozen=True, slots=True)
class ExpungeReceipt:
    """What an expungement did. The removal stands from `removed_at` on, whatever `bytes_gone` says.

    subject_id: none when the gallery knew nobody of the order, who is kept out all the same.
    """

    gallery: str
    version: int
    subject_id: int | None
    images_removed: int
    leads_withdrawn: int
    removed_at: datetime
    audit_leaf: str
    bytes_gone: bool
    """Whether the templates are gone from the sealed segments too. If not, they wait for the next scrubbing."""
