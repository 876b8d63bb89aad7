"""Who may do what: the one table of roles and deeds (P10). Every service asks it, whichever way a call came."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from rtcc_bridge.errors import PolicyRefusalError
from rtcc_bridge.policy.accounts import Account, Role


class Deed(StrEnum):
    """What can be done. The value completes the sentence "Only ... may ..."."""

    READ_DOCUMENTS = "read the documents of the API"
    SEE_HEALTH = "see the metrics and what is not ready"
    WATCH_FLOOR = "watch the floor"
    ATTACH_STILL = "attach a still"
    CHOOSE_FACE = "choose a face"
    EDIT_STILL = "edit a still"
    SEE_PROBE = "see a still"
    SEE_NOTES = "see the notes of dispatch"
    SEE_APPROVALS = "see the searches that wait for an approval"
    DECIDE_SEARCH = "decide on a search"
    ACKNOWLEDGE_LEAD = "acknowledge a lead"
    EXAMINE_LEAD = "examine a lead"
    REVIEW_LEAD = "review a lead"
    RELEASE_LEAD = "release a lead"
    RECEIVE_LEAD = "receive a lead"
    WITHDRAW_LEAD = "withdraw a lead"
    REPORT_OUTCOME = "report what independent evidence said"
    EXTEND_LEAD = "extend a lead"
    SEE_RECEIVERS = "see who received a lead"
    ANSWER_FOR_RECEIVER = "say that a receiver outside knows of a withdrawal"
    SEED_CASES = "seed known-answer cases"
    OVERSEE = "see the pages of oversight"
    SEE_DEFERRALS = "see whose approvals have lapsed"
    LIFT_DEFERRAL = "let an analyst's approvals be deferred again"
    DECLARE_IMMINENT = "declare an incident imminent"
    ATTEST_KILLING = "attest that a killing was coded as a disturbance"
    OPEN_PROVISIONAL = "open an incident while the feed is down"
    CONFIRM_KILLING = "confirm that a killing was coded as a disturbance"
    MANAGE_ACCOUNTS = "add, change or disable accounts"
    MANAGE_TOKENS = "create, list or revoke service tokens"
    SEE_EARLIER = "see what came of a picture before"
    SEE_RETENTION = "see what is purged when"
    PURGE = "purge what is due"
    PLACE_HOLD = "place a legal hold"
    LIFT_HOLD = "lift a legal hold"
    RECORD_DISPOSITION = "record how a case was disposed of"
    MAKE_TRANSPARENCY_REPORT = "make the transparency report"
    MAKE_DISCOVERY_PACKET = "make a discovery packet"
    ASK_DISCLOSURE = "ask for everybody on a list to be identified"
    APPROVE_DISCLOSURE = "approve that everybody on a list is identified"
    SEE_DISCLOSURES = "see who asked for everybody on a list to be identified"
    MAKE_ACCESS_LOG = "make the access log of a person's record"
    SEE_MISUSE_SIGNALS = "see the signs of misuse"
    ENROLL_PICTURES = "enrol pictures in a gallery"
    EXPUNGE = "remove somebody from a gallery"
    EXPIRE_PICTURES = "remove the images whose retention has ended"
    EXPORT_GALLERY = "export a gallery"
    ASK_EXPORT = "ask for the export of a gallery"
    APPROVE_EXPORT = "approve the export of a gallery"
    SEE_EXPORTS = "see who asked for the export of a gallery"
    REPEAT_SEARCH = "repeat the search of a lead"
    LOOK_AFTER_INSTALLATION = "look after the installation"
    REPLAY_DEAD_LETTERS = "put dead letters back on their topics"
    RESUME_TOPIC = "go on with a paused topic"
    MAKE_BACKUP = "make a backup"
    RESTORE_BACKUP = "bring a backup back"
    ROTATE_KEYS = "change master keys"
    EXPORT_AUDIT_LOG = "export the audit log"
    QUALIFY_MODEL = "evaluate, calibrate or sign a model pack"
    SIGN_POLICY = "sign or compare policies"
    SEE_OWN_ACTIVITY = "see what they have done themselves"
    SEE_AUDIT_LOG = "look at the audit log"
    SEE_FIGURES = "see the figures of oversight"
    SEE_POLICY = "see the policy in force and compare it"
    SEE_GALLERIES = "see what the galleries hold"
    SEE_PEOPLE = "see who works here, with certificates and sessions"
    END_SESSIONS = "sign somebody out"


PERMITTED: Final[Mapping[Deed, frozenset[Role]]] = MappingProxyType(
    {
        Deed.READ_DOCUMENTS: frozenset(Role),
        Deed.SEE_HEALTH: frozenset(Role),
        Deed.WATCH_FLOOR: frozenset(Role),
        Deed.ATTACH_STILL: frozenset({Role.ANALYST}),
        Deed.CHOOSE_FACE: frozenset({Role.ANALYST}),
        Deed.EDIT_STILL: frozenset({Role.ANALYST}),
        Deed.SEE_PROBE: frozenset({Role.ANALYST, Role.SUPERVISOR}),
        Deed.SEE_NOTES: frozenset({Role.ANALYST, Role.SUPERVISOR}),
        Deed.SEE_APPROVALS: frozenset({Role.SUPERVISOR}),
        Deed.DECIDE_SEARCH: frozenset({Role.SUPERVISOR}),
        Deed.ACKNOWLEDGE_LEAD: frozenset({Role.ANALYST}),
        Deed.EXAMINE_LEAD: frozenset({Role.ANALYST}),
        Deed.REVIEW_LEAD: frozenset({Role.ANALYST}),
        Deed.RELEASE_LEAD: frozenset({Role.ANALYST, Role.SUPERVISOR}),
        Deed.RECEIVE_LEAD: frozenset({Role.REQUESTOR, Role.SUPERVISOR}),
        Deed.WITHDRAW_LEAD: frozenset({Role.ANALYST, Role.SUPERVISOR, Role.ADMINISTRATOR}),
        Deed.REPORT_OUTCOME: frozenset({Role.REQUESTOR}),
        Deed.EXTEND_LEAD: frozenset({Role.SUPERVISOR}),
        Deed.SEE_RECEIVERS: frozenset({Role.SUPERVISOR, Role.ADMINISTRATOR, Role.AUDITOR}),
        Deed.ANSWER_FOR_RECEIVER: frozenset({Role.SUPERVISOR, Role.ADMINISTRATOR}),
        Deed.SEED_CASES: frozenset({Role.ADMINISTRATOR}),
        Deed.OVERSEE: frozenset({Role.SUPERVISOR, Role.ADMINISTRATOR, Role.AUDITOR}),
        Deed.SEE_DEFERRALS: frozenset({Role.SUPERVISOR, Role.ADMINISTRATOR, Role.AUDITOR}),
        Deed.LIFT_DEFERRAL: frozenset({Role.ADMINISTRATOR}),
        Deed.DECLARE_IMMINENT: frozenset({Role.SUPERVISOR}),
        Deed.ATTEST_KILLING: frozenset({Role.SUPERVISOR}),
        Deed.OPEN_PROVISIONAL: frozenset({Role.SUPERVISOR}),
        Deed.CONFIRM_KILLING: frozenset({Role.SUPERVISOR, Role.ADMINISTRATOR}),
        Deed.MANAGE_ACCOUNTS: frozenset({Role.ADMINISTRATOR}),
        Deed.MANAGE_TOKENS: frozenset({Role.ADMINISTRATOR}),
        Deed.SEE_EARLIER: frozenset({Role.ANALYST, Role.SUPERVISOR}),
        Deed.SEE_RETENTION: frozenset({Role.SUPERVISOR, Role.ADMINISTRATOR, Role.AUDITOR}),
        Deed.PURGE: frozenset({Role.ADMINISTRATOR}),
        Deed.PLACE_HOLD: frozenset({Role.SUPERVISOR, Role.ADMINISTRATOR}),
        Deed.LIFT_HOLD: frozenset({Role.ADMINISTRATOR}),
        Deed.RECORD_DISPOSITION: frozenset({Role.REQUESTOR, Role.SUPERVISOR, Role.ADMINISTRATOR}),
        Deed.MAKE_TRANSPARENCY_REPORT: frozenset({Role.ADMINISTRATOR, Role.AUDITOR}),
        Deed.MAKE_DISCOVERY_PACKET: frozenset({Role.ADMINISTRATOR}),
        Deed.ASK_DISCLOSURE: frozenset({Role.ADMINISTRATOR}),
        Deed.APPROVE_DISCLOSURE: frozenset({Role.ADMINISTRATOR, Role.SUPERVISOR}),
        Deed.SEE_DISCLOSURES: frozenset({Role.ADMINISTRATOR, Role.SUPERVISOR, Role.AUDITOR}),
        Deed.MAKE_ACCESS_LOG: frozenset({Role.ADMINISTRATOR, Role.AUDITOR}),
        Deed.SEE_MISUSE_SIGNALS: frozenset({Role.ADMINISTRATOR}),
        Deed.ENROLL_PICTURES: frozenset({Role.ADMINISTRATOR}),
        Deed.EXPUNGE: frozenset({Role.ADMINISTRATOR}),
        Deed.EXPIRE_PICTURES: frozenset({Role.ADMINISTRATOR}),
        Deed.EXPORT_GALLERY: frozenset({Role.ADMINISTRATOR}),
        Deed.ASK_EXPORT: frozenset({Role.ADMINISTRATOR}),
        Deed.APPROVE_EXPORT: frozenset({Role.ADMINISTRATOR, Role.SUPERVISOR}),
        Deed.SEE_EXPORTS: frozenset({Role.ADMINISTRATOR, Role.SUPERVISOR, Role.AUDITOR}),
        Deed.REPEAT_SEARCH: frozenset({Role.ADMINISTRATOR, Role.AUDITOR}),
        Deed.LOOK_AFTER_INSTALLATION: frozenset({Role.ADMINISTRATOR, Role.OPERATIONS}),
        Deed.REPLAY_DEAD_LETTERS: frozenset({Role.ADMINISTRATOR, Role.OPERATIONS}),
        Deed.RESUME_TOPIC: frozenset({Role.ADMINISTRATOR, Role.OPERATIONS}),
        Deed.MAKE_BACKUP: frozenset({Role.ADMINISTRATOR, Role.OPERATIONS}),
        Deed.RESTORE_BACKUP: frozenset({Role.ADMINISTRATOR}),
        Deed.ROTATE_KEYS: frozenset({Role.ADMINISTRATOR}),
        Deed.EXPORT_AUDIT_LOG: frozenset({Role.ADMINISTRATOR, Role.AUDITOR}),
        Deed.QUALIFY_MODEL: frozenset({Role.ADMINISTRATOR}),
        Deed.SIGN_POLICY: frozenset({Role.ADMINISTRATOR}),
        Deed.SEE_OWN_ACTIVITY: frozenset(Role),
        Deed.SEE_AUDIT_LOG: frozenset({Role.ADMINISTRATOR, Role.AUDITOR}),
        Deed.SEE_FIGURES: frozenset({Role.ADMINISTRATOR, Role.AUDITOR}),
        Deed.SEE_POLICY: frozenset({Role.ADMINISTRATOR, Role.AUDITOR}),
        Deed.SEE_GALLERIES: frozenset({Role.ADMINISTRATOR, Role.AUDITOR}),
        Deed.SEE_PEOPLE: frozenset({Role.ADMINISTRATOR, Role.AUDITOR}),
        Deed.END_SESSIONS: frozenset({Role.ADMINISTRATOR}),
    }
)
"""The roles that each deed is open to. What is not listed is forbidden."""

MACHINE_DEEDS: Final = frozenset({Deed.READ_DOCUMENTS, Deed.SEE_HEALTH, Deed.WATCH_FLOOR})
"""What a program may be given a service token for: to look at what bears no name. Whatever decides or shows a person is
done by people (P03, P14)."""


def may(account: Account, deed: Deed) -> bool:
    return not account.roles.isdisjoint(PERMITTED[deed]) or (deed in account.deeds and deed in MACHINE_DEEDS)


def require_permission(account: Account, deed: Deed) -> None:
    """P10. Raises PolicyRefusalError when none of the account's roles permits the deed."""
    if not may(account, deed):
        roles = " or ".join(", ".join(sorted(PERMITTED[deed])).rsplit(", ", 1))
        raise PolicyRefusalError("P10", f"Only an account with the role {roles} may {deed}: ask one to do it.")
