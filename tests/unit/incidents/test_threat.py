"""Imminence by a threat's own fields (P14), and which message of a thread is in force."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcc_bridge.errors import ConflictError, InvalidInputError
from rtcc_bridge.incidents import threat
from rtcc_bridge.incidents.board import floor_view
from rtcc_bridge.incidents.threat import ThreatEvent, says_imminent, thread_states
from rtcc_bridge.storage.threats import LARGEST_THREAD, ThreadMessage, ThreatRecord
from tests.unit.incidents.cases import INFO, NOON, SENDER, incident, incident_event, threat_event


def record(event: ThreatEvent) -> ThreatRecord:
    return threat.to_record(event, None, "I-1", {SENDER}, NOON)


def states(*events: ThreatEvent) -> dict[str, str]:
    thread = [ThreadMessage(record(event), frozenset(event.references), frozenset({"I-1"})) for event in events]
    return {identifier: state.value for identifier, state in thread_states(thread).items()}


def test_P14_imminent_by_its_own_fields() -> None:
    assert says_imminent(threat_event(), {SENDER})


@pytest.mark.parametrize("severity", ["Extreme", "Severe"])
@pytest.mark.parametrize("certainty", ["Observed", "Likely"])
@pytest.mark.parametrize("category", ["Safety", "Security", "CBRNE", ["Other", "CBRNE"]])
def test_P14_every_way_to_be_imminent(severity: str, certainty: str, category: Any) -> None:
    info = {**INFO, "severity": severity, "certainty": certainty, "category": category}
    assert says_imminent(threat_event(info=info), {SENDER})
    assert says_imminent(threat_event(info=[{**INFO, "urgency": "Past"}, info]), {SENDER})


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "Exercise"},
        {"status": "Test"},
        {"status": "System"},
        {"status": "Draft"},
        {"sender": "somebody@else.example"},
        {"info": {**INFO, "category": ["Met"]}},
        {"info": {**INFO, "urgency": "Expected"}},
        {"info": {**INFO, "severity": "Moderate"}},
        {"info": {**INFO, "certainty": "Possible"}},
        {"info": [{**INFO, "severity": "Minor"}, {**INFO, "category": "Met"}]},
    ],
)
def test_P14_what_is_not_imminent(changes: dict[str, Any]) -> None:
    assert not says_imminent(threat_event(**changes), {SENDER})


def test_P14_the_policy_may_list_nobody() -> None:
    assert not says_imminent(threat_event(), set())


def test_imminence_is_judged_by_the_clock() -> None:
    of_it = [record(threat_event())]
    shooting = incident(incident_event("reported"))
    assert threat.is_imminent(shooting, of_it, NOON)
    assert threat.is_imminent(shooting, of_it, NOON + timedelta(minutes=59))
    assert not threat.is_imminent(shooting, of_it, NOON + timedelta(minutes=60))


def test_a_threat_without_an_expiry_ends_after_a_day() -> None:
    endless = record(threat_event(info={**INFO, "expires": None}))
    assert threat.in_force(endless, NOON + timedelta(hours=23))
    assert not threat.in_force(endless, NOON + timedelta(hours=24))


def test_P07_an_exercise_is_never_imminent_whatever_a_threat_says() -> None:
    drill = incident(incident_event("reported", exercise=True))
    assert not threat.is_imminent(drill, [record(threat_event())], NOON)
    assert record(threat_event(status="Exercise")).exercise
    assert record(threat_event(status="Test")).exercise


def test_P08_a_cancelled_incident_is_not_imminent() -> None:
    cancelled = incident(incident_event("cancelled"))
    assert not threat.is_imminent(cancelled, [record(threat_event())], NOON)


def test_an_update_supersedes_and_a_cancel_ends() -> None:
    alert = threat_event("1", "alert", 0)
    update = threat_event("2", "update", 1, references=["1"])
    cancel = threat_event("3", "cancel", 2, references=["1", "2"])
    assert states(alert) == {"1": "active"}
    assert states(alert, update) == {"1": "superseded", "2": "active"}
    assert states(alert, update, cancel) == {"1": "cancelled", "2": "cancelled", "3": "cancelled"}


def test_a_cancel_of_the_first_message_ends_the_updates_that_continue_it() -> None:
    thread = (
        threat_event("1", "alert", 0),
        threat_event("2", "update", 1, references=["1"]),
        threat_event("3", "update", 2, references=["2"]),
        threat_event("4", "cancel", 3, references=["1"]),
    )
    assert set(states(*thread).values()) == {"cancelled"}


def test_an_update_that_was_sent_after_the_cancel_is_in_force() -> None:
    thread = (
        threat_event("1", "alert", 0),
        threat_event("2", "cancel", 1, references=["1"]),
        threat_event("3", "update", 2, references=["1"]),
    )
    assert states(*thread)["3"] == "active"


@pytest.mark.parametrize("changes", [{"sender": "somebody@else.example"}, {"status": "Exercise"}, {"sent": "before"}])
def test_nobody_else_no_exercise_and_no_older_message_ends_a_threat(changes: dict[str, Any]) -> None:
    if "sent" in changes:
        changes = {"sent": (NOON - timedelta(minutes=1)).isoformat()}
    cancel = threat_event("2", "cancel", 1, references=["1"], **changes)
    assert states(threat_event("1"), cancel)["1"] == "active"


@pytest.mark.parametrize(("expires", "hours"), [("2026-11-23T13:00:00Z", 1), ("2999-01-01T00:00:00Z", 24), (None, 24)])
def test_P14_no_threat_is_in_force_longer_than_a_day(expires: str | None, hours: int) -> None:
    assert record(threat_event(info={**INFO, "expires": expires})).expires_at == NOON + timedelta(hours=hours)


def test_only_a_cancel_that_is_late_enough_ends_what_it_reaches() -> None:
    """The first cancel reaches both updates, the second one only the later of them."""
    thread = (
        threat_event("1", "alert", 0),
        threat_event("2", "update", 1, references=["1"]),
        threat_event("3", "update", 5, references=["2"]),
        threat_event("4", "cancel", 2, references=["1"]),
        threat_event("5", "cancel", 6, references=["3"]),
    )
    assert states(*thread) == dict.fromkeys("12345", "cancelled")
    assert states(*thread[:4])["3"] == "active"


def test_a_large_thread_of_updates_and_cancels_is_settled() -> None:
    """Every message speaks about 200 earlier ones: a walk for each pair would take hours."""
    names = [str(number) for number in range(LARGEST_THREAD)]
    kinds = ["alert", *["update"] * 250, *["cancel"] * (LARGEST_THREAD - 251)]
    events = [
        threat_event(name, kind, number / 100, references=names[max(0, number - 200) : number])
        for number, (name, kind) in enumerate(zip(names, kinds, strict=True))
    ]
    before_the_first_cancels_reach = names[:51]
    assert states(*events) == dict.fromkeys(names, "cancelled") | dict.fromkeys(
        before_the_first_cancels_reach, "superseded"
    )


def test_who_may_write_a_message_again() -> None:
    known = record(threat_event(event_id="b"))
    with pytest.raises(ConflictError, match="sender"):
        threat.check(threat_event(sender="somebody@else.example"), known, NOON)
    with pytest.raises(ConflictError, match="status"):
        threat.check(threat_event(status="Test"), known, NOON)
    with pytest.raises(InvalidInputError, match="future"):
        threat.check(threat_event(minutes=2.1), None, NOON)
    threat.check(threat_event(minutes=1), known, NOON)


def test_which_version_of_a_message_is_newer() -> None:
    known = record(threat_event(event_id="b"))
    assert not threat.is_newer(threat_event(event_id="b"), known)
    assert not threat.is_newer(threat_event(event_id="a"), known)
    assert threat.is_newer(threat_event(event_id="c"), known)
    assert threat.is_newer(threat_event(what="cancel", event_id="a"), known)
    assert threat.is_newer(threat_event(minutes=1, event_id="a"), known)
    assert not threat.is_newer(threat_event(what="cancel", minutes=-1), known)


def test_P16_the_floor_sees_no_notes_and_no_case_number() -> None:
    shooting = incident(
        incident_event(
            "reported", caseNumber="26-1", notes=["a name"], location={"text": "Elm St", "lat": 1.0}, callerName="x"
        )
    )
    expired = record(threat_event("old", info={**INFO, "expires": "2026-11-23T11:00:00Z"}))
    view = floor_view(shooting, [record(threat_event()), expired], NOON)
    assert view == {
        "incidentId": "I-1",
        "incidentType": "UNKNOWN",
        "status": "open",
        "priority": None,
        "exercise": False,
        "openedAt": None,
        "lastUpdateTimeStamp": "2026-11-23T12:00:00Z",
        "mergedInto": None,
        "location": {"text": "Elm St"},
        "threats": [
            {
                "identifier": "T-1",
                "event": "Active shooter",
                "severity": "Extreme",
                "urgency": "Immediate",
                "headline": "Shelter in place",
                "expires": "2026-11-23T13:00:00Z",
                "imminent": True,
            }
        ],
        "imminent": True,
    }


messages = st.lists(
    st.tuples(
        st.sampled_from(["alert", "update", "cancel"]),
        st.integers(0, 3),
        st.lists(st.sampled_from(["0", "1", "2", "3", "4"]), max_size=2),
        st.sampled_from(["Actual", "Exercise"]),
    ),
    min_size=1,
    max_size=5,
)


@given(messages, st.data())
def test_the_order_of_a_thread_makes_no_difference(
    drawn: list[tuple[str, int, list[str], str]], data: st.DataObject
) -> None:
    events = [
        threat_event(str(n), what, minutes, status=status, references=[ref for ref in references if ref != str(n)])
        for n, (what, minutes, references, status) in enumerate(drawn)
    ]
    assert states(*events) == states(*data.draw(st.permutations(events)))
