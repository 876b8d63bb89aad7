"""The rules, one function each: pure, on frozen facts. Whoever acts asks them; a "no" is a PolicyRefusalError.

The sentence of a refusal says what to do and never holds a name or a case number, since it is written to the audit log.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from rtcc_bridge.errors import PolicyRefusalError
from rtcc_bridge.matching.types import Lane
from rtcc_bridge.policy import case_numbers, certificates
from rtcc_bridge.policy.accounts import Account, Role, same_person
from rtcc_bridge.policy.permissions import Deed, require_permission
from rtcc_bridge.policy.policy_file import Policy
from rtcc_bridge.policy.purposes import ABSOLUTE_REFUSALS, KILLINGS, OVERRIDABLE, Purpose, absolute_refusal

AUTHORITY_ENDED: Final = frozenset({"cancelled", "unfounded"})
"""Statuses that end an incident's authority. A closed incident keeps it: stills arrive days later (P08)."""

LIVE_GALLERY: Final = "live"
DEMO_GALLERY: Final = "demo"
TRAINING_GALLERY: Final = "training"


@dataclass(frozen=True, slots=True)
class IncidentFacts:
    """What the rules want to know of an incident; of a merged one, of the incident that it was merged into.

    refused_types: codes of `ABSOLUTE_REFUSALS` that the incident bore before, or that anything that was merged into it
    bears or bore. exercise_merged_in: whether anything that was merged into it is an exercise. killing_attested: two
    people have attested that it is a killing, which was coded as a disturbance. unreconciled: it is provisional, and
    the time to say which incident of dispatch it is has passed.
    """

    incident_type: str
    status: str
    exercise: bool
    case_number: str | None
    refused_types: frozenset[str] = frozenset()
    exercise_merged_in: bool = False
    killing_attested: bool = False
    unreconciled: bool = False


@dataclass(frozen=True, slots=True)
class ThreatFacts:
    """What the rules want to know of an alert. imminent: by the alert's own fields."""

    sender: str
    imminent: bool
    active: bool
    exercise: bool
    expires_at: datetime | None


def require_authority(incident: IncidentFacts) -> None:
    """P08: a cancelled or unfounded incident permits nothing any more; P01: nor does one that nobody reconciled."""
    if incident.status in AUTHORITY_ENDED:
        raise PolicyRefusalError(
            "P08",
            f"This incident is {incident.status}, which ended the authority to search: "
            "attach the still to the incident that is being investigated.",
        )
    require_reconciled(incident)


def require_reconciled(incident: IncidentFacts) -> None:
    """P01: what was opened while the feed was down permits nothing once the time to reconcile it has passed."""
    if incident.unreconciled:
        raise PolicyRefusalError(
            "P01",
            "This provisional incident was not reconciled in time, so it and what was searched for it is withdrawn: "
            "attach the still to the incident as dispatch has reported it.",
        )


def require_permitted_purpose(
    policy: Policy, purpose: str, incident: IncidentFacts, *, imminent_threat: bool
) -> Purpose:
    """P02: the purpose is one of the closed list and covers this type of incident.

    imminent_threat: whether an imminent threat is active for the incident; the purpose of that name then covers any
    type but the ones that are refused absolutely.
    """
    if purpose not in set(Purpose):
        raise PolicyRefusalError("P02", f"Searches have one of these purposes, no other: {', '.join(Purpose)}.")
    wanted = Purpose(purpose)
    incident_type = incident.incident_type.strip().upper()
    if forbidden := refused_matter(incident):
        way_out = ": of a killing two people can attest to it" if _refused_codes(incident) <= OVERRIDABLE else ""
        raise PolicyRefusalError(
            "P02",
            f"No search is made in {forbidden}, for any purpose. That this incident, or one that was merged into it, "
            f"was coded so is not undone by another code{way_out}.",
        )
    if wanted not in policy.purposes:
        raise PolicyRefusalError("P02", f"The policy in force does not permit searches for {wanted}.")
    if wanted is Purpose.IMMINENT_THREAT and imminent_threat:
        return wanted
    if not policy.covers(wanted, incident_type):
        raise PolicyRefusalError(
            "P02",
            f"The purpose {wanted} does not cover incidents of type {incident_type}: "
            "choose the purpose that fits, or leave the search.",
        )
    return wanted


def refused_matter(incident: IncidentFacts) -> str | None:
    """P02: what the incident is, or once was, about that is never searched for; None when there is nothing."""
    if incident.killing_attested and absolute_refusal(incident.incident_type) is None and is_recoded_killing(incident):
        return None
    codes = _refused_codes(incident)
    return ABSOLUTE_REFUSALS[min(codes)] if codes else None


def _refused_codes(incident: IncidentFacts) -> frozenset[str]:
    """The codes of `ABSOLUTE_REFUSALS` that it bears, or bore before."""
    own = absolute_refusal(incident.incident_type)
    return incident.refused_types if own is None else incident.refused_types | {own}


RECONCILE_WITHIN: Final = timedelta(hours=4)
"""So long a provisional incident may stand without an incident of dispatch (P01)."""


def require_feed_down(*, works: bool) -> None:
    """P01: only an incident that was seen on the feed is worked on, as long as there is a feed to be seen on."""
    if works:
        raise PolicyRefusalError("P01", "The feed of incidents works: have dispatch report the incident.")


def require_provisional_type(incident_type: str) -> None:
    """P02: nobody opens what is never searched for."""
    if (code := absolute_refusal(incident_type)) is not None:
        raise PolicyRefusalError("P02", f"No search is made in {ABSOLUTE_REFUSALS[code]}, so none is prepared for.")


def is_recoded_killing(incident: IncidentFacts) -> bool:
    """P02: whether this is a killing by now that was coded as a disturbance, and as nothing worse, before."""
    is_killing = incident.incident_type.strip().upper() in KILLINGS
    return is_killing and bool(incident.refused_types) and incident.refused_types <= OVERRIDABLE


def require_second_attestor(account: Account, *, attested_by: str) -> None:
    """P02: what overrides an absolute refusal is the word of two people."""
    require_permission(account, Deed.CONFIRM_KILLING)
    if same_person(account.name, attested_by):
        raise PolicyRefusalError("P02", "You have attested to it yourself: another person has to confirm it.")


def require_warrant(policy: Policy, purpose: Purpose, warrant_or_exigency: str | None) -> str | None:
    """P09: the warrant, or the exigency, where the jurisdiction asks for one. Returns it."""
    stated = (warrant_or_exigency or "").strip()
    if not stated and purpose in policy.jurisdiction.warrant_or_exigency_for:
        raise PolicyRefusalError(
            "P09",
            f"A search for {purpose} needs a warrant here, or the exigency that stands in for one: state it and send "
            "the still again.",
        )
    return stated or None


def require_grounds(incident: IncidentFacts, case_number: str | None, requestor: str, legal_basis: str) -> str:
    """P01: nobody searches without a case, a requestor and a legal basis. Returns the case number."""
    stated = case_numbers.case_number(case_number or "")
    known = case_numbers.case_number(incident.case_number or "")
    if stated and known and stated != known:
        raise PolicyRefusalError(
            "P01", "The incident belongs to another case: leave the case number empty, or give the incident's own."
        )
    missing = [
        name
        for name, value in (
            ("a case number", known or stated),
            ("a requestor", requestor),
            ("a legal basis", legal_basis),
        )
        if not value.strip()
    ]
    if missing:
        raise PolicyRefusalError("P01", f"A search needs {' and '.join(missing)}: fill it in and send the still again.")
    return known or stated


def require_open_case(*, disposed: bool) -> None:
    """P01: for a case that was disposed of nobody is searched for, until it is taken up again."""
    if disposed:
        raise PolicyRefusalError(
            "P01",
            "This case was disposed of, so nobody is searched for in it. If it was taken up again, have that recorded "
            "first, as its disposition `reopened`.",
        )


def require_still(*, animated: bool) -> None:
    """P03: one still picture, which a person chose. animated: the upload turned out to hold several frames."""
    if animated:
        raise PolicyRefusalError(
            "P03", "Only a single still picture is searched: choose one frame yourself and attach that frame."
        )


def require_attested(*, attested_original: bool) -> None:
    """P05: the analyst vouches that the picture shows a real person as a camera saw them."""
    if not attested_original:
        raise PolicyRefusalError(
            "P05",
            "Attest that the still is no sketch, composite, generated or face-swapped picture; "
            "such pictures are not searched.",
        )


def require_gallery_for(*, exercise: bool, training_gallery: str | None) -> None:
    """P07: what is not an actual event is searched in a training gallery or not at all."""
    if exercise and training_gallery is None:
        raise PolicyRefusalError(
            "P07",
            "This incident is an exercise or a test, and no training gallery is configured: "
            "exercises are never searched in the gallery of actual events.",
        )


def require_unmixed(incident: IncidentFacts) -> None:
    """P07: an exercise does not become an actual event by being merged into one."""
    if incident.exercise_merged_in and not incident.exercise:
        raise PolicyRefusalError(
            "P07",
            "An exercise or a test was merged into this incident, so it cannot be told which stills show an actual "
            "event: have dispatch take the merge back.",
        )


def require_searchable(*, exercise: bool, gallery_kind: str, model_problem: str, is_demo: bool) -> None:
    """P07 and P28: the kind of gallery that is about to be searched fits the event and the model.

    model_problem: why the model cannot show a signed evaluation on the agency's own pictures that meets the policy's
    limits; empty when it can. Only then a live gallery is searched. is_demo: the profile, in which a demo's gallery
    stands in for a live one; nowhere else, or that word at the command would do instead of an evaluation.
    """
    if exercise != (gallery_kind == TRAINING_GALLERY):
        raise PolicyRefusalError(
            "P07", f"{'An exercise' if exercise else 'An actual event'} is not searched in a {gallery_kind} gallery."
        )
    if gallery_kind not in {DEMO_GALLERY, TRAINING_GALLERY, LIVE_GALLERY}:
        raise PolicyRefusalError("P28", f"There is no such kind of gallery as {gallery_kind}: it is not searched.")
    if gallery_kind == DEMO_GALLERY and not is_demo:
        raise PolicyRefusalError(
            "P28", "A gallery of the kind demo is searched in the profile demo alone: enrol its pictures in a live one."
        )
    if gallery_kind == LIVE_GALLERY and model_problem:
        raise PolicyRefusalError(
            "P28", f"A live gallery needs a model pack with a signed evaluation that is in date: {model_problem}."
        )


ORDER_LASTS: Final = timedelta(hours=24)
"""So long an order to export may be approved, and so long after its approval carried out (P30)."""


@dataclass(frozen=True, slots=True)
class ExportOrderFacts:
    """What the rules want to know of an order to export a gallery.

    folder: a digest of where it is being written to, once it was begun. finished: it was carried out.
    """

    gallery: str
    with_pictures: bool
    asked_by: str
    asked_at: datetime
    approved_by: str | None
    approved_at: datetime | None
    folder: str | None
    finished: bool


def require_filled_by_page(*, gallery_kind: str, follows_records: bool) -> None:
    """P06: a live gallery follows the record system, or a manifest at the machine, and not whoever is signed in.

    follows_records: whether the record system's bookings go to the gallery.
    """
    if follows_records:
        raise PolicyRefusalError(
            "P06",
            "This gallery follows the record system: have the picture booked there, and it comes in by itself.",
        )
    if gallery_kind == LIVE_GALLERY:
        raise PolicyRefusalError(
            "P06",
            "No page adds to a live gallery: the record system books the picture, or operations enrol it with "
            "`rtcc-bridge gallery enroll`.",
        )


def require_second_person(account: Account, *, asked_by: str) -> None:
    """P30: what a gallery holds leaves only when two people want it, by whichever accounts they sign in."""
    require_permission(account, Deed.APPROVE_EXPORT)
    if same_person(account.name, asked_by):
        raise PolicyRefusalError("P30", "You have asked for this export yourself: another person has to approve it.")


def require_fresh_order(asked_at: datetime, now: datetime) -> None:
    """P30: what somebody asked for long ago is not approved any more."""
    if now >= asked_at + ORDER_LASTS:
        raise PolicyRefusalError("P30", "The time to approve this export has passed: ask for it again.")


def require_export_order(
    *, gallery: str, gallery_kind: str, with_pictures: bool, folder: str, order: ExportOrderFacts | None, now: datetime
) -> None:
    """P30: a gallery is exported on an order that two people gave, once, and into one folder.

    order: None where none is named; a demo's gallery is exported without one. folder: a digest of where to. An export
    that was interrupted goes on into the folder that it was begun in.
    """
    if order is None:
        if gallery_kind == DEMO_GALLERY:
            return
        raise PolicyRefusalError(
            "P30",
            "A gallery is exported by two people: one asks for it and another approves it, both signed in. Name "
            "their order with --order.",
        )
    if order.approved_by is None or order.approved_at is None or same_person(order.asked_by, order.approved_by):
        raise PolicyRefusalError("P30", "Nobody else has approved this export: another person has to sign in and do.")
    if now >= order.approved_at + ORDER_LASTS:
        raise PolicyRefusalError("P30", "The time to carry this order out has passed: ask for the export again.")
    if order.gallery != gallery or (with_pictures and not order.with_pictures):
        raise PolicyRefusalError(
            "P30", "The order is for another gallery, or for no pictures: export what was approved."
        )
    if order.finished or (order.folder is not None and order.folder != folder):
        raise PolicyRefusalError(
            "P30", "This order was carried out, or begun in another folder: one order, one export."
        )


def has_imminent_threat(policy: Policy, incident: IncidentFacts, threats: Iterable[ThreatFacts], now: datetime) -> bool:
    """P14: an active, unexpired alert of an actual event, imminent by its own fields, from a sender on the list.

    An alert without an expiry does not count: nothing would ever end its deferral. An exercise is never imminent,
    whatever an alert says of it.
    """
    return any(one.expires_at is not None and one.expires_at > now for one in _counting(policy, incident, threats))


def had_imminent_threat(policy: Policy, incident: IncidentFacts, threats: Iterable[ThreatFacts]) -> bool:
    """P02: such an alert was given and not taken back. That its time is over ends the deferral alone (P08)."""
    return any(one.expires_at is not None for one in _counting(policy, incident, threats))


def _counting(policy: Policy, incident: IncidentFacts, threats: Iterable[ThreatFacts]) -> list[ThreatFacts]:
    return [
        threat
        for threat in threats
        if not incident.exercise
        and threat.imminent
        and threat.active
        and not threat.exercise
        and threat.sender in policy.deferral.senders
    ]


def is_declared_imminent(
    policy: Policy, incident: IncidentFacts, declared_until: datetime | None, now: datetime
) -> bool:
    """P14: the watch commander has declared it, the declaration lasts, and the policy lists this type of incident."""
    listed = incident.incident_type.strip().upper() in policy.deferral.declarable_incident_types
    return not incident.exercise and listed and declared_until is not None and declared_until > now


def require_watch_commander(policy: Policy, account: Account, incident: IncidentFacts) -> None:
    """P14: who declares an incident imminent searches nothing themselves, and the policy lists its type."""
    require_permission(account, Deed.DECLARE_IMMINENT)
    if Role.ANALYST in account.roles:
        raise PolicyRefusalError("P14", "An analyst declares nothing imminent: the watch commander has to.")
    if incident.exercise or incident.incident_type.strip().upper() not in policy.deferral.declarable_incident_types:
        raise PolicyRefusalError("P14", "The policy does not list this type of incident as one to declare imminent.")


def require_declared_by_another(analyst: str, declared_by: str | None) -> None:
    """P14: who has declared an incident imminent searches nothing in it, under no other account either."""
    if declared_by is not None and same_person(analyst, declared_by):
        raise PolicyRefusalError(
            "P14", "You have declared this incident imminent: another analyst has to search in it while that lasts."
        )


def require_lift_by_another(account: Account, *, analyst: str) -> None:
    """P14: the administrator lifts the end of somebody else's deferral."""
    require_permission(account, Deed.LIFT_DEFERRAL)
    if same_person(account.name, analyst):
        raise PolicyRefusalError("P14", "These are lapses of your own: another administrator has to lift it.")


def lane_of(*, imminent_threat: bool, earlier: Lane = Lane.ROUTINE) -> Lane:
    """P14: imminent by the threat's own fields or as declared, never by choice. Its end does not slow a probe down."""
    return Lane.IMMINENT if imminent_threat else earlier


def approval_deadline(policy: Policy, *, imminent_threat: bool, unapproved: int, now: datetime) -> datetime | None:
    """P14: until when the approval may follow the search; None when the approval has to come first.

    unapproved: how many deferred approvals of this analyst have lapsed or have not come yet. Those that may still lapse
    count, or any number of searches could be begun before the first lapse.
    """
    if not imminent_threat or unapproved >= policy.deferral.lapses_that_end_it:
        return None
    return now + timedelta(minutes=policy.deferral.approve_within_minutes)


def require_independent_approver(account: Account, *, analyst: str, requestor: str) -> None:
    """P01: the supervisor who decides is neither the analyst nor the requestor."""
    require_permission(account, Deed.DECIDE_SEARCH)
    for other, part in ((analyst, "analyst"), (requestor, "requestor")):
        if same_person(account.name, other):
            raise PolicyRefusalError(
                "P01", f"You are the {part} of this search: another supervisor has to decide on it."
            )


def require_timely(*, approve_by: datetime | None, now: datetime) -> None:
    """P14: a deferred approval that comes too late is none."""
    if approve_by is not None and now >= approve_by:
        raise PolicyRefusalError(
            "P14",
            "The time for this approval has passed, so the search is withdrawn: where the case still needs it, the "
            "analyst attaches the still again.",
        )


MOST_APPROVED_AHEAD: Final = timedelta(hours=1)
"""An approval from further in the future holds no longer: the clock was set back since, and how old the approval is by
now nobody knows. A clock that was ahead by less and is put right sends no search back to the supervisor."""


def approval_span(policy: Policy, now: datetime) -> tuple[datetime, datetime]:
    """P01: after which moment, and by which, a search was approved that may be made now."""
    return now - timedelta(hours=policy.approval.valid_hours), now + MOST_APPROVED_AHEAD


def approval_end(policy: Policy, approved_at: datetime) -> datetime:
    """P01: from when on an approval of that moment covers no search any more."""
    return approved_at + timedelta(hours=policy.approval.valid_hours)


def approval_holds(policy: Policy, approved_at: datetime, now: datetime) -> bool:
    """P01: an approval covers a search for a limited time."""
    after, until = approval_span(policy, now)
    return after < approved_at <= until


@dataclass(frozen=True, slots=True)
class SearchGrounds:
    """What a search is made on: two stills of one unknown person have all of it in common (P01)."""

    incident_id: str
    case_number: str
    purpose: str
    legal_basis: str
    requestor: str
    analyst: str


MOST_STILLS: Final = 20
"""Under one approval (P01): more would be a search of its own."""


def require_covered(
    policy: Policy,
    approved_at: datetime | None,
    first: SearchGrounds,
    further: SearchGrounds,
    stills: int,
    now: datetime,
) -> None:
    """P01: one approval covers one unknown person of one case, for several stills, for a limited time.

    approved_at: None when the first still has no approval that stands. stills: how many the approval covers already.
    """
    if approved_at is None or not approval_holds(policy, approved_at, now):
        raise PolicyRefusalError(
            "P01", "The approval that should cover this still has ended, or never came: attach the still by itself."
        )
    if not same_person(first.analyst, further.analyst):
        raise PolicyRefusalError(
            "P01", "Only the analyst whose search was approved adds stills to it: attach this one by itself."
        )
    if first != replace(further, analyst=first.analyst):
        raise PolicyRefusalError(
            "P01",
            "An approval covers one person of one case: incident, case, purpose, legal basis and requestor have to be "
            "those of the approved search. State those, or attach this still by itself.",
        )
    if stills >= MOST_STILLS:
        raise PolicyRefusalError("P01", f"An approval covers {MOST_STILLS} stills: attach this one by itself.")


def require_other_picture(*, is_known: bool) -> None:
    """P01: two faces of one picture are two people, and one picture edited anew is another try; neither is covered.

    is_known: the approval was given for this very picture, or covers it already.
    """
    if is_known:
        raise PolicyRefusalError(
            "P01",
            "The approval that should cover this still was given for the same picture, or covers it already: attach it "
            "by itself, so that a supervisor decides on it.",
        )


def require_certified(account: Account, policy: Policy, now: datetime) -> None:
    """P10: whoever begins an analyst's work has every certificate that it needs, in date at this moment.

    Work that is under way is finished all the same, and marked: `certificates.marks`.
    """
    if gaps := certificates.missing(account.certificates, policy.certificates, now):
        raise PolicyRefusalError(
            "P10",
            f"New work needs a certificate that is in date: {', '.join(gaps)}. Take the course, or have the date "
            "entered and sign in again; what is under way can be finished.",
        )
