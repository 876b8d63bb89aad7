"""From the bytes of a picture to the template of the one face on it."""

from dataclasses import dataclass
from typing import Protocol

from rtcc_bridge.gallery.set_aside import Reason, SetAsideError
from rtcc_bridge.matching.errors import InferenceError, UnreadableImageError
from rtcc_bridge.matching.pipeline import FaceEmbedder, FaceFinder, FoundFaces
from rtcc_bridge.matching.types import Float32Array, NumberedFace, Verdict


@dataclass(frozen=True, slots=True, eq=False)
class Portrait:
    """What is kept of a picture beside the sealed picture itself. template: float32 (D,), of length 1."""

    template: Float32Array
    quality_score: int


class Portraits(Protocol):
    """Reads portraits. Called from several threads at once."""

    def read(self, data: bytes) -> Portrait:
        """Raises SetAsideError when the picture does not show exactly one usable face. Blocks."""
        ...


class PortraitReader:
    """Reads portraits with the face pipeline. The pictures are the agency's own, so no sandbox stands around it."""

    def __init__(self, finder: FaceFinder, embedder: FaceEmbedder) -> None:
        self._finder = finder
        self._embedder = embedder

    def read(self, data: bytes) -> Portrait:
        """As `Portraits.read` says. Where several faces are, nobody can tell which of them the row means."""
        try:
            found = self._finder.find(data)
            face = _only_face(found)
            template = self._embedder.templates([found.crop(face.number)])[0]
        except UnreadableImageError as error:
            raise SetAsideError(Reason.UNREADABLE, str(error)) from error
        except InferenceError as error:
            raise SetAsideError(Reason.MODEL_FAILED, str(error)) from error
        except ValueError as error:
            raise SetAsideError(Reason.POOR_QUALITY, str(error)) from error
        return Portrait(template, face.quality.unified_score)


def _only_face(found: FoundFaces) -> NumberedFace:
    if not found.faces:
        raise SetAsideError(Reason.NO_FACE, "no face was found")
    if len(found.faces) > 1:
        raise SetAsideError(Reason.SEVERAL_FACES, f"{len(found.faces)} faces were found: cut out the one that is meant")
    face = found.faces[0]
    if face.quality.verdict is Verdict.REFUSED:
        raise SetAsideError(Reason.POOR_QUALITY, "; ".join(face.quality.sentences))
    return face
