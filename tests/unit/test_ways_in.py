"""What can be done over which way in: docs/policy.md says of many attacks that there is no such way, and means this."""

from pathlib import Path

import rtcc_bridge.web
from rtcc_bridge.broker.groups import groups_of_roles
from rtcc_bridge.commands.command_deeds import COMMAND_DEEDS
from rtcc_bridge.consumers import gallery_records, incidents, threats
from rtcc_bridge.policy.permissions import Deed
from rtcc_bridge.probes.search_request import SEARCH_EVENT_TYPE
from rtcc_bridge.settings import KafkaSettings, Settings
from rtcc_bridge.topic_schemas import topic_data_schemas
from rtcc_bridge.web.route_deeds import GUARDS

SEARCHING = {
    Deed.ATTACH_STILL,
    Deed.CHOOSE_FACE,
    Deed.EDIT_STILL,
    Deed.SEE_PROBE,
    Deed.SEE_NOTES,
    Deed.SEE_APPROVALS,
    Deed.DECIDE_SEARCH,
    Deed.DECLARE_IMMINENT,
    Deed.ATTEST_KILLING,
    Deed.CONFIRM_KILLING,
    Deed.OPEN_PROVISIONAL,
    Deed.SEE_EARLIER,
    Deed.SEE_DEFERRALS,
    Deed.LIFT_DEFERRAL,
}
LEAD_LIFE = {
    Deed.WATCH_FLOOR,
    Deed.ACKNOWLEDGE_LEAD,
    Deed.EXAMINE_LEAD,
    Deed.REVIEW_LEAD,
    Deed.RELEASE_LEAD,
    Deed.RECEIVE_LEAD,
    Deed.WITHDRAW_LEAD,
    Deed.REPORT_OUTCOME,
    Deed.EXTEND_LEAD,
    Deed.SEE_RECEIVERS,
    Deed.SEED_CASES,
}
EXPORT_ORDERS = {Deed.ASK_EXPORT, Deed.APPROVE_EXPORT, Deed.SEE_EXPORTS}
DISCLOSURE_ORDERS = {Deed.ASK_DISCLOSURE, Deed.APPROVE_DISCLOSURE, Deed.SEE_DISCLOSURES}
GALLERIES = {
    Deed.ENROLL_PICTURES,
    Deed.EXPUNGE,
    Deed.EXPIRE_PICTURES,
    Deed.EXPORT_GALLERY,
    Deed.REPEAT_SEARCH,
    Deed.QUALIFY_MODEL,
}
INSTALLATION = {
    Deed.LOOK_AFTER_INSTALLATION,
    Deed.REPLAY_DEAD_LETTERS,
    Deed.RESUME_TOPIC,
    Deed.MAKE_BACKUP,
    Deed.RESTORE_BACKUP,
    Deed.ROTATE_KEYS,
    Deed.EXPORT_AUDIT_LOG,
    Deed.SIGN_POLICY,
    Deed.MANAGE_ACCOUNTS,
    Deed.MANAGE_TOKENS,
    Deed.PURGE,
}


def test_no_command_searches_decides_or_sees_a_lead() -> None:
    """These are done by people who have signed in; a second person of an order too (P17, P30)."""
    assert (SEARCHING | LEAD_LIFE | EXPORT_ORDERS | DISCLOSURE_ORDERS).isdisjoint(COMMAND_DEEDS.values())


def test_no_address_changes_a_gallery_or_the_installation() -> None:
    """Who does that reads the settings of the machine. To take somebody out for good only makes things safer (P25), and
    what pages add to galleries is never a live one's, nor one's that the record system fills (P06)."""
    by_page = {Deed.EXPUNGE, Deed.ENROLL_PICTURES}
    assert (GALLERIES - by_page | INSTALLATION).isdisjoint(guard.deed for guard in GUARDS.values() if guard.deed)
    assert {path for (_, path), guard in GUARDS.items() if guard.deed is Deed.ENROLL_PICTURES} == {
        "/api/v1/galleries/{gallery}/pictures"
    }


def test_no_topic_carries_an_act_of_a_person() -> None:
    """Dispatch, the watch desk and the record system write events; a search is requested with a token of a search that
    people authorised. Nothing else is read: not a lead's step, not an approval, not a purge, not a policy."""
    topics = Settings().kafka.topics
    read = {name for groups in groups_of_roles(KafkaSettings()).values() for some in groups.values() for name in some}
    requests = {topics.probes_imminent, topics.probes_routine}
    assert read == {topics.incidents, topics.threats, topics.gallery_records, *requests}
    assert {*incidents.TYPES, *threats.TYPES, *gallery_records.TYPES, SEARCH_EVENT_TYPE} == {
        "rtcc.incident.reported",
        "rtcc.incident.updated",
        "rtcc.incident.closed",
        "rtcc.incident.cancelled",
        "rtcc.threat.alert",
        "rtcc.threat.update",
        "rtcc.threat.cancel",
        "rtcc.gallery.booked",
        "rtcc.gallery.sealed",
        "rtcc.gallery.expunged",
        "rtcc-bridge.probe.search",
    }
    fields = {name for schema in topic_data_schemas().values() for name in schema.get("properties", {})}
    assert fields.isdisjoint({"approval", "approvedBy", "account", "role", "conclusion", "reviewState", "policyHash"})


def test_no_page_holds_disposes_exports_or_orders() -> None:
    """Nothing that a browser is served names these addresses: programs ask for them, on behalf of who has signed in."""
    deeds = EXPORT_ORDERS | DISCLOSURE_ORDERS | {Deed.PLACE_HOLD, Deed.LIFT_HOLD, Deed.RECORD_DISPOSITION}
    addresses = {path.split("/{")[0] for (_, path), guard in GUARDS.items() if guard.deed in deeds}
    assert len(addresses) == 4, addresses
    web = Path(rtcc_bridge.web.__file__).parent
    served = [*(web / "templates").rglob("*.html"), *(web / "static").glob("*.js"), *web.glob("*_pages.py")]
    assert len(served) > 60
    for file in served:
        text = file.read_text(encoding="utf-8")
        assert not [address for address in addresses if address in text], file
