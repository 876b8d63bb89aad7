"""The structured comparison (P13): the parts of a face, what can be said of each, and an examiner's opinion. Pure.

The parts are those of facial image comparison as FISWG's feature list and ASTM E3149 name them. There are no
measurements: the standard advises against measuring faces in pictures.
"""

from collections.abc import Collection, Iterator, Mapping
from enum import StrEnum
from typing import Final

from pydantic import ConfigDict, Field

from rtcc_bridge.errors import PolicyRefusalError
from rtcc_bridge.leads.conclusions import is_support
from rtcc_bridge.leads.events import OpaqueRef, Part
from rtcc_bridge.policy.policy_parts import Conclusion

MOST_CANDIDATES: Final = 1000
LONGEST_NOTE: Final = 1000


class Component(StrEnum):
    """The closed list of what is compared."""

    SKIN = "skin"
    FACE_OUTLINE = "face_outline"
    HAIRLINE = "hairline"
    FOREHEAD = "forehead"
    EYEBROWS = "eyebrows"
    EYES = "eyes"
    CHEEKS = "cheeks"
    NOSE = "nose"
    EARS = "ears"
    MOUTH = "mouth"
    CHIN_AND_JAW = "chin_and_jaw"
    NECK = "neck"
    FACIAL_HAIR = "facial_hair"
    LINES = "lines"
    SCARS = "scars"
    MARKS = "marks"
    ALTERATIONS = "alterations"


class Finding(StrEnum):
    """What can be said of one part in the two pictures."""

    SIMILAR = "similar"
    DIFFERENT = "different"
    NOT_VISIBLE = "not_visible"


class Form(Part):
    """Something that an examiner fills in and reads again: one shape both ways; what is empty may be left out."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=False)


class ComponentFinding(Form):
    """One part of the face, compared."""

    component: Component
    finding: Finding
    note: str = Field(default="", max_length=LONGEST_NOTE, description="What is similar or different about it.")


class ComparedCandidate(Form):
    """The full form, for a candidate that triage has kept."""

    candidate_ref: OpaqueRef
    findings: tuple[ComponentFinding, ...] = Field(
        default=(), max_length=len(Component), description="Each part once; all of them before it is concluded."
    )
    conclusion: Conclusion | None = Field(default=None, description="Needed before it is concluded.")
    note: str = Field(default="", max_length=LONGEST_NOTE)


class Opinion(Form):
    """What one examiner thinks of a list: every candidate is either excluded in triage or compared with the form."""

    excluded: tuple[OpaqueRef, ...] = Field(
        default=(), max_length=MOST_CANDIDATES, description="Excluded at first sight, with one key."
    )
    compared: tuple[ComparedCandidate, ...] = Field(default=(), max_length=MOST_CANDIDATES)


class Aid(StrEnum):
    """What an examiner may see the two pictures by beside the form: one through the other, or one after the other.

    Both show at a glance what is alike, and hide what differs, so they never stand in for the form.
    """

    OVERLAY = "overlay"
    BLINK = "blink"


class AidUse(Form):
    """That an aid was used on a candidate."""

    candidate_ref: OpaqueRef
    aid: Aid


def require_beside_form(use: AidUse, opinion: Opinion) -> None:
    """P13: an aid is for candidates that triage has kept. Raises PolicyRefusalError."""
    if use.candidate_ref not in {one.candidate_ref for one in opinion.compared}:
        raise PolicyRefusalError(
            "P13", "Overlay and blink are used beside the form alone: keep the candidate for comparison first."
        )


def require_of_list(opinion: Opinion, listed: Collection[str]) -> None:
    """P13: the opinion is about candidates of this list, each once. Raises PolicyRefusalError."""
    refs = list(_refs(opinion))
    if len(refs) != len(set(refs)) or not set(refs) <= set(listed):
        raise PolicyRefusalError(
            "P13", "An opinion speaks of each candidate of its list once: excluded at first sight, or compared."
        )
    for candidate in opinion.compared:
        components = [finding.component for finding in candidate.findings]
        if len(components) != len(set(components)):
            raise PolicyRefusalError("P13", "A comparison speaks of each part of the face once.")


def require_complete(opinion: Opinion, listed: Collection[str]) -> None:
    """P13: nothing is concluded before all was looked at. Raises PolicyRefusalError that says what is missing.

    A support names something similar, and an exclusion by the full form something different; inconclusive asks for
    neither. In all else the form is the same for each conclusion, so that none is less work than another.
    """
    require_of_list(opinion, listed)
    missing = len(set(listed)) - len(set(_refs(opinion)))
    if missing:
        raise PolicyRefusalError("P13", f"Exclude or compare every candidate of the list: {missing} are left.")
    for candidate in opinion.compared:
        _require_whole(candidate)


def verdicts(opinion: Opinion) -> Mapping[str, Conclusion]:
    """The conclusion on each candidate of a complete opinion, by its reference."""
    compared = {one.candidate_ref: one.conclusion for one in opinion.compared if one.conclusion is not None}
    return {**dict.fromkeys(opinion.excluded, Conclusion.EXCLUSION), **compared}


def _refs(opinion: Opinion) -> Iterator[str]:
    yield from opinion.excluded
    yield from (candidate.candidate_ref for candidate in opinion.compared)


def _require_whole(candidate: ComparedCandidate) -> None:
    found = {finding.component: finding.finding for finding in candidate.findings}
    missing = [component.value for component in Component if component not in found]
    if missing:
        raise PolicyRefusalError("P13", f"The comparison leaves parts of the face out: {', '.join(missing)}.")
    if candidate.conclusion is None:
        raise PolicyRefusalError("P13", "A comparison ends in a conclusion, which may be that nothing can be told.")
    needed = None
    if is_support(candidate.conclusion):
        needed = Finding.SIMILAR
    elif candidate.conclusion is Conclusion.EXCLUSION:
        needed = Finding.DIFFERENT
    if needed is not None and needed not in found.values():
        raise PolicyRefusalError(
            "P13", f"A conclusion of {candidate.conclusion} names at least one part that is {needed}."
        )
