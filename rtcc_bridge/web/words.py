"""What the pages say: codes of the program and of dispatch in plain words. One place, so that one word means one thing.

Incident types are the APCO common incident type codes (ANS 2.103.1); a code without words is shown as it is.
"""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from rtcc_bridge.incidents.incident import THREAT_TYPE, UNKNOWN_TYPE
from rtcc_bridge.leads.events import EstimatedFpir, LeadData
from rtcc_bridge.policy.purposes import Purpose
from rtcc_bridge.probes.state import Approval, ProbeState

LEAD_ONLY: Final = "Investigative lead only - needs corroboration"
"""At every lead, and on top of every page (P15)."""

INCIDENT_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "ABDUCTF": "Abduction by family",
        "ABDUCTNF": "Abduction",
        "ALIEN": "Immigration matter",
        "ASSAULT": "Assault",
        "BARICADE": "Barricaded person",
        "BOMB": "Bomb threat",
        "CARJACK": "Carjacking",
        "CIVDIS": "Civil disturbance",
        "DEATH": "Body found",
        "DROWN": "Drowning",
        "DVA": "Domestic violence",
        "FARSON": "Arson",
        "HOMICIDE": "Homicide",
        "HOSTAGE": "Hostage taking",
        "MCI": "Mass casualty incident",
        "OD": "Overdose",
        "PERFND": "Person found",
        "PERUNCON": "Unconscious person",
        "ROBBERY": "Robbery",
        "SEXOFFNS": "Sexual offense",
        "SHOOT": "Shooting",
        "STABBING": "Stabbing",
        "STROKE": "Stroke",
        "SUICIDE": "Suicide",
        "TERROR": "Terrorist activity",
        "THREATS": "Threats",
        "TRAUMA": "Severe injury",
        "WEAPON": "Person with a weapon",
        THREAT_TYPE: "Threat without an incident",
        UNKNOWN_TYPE: "Not classified yet",
    }
)

PURPOSES: Final[Mapping[Purpose, tuple[str, str]]] = MappingProxyType(
    {
        Purpose.VIOLENT_OFFENSE: ("Violent offense", "Find who may have committed this violent crime."),
        Purpose.IMMINENT_THREAT: ("Imminent threat", "Prevent an imminent threat to public safety."),
        Purpose.IDENTIFY_DECEASED: ("Deceased person", "Learn who a dead person was."),
        Purpose.IDENTIFY_INCAPACITATED: (
            "Person who cannot say who they are",
            "Learn who somebody is that is unconscious, injured or confused.",
        ),
    }
)

DEMO_PEOPLE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "floor": "Floor",
        "analyst": "Analyst",
        "supervisor": "Supervisor",
        "reviewer": "Peer reviewer",
        "examiner": "Third examiner",
        "requestor": "Investigator",
        "administrator": "Administrator",
        "auditor": "Auditor",
    }
)
"""The demo's accounts that the role switch offers, in the order in which a lead passes through their hands."""


class FirstStep(NamedTuple):
    """A step of the demo's guide: what it is about, what to do, and the page where that is done."""

    title: str
    sentence: str
    where: str


FIRST_STEPS: Final = (
    FirstStep(
        "The board",
        "Incidents arrive by themselves; one under an imminent threat stands on top and counts down. Open that one: "
        "its name opens it.",
        "/",
    ),
    FirstStep(
        "A still",
        "Act as the Analyst, at the foot of the page. On the incident's page attach the still that the demo has left "
        "for you; the purpose is the imminent threat, the requestor is called requestor.",
        "/",
    ),
    FirstStep(
        "A face",
        "Choose one face and search for it: the others are never compared. Because of the threat the search begins "
        "at once, and the Supervisor has an hour to approve it on the page Approvals.",
        "/approvals",
    ),
    FirstStep(
        "Two examiners",
        "The Analyst acknowledges the lead on the board and examines it. The Peer reviewer does the same on the page "
        "Review, and is told nothing of what the first one thinks.",
        "/review",
    ),
    FirstStep(
        "The investigator",
        "The Analyst releases the lead. The Investigator reads it with its limits on the page Released leads, and "
        "reports what independent evidence said. A lead alone identifies nobody.",
        "/released",
    ),
)

PROBE_STATES: Final[Mapping[ProbeState, tuple[str, str]]] = MappingProxyType(
    {
        ProbeState.FACES_FOUND: ("Choose a face", "Nothing has been compared yet."),
        ProbeState.AWAITING_APPROVAL: (
            "Waiting for a supervisor",
            "The search starts when a supervisor approves it. You need not stay on this page.",
        ),
        ProbeState.AUTHORIZED: (
            "Searching",
            "The chosen face is compared with the gallery. If it has to wait, the foot of this page says for what.",
        ),
        ProbeState.SEARCHED: ("Searched", "The search has ended and its lead is on the feed."),
        ProbeState.REJECTED_QUALITY: (
            "Too poor to search",
            "This is a result, and it is on the feed. Attach a better frame of the same person if there is one.",
        ),
        ProbeState.UNREADABLE: ("Not searched", "Nothing was compared. This is a result, and it is on the feed."),
        ProbeState.REFUSED: ("Refused by the supervisor", "Nothing of this search may be used."),
        ProbeState.WITHDRAWN: ("Withdrawn", "Nothing of this search may be used."),
    }
)

APPROVALS: Final[Mapping[Approval, str]] = MappingProxyType(
    {
        Approval.NONE: "Not asked for yet",
        Approval.PENDING: "Pending",
        Approval.GRANTED: "Granted",
        Approval.REFUSED: "Refused",
        Approval.LAPSED: "Did not come in time",
    }
)

WITHDRAWALS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "authority_ended": "its incident was cancelled or unfounded",
        "approval_refused": "the supervisor refused the search",
        "approval_lapsed": "the approval did not come in time",
        "no_longer_supported": "what it rested on does not stand any more",
    }
)

REVIEW_STATES: Final[Mapping[str, str]] = MappingProxyType(
    {"in_review": "In review", "inconclusive": "Inconclusive", "released": "Released to the requestor"}
)

LEAD_GROUP_WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "unreviewed": "Unreviewed",
        "in_review": "In review",
        "inconclusive": "Inconclusive",
        "released": "Released",
        "ended": "Withdrawn or expired",
    }
)
"""The leads that the board can be narrowed to."""

DEPENDENCIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "broker": "Leads reach this board but no other system: the message broker does not answer.",
        "consumer": "No new incident and no new alert arrives: the message broker does not answer.",
        "database": "The database does not answer. Nothing new is shown until it does.",
        "evaluation": "Searches wait: the model has no signed evaluation that is in date, and without one no live "
        "gallery is searched (P28). Tell the administrator.",
        "gallery": "Searches wait: it cannot be confirmed whether somebody was removed from the gallery (P25). They go "
        "on by themselves when it can.",
        "intake": "Stills cannot be read at this moment. Attach them later.",
        "matcher": "Searches wait: the message broker does not answer.",
        "objects": "The store of sealed pictures does not answer. Attach stills later.",
        "records": "New bookings, and orders to seal or remove somebody, wait: the message broker does not answer.",
    }
)
"""What it means for the floor that something is not ready, by the first word of the name that `/readyz` gives it."""

UNATTENDED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "consumer": "Nobody reads incidents and alerts now",
        "matcher": "Nobody searches now",
        "relay": "Nothing new reaches this board or any other system now",
    }
)
"""What it means for the floor that no process has that role. (Without web there is no board to say it.)"""


_BASES: Final = (100, 1_000, 10_000, 100_000)
_FEWEST: Final = 10
"""Of so many searches that at least so few are meant: a larger number that is counted from says no more."""


def edit_words(step: Mapping[str, Any]) -> str:
    """A step of an edit, as `probes.edits` writes it, for a person."""
    match step:
        case {"do": "crop", "left": left, "top": top, "right": right, "bottom": bottom}:
            return f"cropped to {right - left} x {bottom - top} pixels from {left}, {top}"
        case {"do": "rotate", "degrees": degrees}:
            return f"turned {abs(degrees):g}° {'clockwise' if degrees >= 0 else 'counterclockwise'}"
        case {"do": "brightness", "percent": percent}:
            return f"brightness {percent:+d} %"
        case _:
            return f"contrast {step['percent']} %"


def outage_words(name: str) -> str:
    return DEPENDENCIES.get(name.replace(".", " ").split(" ")[0], f"{name} is not ready.")


def unattended_words(role: str, last_seen: datetime | None) -> str:
    """last_seen: of the last process with the role; none is known when the last one ended in good order."""
    since = " reports" if last_seen is None else f" has reported since {last_seen:%H:%M:%S} UTC"
    return f"{UNATTENDED[role]}: no {role} process{since}."


def incident_words(code: str) -> str:
    return INCIDENT_TYPES.get(code, code)


def result_words(data: LeadData) -> str:
    """What came of the search, in a few words."""
    if data.result == "rejected_quality":
        return "Picture could not be searched"
    if data.result == "no_candidate":
        return "No candidate"
    if data.result == "inconclusive":
        return "Nothing could be told"
    return "1 candidate to compare" if data.candidate_count == 1 else f"{data.candidate_count} candidates to compare"


def of_searches(estimate: EstimatedFpir) -> str:
    """How often a search lists somebody although the person is not there, as a count of whole searches.

    Not as a percentage: beside candidates that would be read as how likely one of them is the person.
    """
    searches = next((base for base in _BASES if estimate.value * base >= _FEWEST), _BASES[-1])
    low, value, high = (round(part * searches) for part in (estimate.low, estimate.value, estimate.high))
    about = f"about {value:,}" if value else "fewer than 1"
    return f"{about} of {searches:,} searches like this one (between {low:,} and {high:,})"


def lead_state(data: LeadData) -> tuple[str, str]:
    """The state of a lead: a word for its style, and what the board says."""
    if data.review_state == "withdrawn":
        return "withdrawn", "Withdrawn"
    if data.review_state == "expired":
        return "expired", "Expired"
    if data.review_state in REVIEW_STATES:
        return data.review_state, REVIEW_STATES[data.review_state]
    if data.acknowledged_at is not None:
        return "taken", "Taken by an analyst"
    return "unreviewed", "Unreviewed"


def lead_detail(data: LeadData) -> str | None:
    """What a reader of the board has to know of the lead beside its state."""
    if data.withdrawal is not None:
        return f"Do not use: {WITHDRAWALS[data.withdrawal.cause]}."
    if data.review_state == "expired":
        why = "its time was over" if data.released_at is None else "no outcome was reported in time"
        return f"Do not use: {why}."
    return None
