"""The newest state of an incident, whatever the order of its events."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcc_bridge.errors import ConflictError, InvalidInputError
from rtcc_bridge.incidents.incident import (
    MOST_BYTES,
    MOST_FIELDS,
    IncidentEvent,
    Status,
    apply_event,
    authority_ended,
    is_placeholder,
    placeholder,
    with_status,
)
from rtcc_bridge.storage.incidents import IncidentRecord
from tests.unit.incidents.cases import NOON, incident, incident_event


def test_a_report_opens_an_incident_and_keeps_unknown_fields() -> None:
    record = incident(
        incident_event(
            "reported",
            incidentTypeCommonRegistryText="shoot",
            incidentCommonPriorityNumber=1,
            agencyId="city.example",
            caseNumber="26-1",
            openedAt="2026-11-23T06:59:00-05:00",
            location={"text": "Elm St", "lat": 1.0, "lon": 2.0, "beat": 7},
            somethingNew={"deep": [1]},
        )
    )
    assert (record.status, record.incident_type, record.priority) == ("open", "SHOOT", 1)
    assert (record.agency_id, record.case_number, record.exercise) == ("city.example", "26-1", False)
    assert record.opened_at == NOON - timedelta(minutes=1)
    assert record.last_update_at == NOON
    assert record.data["somethingNew"] == {"deep": [1]}
    assert record.data["location"]["beat"] == 7


def test_a_newer_event_changes_what_it_names_and_keeps_the_rest() -> None:
    record = incident(
        incident_event("reported", 0, incidentTypeCommonRegistryText="ROBBERY", incidentCommonPriorityNumber=3),
        incident_event("updated", 5, incidentCommonPriorityNumber=1),
    )
    assert (record.incident_type, record.priority) == ("ROBBERY", 1)
    assert record.last_update_at == NOON + timedelta(minutes=5)


def test_an_older_event_changes_nothing_that_a_newer_one_named() -> None:
    newest = incident(incident_event("closed", 10, incidentCommonPriorityNumber=1))
    late = apply_event(newest, incident_event("reported", 0, incidentCommonPriorityNumber=9, agencyId="a"), NOON)
    assert (late.status, late.priority, late.agency_id) == ("closed", 1, "a")
    assert late.last_update_at == newest.last_update_at


def test_a_repetition_says_nothing_new() -> None:
    event = incident_event("reported", agencyId="a")
    record = incident(event)
    assert apply_event(record, event, NOON) is record


@pytest.mark.parametrize(
    ("what", "said", "becomes"),
    [
        ("reported", None, "open"),
        ("updated", None, "open"),
        ("updated", "closed", "closed"),
        ("closed", None, "closed"),
        ("closed", "open", "closed"),
        ("closed", "cancelled", "cancelled"),
        ("cancelled", None, "cancelled"),
        ("cancelled", "open", "cancelled"),
        ("cancelled", "unfounded", "unfounded"),
        ("reported", "Unfounded", "unfounded"),
    ],
)
def test_type_and_status_of_an_event(what: str, said: str | None, becomes: str) -> None:
    data: dict[str, Any] = {} if said is None else {"incidentStatusCommonRegistryText": said}
    assert incident(incident_event(what, **data)).status == becomes


def test_P08_what_ends_the_authority() -> None:
    ended = {status for status in ("open", "closed") if authority_ended(incident(_with(status)))}
    assert ended == set()
    assert authority_ended(incident(_with("cancelled")))
    assert authority_ended(incident(_with("unfounded")))


def test_at_the_same_moment_the_state_that_ends_more_wins() -> None:
    opened, cancelled = incident_event("updated", 0, "z"), incident_event("cancelled", 0, "a")
    reopened = incident_event("reported", 0, "zz")
    for order in ((opened, cancelled, reopened), (cancelled, reopened, opened)):
        assert incident(*order).status == "cancelled"


def test_a_newer_event_reopens() -> None:
    assert incident(incident_event("cancelled", 0), incident_event("reported", 1)).status == "open"


def test_merging() -> None:
    merged = incident(_with("merged", mergedInto="I-2"))
    assert (merged.status, merged.merged_into) == ("merged", "I-2")
    split = apply_event(merged, incident_event("reported", 1), NOON)
    assert (split.status, split.merged_into) == ("open", None)


def test_a_merge_into_nothing_or_into_itself_is_refused() -> None:
    with pytest.raises(ConflictError, match="mergedInto"):
        incident(_with("merged"))
    with pytest.raises(ConflictError, match="itself"):
        incident(_with("merged", mergedInto="I-1"))


def test_an_event_from_the_future_is_refused() -> None:
    assert incident(incident_event(minutes=2), now=NOON).status == "open"
    with pytest.raises(InvalidInputError, match="future") as raised:
        incident(incident_event(minutes=2.1), now=NOON)
    assert raised.value.reason == "from_the_future"


def _full_of_fields() -> IncidentRecord:
    fields: dict[str, Any] = {f"f{n}": n for n in range(MOST_FIELDS)}
    return incident(incident_event("reported", **fields))


def _full_of_bytes() -> IncidentRecord:
    return incident(incident_event("reported", filler="é" * (MOST_BYTES // 2 - 20)))


@pytest.mark.parametrize("full", [_full_of_fields(), _full_of_bytes()], ids=["fields", "bytes"])
def test_what_an_incident_gathers_is_limited(full: IncidentRecord) -> None:
    with pytest.raises(InvalidInputError, match="other fields") as raised:
        apply_event(full, incident_event("updated", 1, another="x" * 100), NOON)
    assert raised.value.reason == "too_large"
    changed = apply_event(full, incident_event("closed", 1, incidentCommonPriorityNumber=2, caseNumber="26-1"), NOON)
    assert (changed.status, changed.priority, changed.case_number) == ("closed", 2, "26-1")


@pytest.mark.parametrize("full", [_full_of_fields(), _full_of_bytes()], ids=["fields", "bytes"])
def test_P08_no_limit_keeps_an_incident_from_ending(full: IncidentRecord) -> None:
    ended = apply_event(full, incident_event("cancelled", 1, another="x" * 100), NOON)
    assert authority_ended(ended)
    assert "another" not in ended.data


def test_a_null_says_nothing() -> None:
    drill = incident(incident_event("reported", 0, exercise=True), incident_event("updated", 1, exercise=None))
    assert drill.exercise


def test_whatever_dispatch_says_wins_over_a_placeholder() -> None:
    opened = placeholder("I-1", "UNKNOWN", exercise=True, at=NOON, now=NOON)
    assert is_placeholder(opened)
    told = apply_event(opened, incident_event("reported", -600, incidentTypeCommonRegistryText="SHOOT"), NOON)
    assert (told.incident_type, told.exercise, is_placeholder(told)) == ("SHOOT", False, False)
    closed = with_status(opened, Status.CANCELLED, NOON)
    assert (closed.status, is_placeholder(closed)) == ("cancelled", True)
    assert apply_event(closed, incident_event("reported", -600), NOON).status == "open"


def _with(status: str, **data: Any) -> IncidentEvent:
    return incident_event("updated", incidentStatusCommonRegistryText=status, **data)


fields = st.fixed_dictionaries(
    {},
    optional={
        "incidentCommonPriorityNumber": st.integers(0, 10),
        "caseNumber": st.sampled_from(["a", "b"]),
        "exercise": st.booleans(),
        "incidentStatusCommonRegistryText": st.sampled_from(["open", "closed", "cancelled", "unfounded"]),
        "other": st.integers(0, 3),
    },
)
events = st.lists(
    st.tuples(st.sampled_from(["reported", "updated", "closed", "cancelled"]), st.integers(0, 3), fields),
    min_size=1,
    max_size=6,
)


@given(events, st.data())
def test_the_order_and_the_number_of_deliveries_make_no_difference(
    drawn: list[tuple[str, int, dict[str, Any]]], data: st.DataObject
) -> None:
    sent = [incident_event(what, minutes, f"e{n}", **content) for n, (what, minutes, content) in enumerate(drawn)]
    again = data.draw(st.lists(st.sampled_from(sent), max_size=4))
    shuffled = data.draw(st.permutations([*sent, *again]))
    in_order, out_of_order = incident(*sent), incident(*shuffled)
    assert dict(in_order.data) == dict(out_of_order.data)
    assert in_order.status == out_of_order.status
    assert in_order.last_update_at == out_of_order.last_update_at == max(event.at for event in sent)
