"""What the pages of oversight say: acts of the log, roles, certificates. Beside `words` and `life_words`."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from rtcc_bridge.audit.entries import DECLINED, REFUSED
from rtcc_bridge.gallery.identity import GalleryKind
from rtcc_bridge.gallery.set_aside import Reason
from rtcc_bridge.policy.accounts import Role
from rtcc_bridge.policy.policy_parts import CertificateKind
from rtcc_bridge.storage.sent_pictures import SentPictureRecord

KINDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "probe": "Stills and searches",
        "clip": "Clips",
        "lead": "Leads",
        "examination": "Examinations",
        "review": "Blind reviews",
        "incident": "Incidents",
        "deferral": "Deferred approvals",
        "gallery": "Galleries",
        "retention": "Retention and holds",
        "record": "Access logs",
        "report": "Reports",
        "misuse": "Signs of misuse",
        "proficiency": "Seeded cases",
        "session": "Sessions",
        "account": "Local accounts",
        "people": "People",
        "token": "Service tokens",
        "policy": "Policy",
        "audit": "The log itself",
        "oversight": "Oversight",
        "keys": "Master keys",
        "system": "Backups",
        "topic": "Topics",
    }
)
"""By the word with which an action begins, in the order in which they are offered."""

ACTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "account.add": "Add a local account",
        "account.disable": "Disable a local account",
        "account.list": "See the local accounts",
        "account.password": "Set a password",
        "activity.view": "See one's own activity",
        "audit.checkpoint_signed": "Sign a checkpoint",
        "audit.export": "Export the log",
        "audit.exported": "Export the log",
        "audit.journal_merged": "Enter what was noted while the log could not be written",
        "audit.journal_set_aside": "Set aside what was noted and cannot be entered",
        "audit.key": "Change the key that signs checkpoints",
        "audit.view": "Look at the log",
        "clip.attach": "Attach a clip",
        "clip.choose": "Choose a frame of a clip",
        "clip.destroyed": "Destroy a clip",
        "clip.view": "Look through a clip",
        "deferral.lift": "Let approvals be deferred again",
        "deferral.view": "See whose approvals have lapsed",
        "examination.aid": "Lay one picture over the other",
        "examination.conclude": "File a conclusion",
        "examination.keep": "Keep notes of an examination",
        "examination.picture": "Look at a picture in an examination",
        "examination.view": "Open the list of a lead",
        "gallery.approve_export": "Approve an export",
        "gallery.ask_export": "Ask for an export",
        "gallery.bytes_gone": "Second receipt: the bytes are gone",
        "gallery.compacted": "Merge segments",
        "gallery.created": "Make a gallery",
        "gallery.enroll": "Enrol pictures",
        "gallery.enrolled": "Enrol pictures",
        "gallery.expire": "Remove what is past its date",
        "gallery.exported": "Export a gallery",
        "gallery.expunge": "Remove somebody from a gallery",
        "gallery.expunged": "Remove somebody from a gallery",
        "gallery.retention_ended": "Remove images at their date",
        "gallery.retention_moved": "Move a retention date",
        "gallery.scrubbed": "Take templates out of a sealed segment",
        "gallery.see_exports": "See the orders to export",
        "gallery.send_picture": "Send a picture for a gallery",
        "gallery.view": "See the galleries",
        "incident.attest_killing": "Attest that a killing was coded as a disturbance",
        "incident.confirm_killing": "Confirm that a killing was coded as a disturbance",
        "incident.declare_imminent": "Declare an incident imminent",
        "incident.notes": "Read the notes of dispatch",
        "incident.open_provisional": "Open an incident while the feed is down",
        "incident.reconcile": "Reconcile a provisional incident",
        "incident.view_provisional": "See the provisional incidents",
        "incident.withdraw_provisional": "Withdraw what was not reconciled in time",
        "keys.rotate": "Change a master key",
        "lead.acknowledge": "Take a lead",
        "lead.acknowledge_withdrawal": "Confirm that a lead is not to be used",
        "lead.acknowledged": "Take a lead",
        "lead.answer_for_receiver": "Say that a receiver outside was told of a withdrawal",
        "lead.approve_disclosure": "Approve that everybody on a list is identified",
        "lead.ask_disclosure": "Ask for everybody on a list to be identified",
        "lead.approval_lapsed": "Withdraw a lead: the approval did not come",
        "lead.candidates": "Search: candidates",
        "lead.corroborated": "Report: corroborated",
        "lead.discovery_packet": "Make a discovery packet",
        "lead.expired": "End a lead without an outcome",
        "lead.extend": "Give a lead more time",
        "lead.in_review": "Open the blind review",
        "lead.inconclusive": "Close a lead as inconclusive",
        "lead.no_candidate": "Search: no candidate",
        "lead.outcome": "Report an outcome",
        "lead.outstanding": "See who has not confirmed a withdrawal",
        "lead.picture": "Look at a picture of a released lead",
        "lead.receive": "Open a released lead",
        "lead.received": "See the leads that one received",
        "lead.receivers": "See who received a lead",
        "lead.refuted": "Report: refuted",
        "lead.rejected_quality": "Search: the picture was too poor",
        "lead.release": "Release a lead",
        "lead.released": "Release a lead",
        "lead.remind": "Ask for an outcome",
        "lead.search_repeated": "Repeat a search",
        "lead.see_disclosures": "See the orders to identify everybody on a list",
        "lead.standing": "See how a lead stands",
        "lead.unresolved": "Report: unresolved",
        "lead.withdraw": "Withdraw a lead",
        "lead.withdrawn": "Withdraw a lead",
        "misuse.view": "Look at the signs of misuse",
        "oversight.figures": "See the figures of oversight",
        "oversight.view": "See the pages of oversight",
        "people.end_sessions": "Sign somebody out",
        "people.view": "See people, certificates and sessions",
        "policy.compare": "Compare policies",
        "policy.reload": "Read the policy again",
        "policy.view": "See the policy",
        "probe.approval_lapsed": "End a search: the approval did not come",
        "probe.approve": "Approve a search",
        "probe.attach": "Attach a still",
        "probe.choose_face": "Choose a face",
        "probe.earlier": "See what came of a picture before",
        "probe.edit": "Edit a still",
        "probe.preview": "Look at a still",
        "probe.queue": "See the searches that wait",
        "probe.refuse": "Refuse a search",
        "probe.search": "Search the gallery for a face",
        "probe.suspend": "Hold a search back",
        "probe.state": "See how far a search is",
        "probe.view": "Open a search",
        "probe.withdraw": "Withdraw a search",
        "proficiency.results": "See how seeded cases were answered",
        "proficiency.seed": "Seed a case",
        "record.access_log": "Make an access log",
        "report.transparency": "Make the transparency report",
        "retention.bytes_gone": "Second receipt of a purge",
        "retention.disposition": "Record how a case was disposed of",
        "retention.hold": "Place a legal hold",
        "retention.holds": "See the legal holds",
        "retention.preview": "See what is due to be purged",
        "retention.purged": "Purge a search",
        "retention.receipts": "See the receipts of purges",
        "retention.run": "Purge what is due",
        "retention.release_hold": "Lift a legal hold",
        "review.conclude": "File a blind review",
        "review.hand_over": "Hand a third examination over",
        "review.keep": "Keep notes of a review",
        "review.queue": "See the blind reviews",
        "review.take": "Take a blind review",
        "review.view": "Open a blind review",
        "session.begin": "Sign in",
        "session.end": "End a session",
        "session.lock": "Lock a session",
        "session.provider_logout": "End sessions at the provider's word",
        "session.roles": "Take over changed roles",
        "system.backed_up": "Make a backup",
        "system.restored": "Bring a backup back",
        "token.create": "Create a service token",
        "token.list": "See the service tokens",
        "token.revoke": "Revoke a service token",
        "topic.resume": "Go on with a paused topic",
    }
)
"""What was done or tried. An action without words is shown as it is."""

ROLES: Final[Mapping[Role, str]] = MappingProxyType(
    {
        Role.FLOOR: "Floor",
        Role.ANALYST: "Analyst",
        Role.SUPERVISOR: "Supervisor",
        Role.REQUESTOR: "Investigator",
        Role.ADMINISTRATOR: "Administrator",
        Role.AUDITOR: "Auditor",
        Role.OPERATIONS: "Operations",
    }
)

CERTIFICATES: Final[Mapping[CertificateKind, str]] = MappingProxyType(
    {
        CertificateKind.FACIAL_COMPARISON: "Facial comparison, 32 hours",
        CertificateKind.IMPLICIT_BIAS: "Implicit bias",
        CertificateKind.YEARLY_REFRESHER: "Yearly refresher",
    }
)


RULES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "P01": "grounds and approval",
        "P02": "permitted purposes",
        "P03": "one chosen still",
        "P04": "one chosen face",
        "P05": "attested and unaltered",
        "P06": "own galleries",
        "P07": "exercises apart",
        "P08": "ended authority",
        "P09": "warrant or exigency",
        "P10": "role or certificate",
        "P11": "two people",
        "P12": "blind review",
        "P13": "structured comparison",
        "P14": "deferred approval",
        "P17": "at most two released",
        "P18": "corroboration",
        "P21": "signed policy",
        "P24": "retention",
        "P26": "transparency report",
        "P28": "evaluated model",
        "P29": "sign-in",
        "P30": "authority and two-person gates",
    }
)
"""What a rule that refused is about, in a few words. docs/policy.md has the whole of each."""


def sent_picture_words(record: SentPictureRecord) -> str:
    """What is to be said of a picture that was sent for a gallery, beside the state that it is in."""
    if record.settled_at is None:
        return "A matcher makes its template: seconds, while one runs."
    if record.reason is None:
        return f"Searched from version {record.version:,} on."
    if record.reason == Reason.ALREADY_ENROLLED:
        return "It was enrolled before: nothing changed."
    detail = (record.detail or "").rstrip(".")
    return f"{detail[:1].upper()}{detail[1:]}."


GALLERY_KINDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        GalleryKind.LIVE.value: "Live",
        GalleryKind.TRAINING.value: "Training",
        GalleryKind.DEMO.value: "Demonstration",
    }
)


def act_words(action: str) -> str:
    return ACTS.get(action, action)


def outcome_words(outcome: str) -> str:
    """The log's own words with spaces, but where they would be taken for something else."""
    return {REFUSED: "Refused", DECLINED: "The search is refused"}.get(outcome, outcome.replace("_", " ").capitalize())
