"""The edits of a still as JSON: as people state them, as they are kept, as they go to a worker. One form everywhere."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rtcc_bridge.errors import InvalidInputError
from rtcc_bridge.matching.edits import MOST_EDITS, Brightness, Contrast, Crop, Edit, Rotate

_FIELDS: Final[Mapping[str, Mapping[str, tuple[float, float]]]] = {
    "crop": dict.fromkeys(("left", "top", "right", "bottom"), (0, 1_000_000)),
    "rotate": {"degrees": (-180, 180)},
    "brightness": {"percent": (-100, 100)},
    "contrast": {"percent": (10, 400)},
}
"""Of each step its fields and their bounds. All but degrees are whole numbers."""


def edits_to_json(edits: Sequence[Edit]) -> list[dict[str, Any]]:
    return [_to_json(edit) for edit in edits]


def edits_from_json(steps: object) -> tuple[Edit, ...]:
    """Raises InvalidInputError for what is no list of steps."""
    if not isinstance(steps, list | tuple) or len(steps) > MOST_EDITS:
        raise _invalid(f"Edits are a list of at most {MOST_EDITS} steps.")
    return tuple(_from_json(step) for step in steps)


def edits_from_text(text: str) -> tuple[Edit, ...]:
    """The steps in a JSON text. Raises InvalidInputError."""
    try:
        steps = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError("edits is not JSON: send a list of steps.", "fields") from error
    return edits_from_json(steps)


def _to_json(edit: Edit) -> dict[str, Any]:
    match edit:
        case Crop():
            return {"do": "crop", "left": edit.left, "top": edit.top, "right": edit.right, "bottom": edit.bottom}
        case Rotate():
            return {"do": "rotate", "degrees": edit.degrees}
        case Brightness():
            return {"do": "brightness", "percent": edit.percent}
        case Contrast():
            return {"do": "contrast", "percent": edit.percent}


def _from_json(step: object) -> Edit:
    do = step.get("do") if isinstance(step, Mapping) else None
    if not isinstance(step, Mapping) or not isinstance(do, str) or do not in _FIELDS:
        raise _invalid(f"Each step of an edit says what to `do`: one of {', '.join(_FIELDS)}.")
    bounds = _FIELDS[do]
    if set(step) != {"do", *bounds}:
        raise _invalid(f"The step {do} has these fields and no other: {', '.join(bounds)}.")
    values = {name: _number(f"{do}.{name}", step[name], *limits) for name, limits in bounds.items()}
    match do:
        case "rotate":
            return Rotate(values["degrees"])
        case "brightness":
            return Brightness(_whole(do, values["percent"]))
        case "contrast":
            return Contrast(_whole(do, values["percent"]))
        case _:
            return Crop(*(_whole(do, values[name]) for name in bounds))


def _number(name: str, value: object, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise _invalid(f"{name} is a number from {low:g} to {high:g}.")
    return float(value)


def _whole(do: str, value: float) -> int:
    if not math.isfinite(value) or value != int(value):
        raise _invalid(f"The step {do} takes whole numbers.")
    return int(value)


def _invalid(message: str) -> InvalidInputError:
    return InvalidInputError(message, "edits")
