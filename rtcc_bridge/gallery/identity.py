"""What tells one gallery, one person's reference and one model pack from another."""

import hashlib
import unicodedata
from dataclasses import dataclass
from enum import StrEnum

from rtcc_bridge.errors import ConflictError, PolicyRefusalError
from rtcc_bridge.matching.modelpack import ModelPack
from rtcc_bridge.storage.galleries import GalleryRecord


class GalleryKind(StrEnum):
    """What a gallery may be searched for. A demo's gallery stands in for a live one, under a banner."""

    LIVE = "live"
    TRAINING = "training"
    DEMO = "demo"


@dataclass(frozen=True, slots=True)
class PackIdentity:
    """What has to agree before templates may be compared: they mean nothing to another model.

    calibrated: whether it is known what the scores of this pack mean.
    """

    name: str
    template_hash: str
    template_length: int
    calibrated: bool = False

    @classmethod
    def of(cls, pack: ModelPack) -> "PackIdentity":
        return cls(pack.name, pack.template_hash, pack.recognizer.template_length, pack.calibration is not None)


def require_same_pack(gallery: GalleryRecord, pack: PackIdentity) -> None:
    """Raises ConflictError, which says how to enrol again, when the gallery's templates were made by another pack."""
    if (gallery.template_hash, gallery.template_length) != (pack.template_hash, pack.template_length):
        raise ConflictError(
            f"gallery {gallery.name} holds templates of the model pack {gallery.pack_name} "
            f"({gallery.template_hash[:12]}, length {gallery.template_length}), which cannot be compared with those of "
            f"{pack.name} ({pack.template_hash[:12]}, length {pack.template_length}). Enrol the same pictures with the "
            "new pack into a gallery of another name and let matching.gallery name that, or configure the old pack"
        )


def require_fit_for(kind: GalleryKind, pack: PackIdentity) -> None:
    """P28: a live gallery is not even filled with a pack of which nobody knows what its scores mean."""
    if kind is GalleryKind.LIVE and not pack.calibrated:
        raise PolicyRefusalError(
            "P28",
            f"The model pack {pack.name} has no calibration, so no live gallery is made with it: run "
            "`rtcc-bridge models calibrate` first.",
        )


def normal_ref(text: str) -> str:
    """The one spelling of a subject reference: file systems differ in how they compose letters with accents."""
    return unicodedata.normalize("NFC", text).strip()


def ref_digest(subject_ref: str) -> str:
    """How a removal remembers a subject: without spelling the reference out."""
    return hashlib.sha256(normal_ref(subject_ref).encode()).hexdigest()
