"""The faces of a probe as they are kept: JSON of what the sandboxed worker reported."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from rtcc_bridge.errors import NotFoundError
from rtcc_bridge.matching.types import Box, DetectedFace, NumberedFace, Quality, QualityComponent, Verdict

MAX_REASON_CHARACTERS: Final = 1024


def faces_to_json(faces: Sequence[NumberedFace]) -> list[dict[str, Any]]:
    return [
        {
            "number": numbered.number,
            "box": {side: getattr(numbered.face.box, side) for side in ("left", "top", "right", "bottom")},
            "landmarks": [[float(x), float(y)] for x, y in numbered.face.landmarks],
            "detectionScore": numbered.face.detection_score,
            "quality": quality_to_json(numbered.quality),
        }
        for numbered in faces
    ]


def faces_from_json(faces: Sequence[Mapping[str, Any]]) -> tuple[NumberedFace, ...]:
    return tuple(
        NumberedFace(
            face["number"],
            DetectedFace(Box(**face["box"]), np.array(face["landmarks"], np.float32), face["detectionScore"]),
            _quality_from_json(face["quality"]),
        )
        for face in faces
    )


def quality_to_json(quality: Quality) -> dict[str, Any]:
    """What a person and a lead are told of a face's quality."""
    components = [
        {
            "name": component.name,
            "value": component.value,
            "unit": component.unit,
            "verdict": component.verdict.value,
            "sentence": component.sentence,
        }
        for component in quality.components
    ]
    return {
        "unifiedScore": quality.unified_score,
        "verdict": quality.verdict.value,
        "sentences": list(quality.sentences),
        "components": components,
    }


def face_of_number(faces: Sequence[NumberedFace], number: int) -> NumberedFace:
    """Raises NotFoundError when the picture has no face of that number."""
    for face in faces:
        if face.number == number:
            return face
    raise NotFoundError(f"This picture has no face {number}: choose one from 1 to {len(faces)}.")


def too_poor(faces: Sequence[NumberedFace]) -> tuple[str, ...]:
    """Why nothing in the picture can be searched, in plain words; empty when at least one face can."""
    if not faces:
        return ("No face was found: choose a frame in which the face is larger, sharper or turned to the camera.",)
    if any(face.quality.verdict is not Verdict.REFUSED for face in faces):
        return ()
    return tuple(sentence for face in faces for sentence in refusals(face, named=len(faces) > 1))


def refusals(face: NumberedFace, *, named: bool) -> tuple[str, ...]:
    """What is too poor about this face; `named` puts its number before each sentence."""
    sentences = (component.sentence for component in face.quality.components if component.verdict is Verdict.REFUSED)
    return tuple(f"Face {face.number}: {sentence}" if named else sentence for sentence in sentences)


def reason_text(reasons: Sequence[str]) -> str | None:
    """The reasons as one text of the length that is kept with the probe."""
    return " ".join(reasons)[:MAX_REASON_CHARACTERS] or None


def bystanders(faces: Sequence[NumberedFace], chosen: int) -> tuple[DetectedFace, ...]:
    """Everybody in the picture but the chosen one: who is masked in every copy (P04)."""
    return tuple(face.face for face in faces if face.number != chosen)


def best_quality(faces: Sequence[NumberedFace]) -> dict[str, Any] | None:
    """The quality of the least poor face; None without faces."""
    best = max(faces, key=lambda face: face.quality.unified_score, default=None)
    return None if best is None else quality_to_json(best.quality)


def _quality_from_json(quality: Mapping[str, Any]) -> Quality:
    components = tuple(
        QualityComponent(
            component["name"],
            component["value"],
            component["unit"],
            Verdict(component["verdict"]),
            component["sentence"],
        )
        for component in quality["components"]
    )
    return Quality(quality["unifiedScore"], components)
