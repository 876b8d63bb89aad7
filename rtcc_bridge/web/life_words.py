"""What the pages of a lead's life say: the parts of a face, conclusions, evidence, limits, keys. Beside `words`."""

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from rtcc_bridge.leads.comparison import Aid, Component, Finding
from rtcc_bridge.leads.lead import Outcome
from rtcc_bridge.policy.policy_parts import Conclusion, EvidenceKind
from rtcc_bridge.reports.misuse_signals import SignalKind

COMPONENTS: Final[Mapping[Component, str]] = MappingProxyType(
    {
        Component.SKIN: "Skin",
        Component.LINES: "Lines",
        Component.SCARS: "Scars",
        Component.MARKS: "Marks",
        Component.ALTERATIONS: "Alterations",
        Component.FACIAL_HAIR: "Facial hair",
        Component.FACE_OUTLINE: "Face, head outline",
        Component.HAIRLINE: "Hairline",
        Component.FOREHEAD: "Forehead",
        Component.CHEEKS: "Cheeks",
        Component.CHIN_AND_JAW: "Chin and jaw",
        Component.NECK: "Neck",
        Component.EYEBROWS: "Eyebrows",
        Component.EYES: "Eyes",
        Component.NOSE: "Nose",
        Component.EARS: "Ears",
        Component.MOUTH: "Mouth",
    }
)
"""In the order of the form: surface, outline, features."""

FINDINGS: Final[Mapping[Finding, str]] = MappingProxyType(
    {Finding.SIMILAR: "Similar", Finding.DIFFERENT: "Different", Finding.NOT_VISIBLE: "Not visible"}
)

AIDS: Final[Mapping[Aid, str]] = MappingProxyType({Aid.OVERLAY: "Overlay", Aid.BLINK: "Blink"})

CONCLUSIONS: Final[Mapping[Conclusion, str]] = MappingProxyType(
    {
        Conclusion.STRONG_SUPPORT: "Strong support",
        Conclusion.SUPPORT: "Support",
        Conclusion.LIMITED_SUPPORT: "Limited support",
        Conclusion.INCONCLUSIVE: "Inconclusive",
        Conclusion.EXCLUSION: "Exclusion",
    }
)

CONCLUSION_KEYS: Final[Mapping[Conclusion, str]] = MappingProxyType(
    {
        Conclusion.STRONG_SUPPORT: "5",
        Conclusion.SUPPORT: "6",
        Conclusion.LIMITED_SUPPORT: "7",
        Conclusion.INCONCLUSIVE: "8",
        Conclusion.EXCLUSION: "9",
    }
)
"""One key for each, so that none is nearer than another (P13). Apart from 1 to 3, which judge parts: whoever presses
one of those once too often concludes nothing."""

CONCLUSIONS_FOR_REQUESTORS: Final[Mapping[Conclusion, str]] = MappingProxyType(
    {
        Conclusion.STRONG_SUPPORT: "Two examiners see strong support that the two pictures show one person.",
        Conclusion.SUPPORT: "Two examiners see support that the two pictures show one person.",
        Conclusion.LIMITED_SUPPORT: "Two examiners see limited support that the two pictures show one person.",
        Conclusion.INCONCLUSIVE: "A third examiner could not tell.",
        Conclusion.EXCLUSION: "A third examiner holds that the two pictures show different people.",
    }
)
"""What an agreed conclusion, or dissent, means to somebody who is no examiner."""

OUTCOMES: Final[Mapping[Outcome, tuple[str, str]]] = MappingProxyType(
    {
        Outcome.CORROBORATED: ("Corroborated", "Independent evidence points to the same person. Give each item."),
        Outcome.REFUTED: ("Refuted", "Independent evidence says that it is somebody else."),
        Outcome.UNRESOLVED: ("Unresolved", "Nothing was found either way, so far."),
    }
)

EVIDENCE: Final[Mapping[EvidenceKind, str]] = MappingProxyType(
    {
        EvidenceKind.DNA: "DNA",
        EvidenceKind.FINGERPRINTS: "Fingerprints",
        EvidenceKind.IDENTITY_DOCUMENT: "Identity document",
        EvidenceKind.OFFICIAL_RECORD: "Official record",
        EvidenceKind.PHONE_RECORDS: "Phone records",
        EvidenceKind.LOCATION_RECORDS: "Location records",
        EvidenceKind.FINANCIAL_RECORDS: "Financial records",
        EvidenceKind.DIGITAL_TRACES: "Digital traces",
        EvidenceKind.PHYSICAL_TRACE: "Physical trace",
        EvidenceKind.SEIZED_PROPERTY: "Seized property",
        EvidenceKind.VEHICLE: "Vehicle",
        EvidenceKind.OTHER_RECORDING: "Other recording",
        EvidenceKind.ADMISSION: "Admission",
        EvidenceKind.ALIBI: "Alibi",
        EvidenceKind.WITNESS_IDENTIFICATION: "Identification by a witness, made before the disclosure",
    }
)

SIGNALS: Final[Mapping[SignalKind, str]] = MappingProxyType(
    {
        SignalKind.SAME_STILL: "The same still again",
        SignalKind.RECROPS: "Cropped until something came up",
        SignalKind.OFF_SHIFT: "Off shift",
        SignalKind.UNOPENED_APPROVALS: "Approved unopened",
        SignalKind.LAPSED_DEFERRALS: "Approval did not come",
        SignalKind.NEVER_DISAGREES: "Never disagrees",
        SignalKind.MISSED_CASES: "Misses seeded cases",
    }
)

SIGNAL_ITEMS: Final[Mapping[SignalKind, str]] = MappingProxyType(
    {
        SignalKind.SAME_STILL: "search",
        SignalKind.RECROPS: "still",
        SignalKind.OFF_SHIFT: "act",
        SignalKind.UNOPENED_APPROVALS: "search",
        SignalKind.LAPSED_DEFERRALS: "search",
        SignalKind.NEVER_DISAGREES: "review",
        SignalKind.MISSED_CASES: "case",
    }
)
"""What each thing that a sign rests on is called; the page counts them."""

LIST_LIMITS: Final = (
    "The list is a search's, and a search always finds who looks alike. Nobody on it need be the person in the still.",
    "The order is random. Nothing on this page says how alike the search found anybody.",
    "Differences weigh as much as similarities. What a poor picture hides is neither: it is not visible.",
    "Nothing is measured: distances in a photograph depend on the camera and the pose.",
    "Overlay and blink show what is alike and hide what differs. The form decides, and their use is recorded.",
)
"""Of the method, for the list as a whole and never for a candidate (P13)."""

Shortcuts = Sequence[tuple[str, str]]

ANYWHERE: Final[Shortcuts] = (("?", "Show these keys"),)
DEMO_SHORTCUTS: Final[Shortcuts] = (("h", "First steps in the demo, open or closed"),)

BENCH_SHORTCUTS: Final[Shortcuts] = (
    ("j", "Next candidate"),
    ("k", "Previous candidate"),
    ("x", "Exclude at first sight, or bring back; a form that was begun stays"),
    ("c", "Keep the candidate and compare"),
    ("1", "This part is similar"),
    ("2", "This part is different"),
    ("3", "This part is not visible"),
    ("u", "Back to the part before"),
    ("n", "Write a note on what was judged last; Enter goes back"),
    ("e", "To the conclusion"),
    *((key, f"Conclude: {CONCLUSIONS[conclusion]}") for conclusion, key in CONCLUSION_KEYS.items()),
    ("p", "Next photo of the candidate"),
    ("z", "Both pictures move together, or each alone"),
    ("f", "Flip the candidate's picture"),
    ("g", "Grey, both pictures"),
    ("0", "Both pictures as they came"),
    ("o", "Beside the form: the candidate over the still, or away"),
    ("b", "Beside the form: still and candidate in turn, or the still alone"),
    ("l", "The limits of the method"),
    ("s", "Read it through and file it"),
)

SHORTCUTS: Final[Mapping[str, Shortcuts]] = MappingProxyType(
    {
        "approvals.html": (
            ("j", "Next request"),
            ("k", "Previous request"),
            ("a", "To the approval; Enter then approves"),
            ("r", "To the refusal: type a reason, then Enter"),
        ),
        "bench.html": BENCH_SHORTCUTS,
        "board.html": (
            ("j", "Next incident or lead"),
            ("k", "Previous incident or lead"),
            ("f", "To the filters"),
            ("m", "Sound for imminent threats, on or off"),
        ),
        "reviews.html": (("j", "Next review"), ("k", "Previous review")),
        "received.html": (("j", "Next lead"), ("k", "Previous lead")),
        "released.html": (("o", "To the outcome"),),
        "galleries.html": (("j", "Next gallery"), ("k", "Previous gallery")),
        "audit.html": (("j", "Next entry"), ("k", "Previous entry")),
        "activity.html": (("j", "Next search or review"), ("k", "Previous search or review")),
        "lead.html": (("r", "To the release; Enter then releases"),),
        "clip.html": (
            (",", "Previous frame; the left arrow does the same"),
            (".", "Next frame; the right arrow does the same"),
            ("j", "Ten frames back"),
            ("l", "Ten frames on"),
            ("s", "The sharpest frame near here"),
            ("u", "To the button; Enter then uses the frame"),
        ),
        "probe.html": (
            ("1", "Choose face 1; so up to 9. Enter then searches"),
            ("o", "The original as it came, and back"),
            ("[", "Turn a quarter to the left"),
            ("]", "Turn a quarter to the right"),
            (";", "Turn one degree to the left"),
            ("'", "Turn one degree to the right"),
            ("b", "Brighter"),
            ("v", "Darker"),
            ("n", "More contrast"),
            ("m", "Less contrast"),
            ("c", "To the crop"),
            ("z", "Take the last step back"),
            ("a", "Apply the steps: faces are looked for anew"),
        ),
    }
)
"""By the page's template. The keys are also what `keys.js` acts on, so that none is listed that does nothing."""


def aids_in_words(used: Collection[Aid]) -> str:
    """Which aids were used on a candidate; empty for none."""
    return " and ".join(words.lower() for aid, words in AIDS.items() if aid in used)


def letter(place: int) -> str:
    """A candidate's name on one list: A, B, ... Z, AA. Letters, since a number would read as a rank."""
    text, rest = "", place
    while rest >= 0:
        text = chr(ord("A") + rest % 26) + text
        rest = rest // 26 - 1
    return text
