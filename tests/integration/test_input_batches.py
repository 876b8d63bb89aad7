"""Many input events in one transaction: each has the effect that it would have had alone."""

import asyncio
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import event as engine_event
from sqlalchemy import func, select

from rtcc_bridge.clock import Clock, SystemClock
from rtcc_bridge.cloud_event import STRUCTURED_HEADERS, CloudEvent, serialize
from rtcc_bridge.consumers.records import BatchHandler, ConsumedRecord
from rtcc_bridge.errors import ConflictError, InvalidInputError, RejectedError, TransientError, UnavailableError
from rtcc_bridge.incidents.incident import is_placeholder
from rtcc_bridge.settings import DatabaseSettings, KafkaSettings
from rtcc_bridge.simulate import incident_data, threat_data
from rtcc_bridge.storage import incidents, input_events, threats
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.incidents import IncidentRecord
from rtcc_bridge.storage.tables import input_events as input_events_table
from rtcc_bridge.storage.tables import outbox
from rtcc_bridge.storage.threats import LARGEST_THREAD
from tests.doubles import ManualClock
from tests.integration.lock_waits import reaches
from tests.integration.pipeline import Desks, until

NOW = SystemClock().now()
KAFKA = KafkaSettings()
THREATS = ("T-1", "T-2", "T-3", "T-4", "T-5")


class Dispatch:
    """Makes records of incident and threat events, and hands them over in batches."""

    def __init__(self, database: Database, clock: Clock | None = None) -> None:
        self.database = database
        self.desks = Desks(database, KAFKA, clock)
        self._records = 0

    def incident(
        self, incident_id: str, minutes: float = 0, event_id: str | None = None, **fields: Any
    ) -> ConsumedRecord:
        data = {**incident_data(incident_id, "SHOOT", 1, self._at(minutes), location="Elm St"), **fields}
        return self._record(KAFKA.topics.incidents, "rtcc.incident.updated", event_id, data)

    def alert(
        self, identifier: str, *incident_ids: str, minutes: float = 0, event_id: str | None = None, **fields: Any
    ) -> ConsumedRecord:
        data = {**threat_data(identifier, "Armed person", self._at(minutes), incident_ids=incident_ids), **fields}
        return self._record(KAFKA.topics.threats, "rtcc.threat.alert", event_id, data)

    async def handle(self, *records: ConsumedRecord) -> list[RejectedError | None]:
        handler = self.desks.handlers[records[0].topic]
        assert isinstance(handler, BatchHandler)
        return list(await handler.handle_batch(records))

    async def stored(self, incident_id: str) -> IncidentRecord | None:
        async with self.database.read() as tx:
            return await incidents.get(tx, incident_id)

    async def told(self, incident_id: str) -> list[dict[str, Any]]:
        """What the floor was told of an incident, in order."""
        async with self.database.read() as tx:
            rows = (await tx.execute(select(outbox.c.event).order_by(outbox.c.id))).scalars()
            return [event["data"] for event in rows if event["subject"] == incident_id]

    @staticmethod
    def _at(minutes: float) -> datetime:
        return NOW + timedelta(minutes=minutes)

    def _record(self, topic: str, kind: str, event_id: str | None, data: dict[str, Any]) -> ConsumedRecord:
        self._records += 1
        event = CloudEvent(id=event_id or f"e-{self._records}", source="urn:cad", type=kind, data=data)
        return ConsumedRecord(topic, 0, self._records, b"k", serialize(event), STRUCTURED_HEADERS, NOW)


@pytest.fixture
def dispatch(database: Database) -> Dispatch:
    return Dispatch(database)


@contextmanager
def counted_statements(database: Database) -> Iterator[list[str]]:
    """Every statement of the block."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)

    engine_event.listen(database.engine.sync_engine, "before_cursor_execute", note)
    yield seen
    engine_event.remove(database.engine.sync_engine, "before_cursor_execute", note)


def reasons(outcomes: Sequence[RejectedError | None]) -> list[str | None]:
    return [None if outcome is None else outcome.reason for outcome in outcomes]


async def test_every_event_of_a_batch_is_told_with_the_state_that_it_made(dispatch: Dispatch) -> None:
    outcomes = await dispatch.handle(
        dispatch.incident("I-1", -3, incidentCommonPriorityNumber=3),
        dispatch.incident("I-2", -3),
        dispatch.incident("I-1", -2, incidentCommonPriorityNumber=2),
        dispatch.incident("I-1", -4, incidentCommonPriorityNumber=9),
        dispatch.incident("I-1", -1, incidentCommonPriorityNumber=1),
    )
    assert outcomes == [None] * 5
    assert [view["priority"] for view in await dispatch.told("I-1")] == [3, 2, 1], "what is old tells nothing"
    stored = await dispatch.stored("I-1")
    assert stored is not None
    assert stored.priority == 1
    await dispatch.handle(dispatch.incident("I-1", 0, incidentCommonPriorityNumber=0))
    assert [view["priority"] for view in await dispatch.told("I-1")] == [3, 2, 1, 0]


@pytest.mark.parametrize("threats_too", [False, True])
async def test_a_larger_batch_takes_no_more_statements(dispatch: Dispatch, threats_too: bool) -> None:
    def record(count: int, number: int) -> ConsumedRecord:
        if threats_too:
            return dispatch.alert(f"T-{count}-{number}", f"I-{count}-{number}")
        return dispatch.incident(f"I-{count}-{number % (count // 3)}", number / 60 - 1)

    taken = []
    for count in (3, 60):
        records = [record(count, number) for number in range(count)]
        with counted_statements(dispatch.database) as statements:
            assert await dispatch.handle(*records) == [None] * count
        taken.append(len(statements))
    assert taken[0] == taken[1]


async def test_a_refused_event_leaves_the_others_alone_and_may_come_again(dispatch: Dispatch) -> None:
    bad = dispatch.incident("I-1", 60, "early")
    garbage = ConsumedRecord(KAFKA.topics.incidents, 0, 99, None, b"garbage", STRUCTURED_HEADERS, NOW)
    outcomes = await dispatch.handle(
        dispatch.incident("I-1", -2), bad, garbage, dispatch.incident("I-1", -1, incidentCommonPriorityNumber=4)
    )
    assert reasons(outcomes) == [None, "from_the_future", "not_json", None]
    assert len(await dispatch.told("I-1")) == 2
    async with dispatch.database.read() as tx:
        assert await input_events.noted(tx, [("urn:cad", "early")]) == {}


async def test_a_consumer_whose_clock_is_behind_refuses_no_good_event(database: Database) -> None:
    """The database says what the present is; an event that is ahead of that as well is refused."""
    behind = Dispatch(database, ManualClock(NOW - timedelta(minutes=10)))
    outcomes = await behind.handle(behind.incident("I-1", -1), behind.incident("I-2", 60), behind.incident("I-1", 0))
    assert reasons(outcomes) == [None, "from_the_future", None]
    outcomes = await behind.handle(behind.alert("T-1", "I-1", minutes=-1), behind.alert("T-2", "I-1", minutes=60))
    assert reasons(outcomes) == [None, "from_the_future"]
    assert len(await behind.told("I-1")) == 3


async def test_an_event_that_is_repeated_in_its_batch_has_its_effect_once(dispatch: Dispatch) -> None:
    outcomes = await dispatch.handle(
        dispatch.incident("I-1", -1, "same"),
        dispatch.incident("I-1", -1, "same"),
        dispatch.incident("I-1", -1, "same", incidentCommonPriorityNumber=7),
    )
    assert reasons(outcomes) == [None, None, "identity_reused"]
    assert len(await dispatch.told("I-1")) == 1


async def test_what_bears_the_identity_of_a_refused_event_counts_when_it_can_be_applied(dispatch: Dispatch) -> None:
    outcomes = await dispatch.handle(
        dispatch.incident("I-1", 60, "same"),
        dispatch.incident("I-1", 60, "same"),
        dispatch.incident("I-1", -2, "same"),
        dispatch.incident("I-1", -1, "same"),
        dispatch.incident("I-2", -1),
    )
    assert reasons(outcomes) == ["from_the_future", "from_the_future", None, "identity_reused", None]
    assert len(await dispatch.told("I-1")) == len(await dispatch.told("I-2")) == 1


async def test_P08_a_corrected_event_comes_before_those_that_follow_it(dispatch: Dispatch) -> None:
    outcomes = await dispatch.handle(
        dispatch.incident("I-1", -3),
        dispatch.incident("I-1", 60, "same", incidentStatusCommonRegistryText="cancelled"),
        dispatch.incident("I-1", -2, "same", incidentStatusCommonRegistryText="cancelled"),
        dispatch.incident("I-1", -1, incidentStatusCommonRegistryText="open"),
    )
    assert reasons(outcomes) == [None, "from_the_future", None, None]
    assert dispatch.desks.ended == [("I-1", "the incident is cancelled")]


async def test_P08_an_end_of_authority_counts_though_the_same_batch_takes_it_back(dispatch: Dispatch) -> None:
    await dispatch.handle(
        dispatch.incident("I-1", -3),
        dispatch.incident("I-1", -2, incidentStatusCommonRegistryText="cancelled"),
        dispatch.incident("I-1", -1, incidentStatusCommonRegistryText="open"),
    )
    assert dispatch.desks.ended == [("I-1", "the incident is cancelled")]
    assert [view["status"] for view in await dispatch.told("I-1")] == ["open", "cancelled", "open"]
    stored = await dispatch.stored("I-1")
    assert stored is not None
    assert stored.status == "open"


async def test_merges_within_a_batch_see_what_was_told_before_them(dispatch: Dispatch) -> None:
    outcomes = await dispatch.handle(
        dispatch.incident("I-1", -5, incidentStatusCommonRegistryText="merged", mergedInto="I-2"),
        dispatch.incident("I-2", -4),
        dispatch.incident("I-3", -3, incidentStatusCommonRegistryText="merged", mergedInto="I-1"),
        dispatch.incident("I-2", -2, incidentStatusCommonRegistryText="merged", mergedInto="I-3"),
        dispatch.incident("I-2", -1, incidentStatusCommonRegistryText="unfounded"),
    )
    assert reasons(outcomes) == [None, None, None, "conflict", None]
    assert isinstance(outcomes[3], ConflictError)
    assert dispatch.desks.merged == [("I-1", "I-2"), ("I-3", "I-2")]
    assert sorted(ended for ended, _ in dispatch.desks.ended) == ["I-1", "I-2", "I-3"]


async def test_a_refused_threat_is_undone_alone(dispatch: Dispatch) -> None:
    outcomes = await dispatch.handle(
        dispatch.alert("T-1", "I-1", minutes=-2),
        dispatch.alert("T-1", "I-9", minutes=-1, sender="somebody@else.example"),
        dispatch.alert("T-2", "I-2", minutes=-1),
    )
    assert reasons(outcomes) == [None, "conflict", None]
    assert await dispatch.stored("I-9") is None
    assert [view["imminent"] for view in [*await dispatch.told("I-1"), *await dispatch.told("I-2")]] == [True, True]


async def test_a_threat_that_would_make_its_thread_too_large_changes_nothing(dispatch: Dispatch) -> None:
    def speaks_about(number: int) -> list[str]:
        before = [f"T-{number - 1}"] if number else []
        return [*before, *(f"E-{number}-{place}" for place in range(LARGEST_THREAD // 3))]

    outcomes = await dispatch.handle(
        *(
            dispatch.alert(f"T-{number}", "I-1", minutes=-9 + number, references=speaks_about(number))
            for number in range(3)
        ),
        dispatch.alert("T-9", "I-2", minutes=-1),
    )
    assert reasons(outcomes) == [None, None, "thread_too_large", None]
    async with dispatch.database.read() as tx:
        assert [each.record.identifier for each in await threats.get_all(tx, ["T-1", "T-2"])] == ["T-1"]
    assert len(await dispatch.told("I-1")) == 2
    assert len(await dispatch.told("I-2")) == 1


async def test_every_threat_of_a_batch_is_told_with_what_is_in_force_after_it(dispatch: Dispatch) -> None:
    outcomes = await dispatch.handle(
        dispatch.alert("T-1", "I-1", minutes=-4),
        dispatch.alert("T-2", "I-2", minutes=-4),
        dispatch.alert("T-3", "I-1", minutes=-3, msgType="Cancel", references=["T-1"]),
        dispatch.alert("T-4", "I-1", minutes=-2),
    )
    assert outcomes == [None] * 4
    assert [view["imminent"] for view in await dispatch.told("I-1")] == [True, False, True]
    assert [view["imminent"] for view in await dispatch.told("I-2")] == [True]


async def test_an_incident_that_a_newer_version_of_a_threat_no_longer_names_is_told_so(dispatch: Dispatch) -> None:
    await dispatch.handle(dispatch.alert("T-1", "I-1", minutes=-2))
    await dispatch.handle(dispatch.alert("T-1", "I-2", minutes=-1))
    assert [view["imminent"] for view in await dispatch.told("I-1")] == [True, False]
    assert [view["imminent"] for view in await dispatch.told("I-2")] == [True]


async def test_an_incident_that_was_merged_into_a_threats_own_may_be_named_by_its_update(dispatch: Dispatch) -> None:
    await dispatch.handle(dispatch.alert("T-1", minutes=-3))
    merged = dispatch.incident("I-1", -2, incidentStatusCommonRegistryText="merged", mergedInto="threat:T-1")
    await dispatch.handle(merged)
    update = dispatch.alert("T-2", "I-1", minutes=-1, msgType="Update", references=["T-1"])
    assert await dispatch.handle(update) == [None]
    assert dispatch.desks.merged == [("I-1", "threat:T-1")]
    own = await dispatch.stored("threat:T-1")
    assert own is not None
    assert own.status == "open"
    assert [threat["identifier"] for threat in (await dispatch.told("threat:T-1"))[-1]["threats"]] == ["T-2"]


async def test_P14_threats_on_incidents_that_are_one_by_now_are_told_as_they_come(dispatch: Dispatch) -> None:
    """C is part of A, and A of B. Each message is told with what is in force after it on what it names."""
    await dispatch.handle(
        dispatch.incident("B", -9),
        dispatch.incident("A", -8, incidentStatusCommonRegistryText="merged", mergedInto="B"),
        dispatch.incident("C", -7, incidentStatusCommonRegistryText="merged", mergedInto="A"),
    )
    await dispatch.handle(dispatch.alert("T-0", "C", minutes=-6))
    await dispatch.handle(dispatch.alert("T-1", "B", minutes=-5), dispatch.alert("T-2", "A", minutes=-4))
    await dispatch.handle(dispatch.alert("T-3", "A", "B", minutes=-3))

    def threats_in(view: dict[str, Any]) -> set[str]:
        return {threat["identifier"] for threat in view["threats"]}

    on_a, on_b = await dispatch.told("A"), await dispatch.told("B")
    assert [threats_in(view) for view in on_a[-2:]] == [{"T-0", "T-2"}, {"T-0", "T-2", "T-3"}]
    assert [threats_in(view) for view in on_b[-2:]] == [{"T-0", "T-1"}, {"T-0", "T-1", "T-2", "T-3"}]
    assert all(view["imminent"] for view in (*on_a[-2:], *on_b[-2:]))


async def test_P08_a_cancel_that_leaves_a_thread_does_not_end_the_incident_of_that_thread(dispatch: Dispatch) -> None:
    await dispatch.handle(dispatch.alert("T-0", minutes=-5))
    await dispatch.handle(dispatch.alert("T-1", minutes=-4, references=["T-0"]))
    await dispatch.handle(dispatch.alert("T-1", minutes=-3, msgType="Cancel"))
    own = await dispatch.stored("threat:T-0")
    assert own is not None
    assert own.status == "open"
    assert dispatch.desks.ended == []
    assert (await dispatch.told("threat:T-0"))[-1]["imminent"]


async def test_P14_an_update_that_leaves_a_thread_supersedes_nothing_there(dispatch: Dispatch) -> None:
    await dispatch.handle(dispatch.alert("T-0", "I-1", minutes=-5))
    await dispatch.handle(dispatch.alert("T-1", "I-1", minutes=-4, msgType="Update", references=["T-0"]))
    await dispatch.handle(dispatch.alert("T-1", "I-2", minutes=-3, msgType="Update"))
    assert [view["imminent"] for view in await dispatch.told("I-1")] == [True, True, True]
    assert [threat["identifier"] for threat in (await dispatch.told("I-1"))[-1]["threats"]] == ["T-0"]


async def test_P08_a_cancelled_threats_own_incident_stays_ended_until_a_later_message_of_it(dispatch: Dispatch) -> None:
    async def status() -> str | None:
        own = await dispatch.stored("threat:T-0")
        return None if own is None else own.status

    await dispatch.handle(dispatch.alert("T-0", minutes=-9))
    await dispatch.handle(dispatch.alert("T-1", minutes=-8, msgType="Update", references=["T-0"]))
    await dispatch.handle(dispatch.alert("T-2", minutes=-7, msgType="Cancel", references=["T-0"]))
    assert await status() == "cancelled"
    await dispatch.handle(dispatch.alert("T-1", minutes=-6))
    assert await status() == "cancelled", "it no longer speaks of the thread"
    await dispatch.handle(dispatch.alert("T-3", minutes=-5, msgType="Update", references=["T-0"]))
    assert await status() == "open"


@pytest.mark.parametrize("first", ["T-1", "T-2"])
async def test_P08_an_own_incident_ends_with_the_last_threat_on_it_and_on_what_became_part_of_it(
    dispatch: Dispatch, first: str
) -> None:
    async def status() -> str | None:
        own = await dispatch.stored("threat:T-1")
        return None if own is None else own.status

    await dispatch.handle(dispatch.alert("T-1", minutes=-9))
    await dispatch.handle(
        dispatch.incident("I-1", -8),
        dispatch.incident("I-1", -7, incidentStatusCommonRegistryText="merged", mergedInto="threat:T-1"),
    )
    await dispatch.handle(dispatch.alert("T-2", "I-1", minutes=-6))
    for minutes, name in ((-5, first), (-4, {"T-1": "T-2", "T-2": "T-1"}[first])):
        assert await status() == "open"
        await dispatch.handle(dispatch.alert(f"C-{name}", minutes=minutes, msgType="Cancel", references=[name]))
    assert await status() == "cancelled"
    assert {name for name, _ in dispatch.desks.ended} == {"threat:T-1", "I-1"}
    await dispatch.handle(dispatch.alert("T-3", "I-1", minutes=-3))
    assert await status() == "open"
    assert (await dispatch.told("threat:T-1"))[-1]["imminent"]


async def test_P08_an_own_incident_goes_on_where_its_threat_does(dispatch: Dispatch) -> None:
    await dispatch.handle(dispatch.alert("T-0", "I-1", minutes=-9))
    await dispatch.handle(dispatch.alert("T-2", minutes=-8, msgType="Update", references=["T-9"]))
    await dispatch.handle(dispatch.alert("T-2", minutes=-7, msgType="Update", references=["T-9", "T-0"]))
    assert dispatch.desks.merged == [("threat:T-9", "I-1")]
    await dispatch.handle(dispatch.alert("T-5", "I-1", minutes=-6, msgType="Update", references=["T-4"]))
    await dispatch.handle(dispatch.alert("T-4", minutes=-7))
    assert dispatch.desks.merged == [("threat:T-9", "I-1"), ("threat:T-4", "I-1")], "also when it comes afterwards"
    assert dispatch.desks.ended == []


async def test_P08_a_cancel_of_two_threats_does_not_make_one_of_their_incidents(dispatch: Dispatch) -> None:
    await dispatch.handle(dispatch.alert("T-1", minutes=-9), dispatch.alert("T-2", "I-1", minutes=-8))
    await dispatch.handle(dispatch.alert("T-3", minutes=-7, msgType="Cancel", references=["T-1", "T-2"]))
    assert dispatch.desks.merged == []
    assert dispatch.desks.ended == [("threat:T-1", "the incident is cancelled")]


def _random_messages(dispatch: Dispatch, prefix: str, seed: int) -> list[ConsumedRecord]:
    """Messages of few threads and incidents that speak about each other, come out of order, and are refused at times.

    prefix: stands before every name, so that the same ones may come twice.
    """
    chance = random.Random(seed)

    def some(names: Sequence[str], most: int) -> list[str]:
        return [prefix + name for name in chance.sample(names, chance.randint(0, most))]

    messages = []
    for number in range(16):
        identifier = chance.choice(THREATS)
        messages.append(
            dispatch.alert(
                prefix + identifier,
                *some(("I-1", "I-2", "I-3"), 2),
                minutes=chance.randint(-9, 0),
                event_id=f"{prefix}{number:02}",
                msgType=chance.choice(("Alert", "Alert", "Update", "Cancel")),
                references=[name for name in some(THREATS, 2) if name != prefix + identifier],
                status=chance.choice(("Actual",) * 8 + ("Exercise", "System")),
            )
        )
    return messages


@pytest.mark.parametrize("seed", range(12))
async def test_an_own_incident_is_open_exactly_while_a_threat_is_active_on_it(dispatch: Dispatch, seed: int) -> None:
    chance = random.Random(seed)
    messages = _random_messages(dispatch, "", seed)
    while messages:
        count = chance.randint(1, 4)
        await dispatch.handle(*messages[:count])
        messages = messages[count:]
        merged = f"I-{chance.randint(1, 3)}"
        into = chance.choice(("I-1", "I-2", *(f"threat:{name}" for name in THREATS)))
        ended = (goes_on_as := await dispatch.stored(into)) is not None and goes_on_as.status != "open"
        status = "open" if merged == into or ended else "merged"
        report = dispatch.incident(merged, -len(messages), incidentStatusCommonRegistryText=status, mergedInto=into)
        await dispatch.handle(report)
        async with dispatch.database.read() as tx:
            own = await incidents.get_all(tx, [f"threat:{name}" for name in THREATS])
            active = {each.incident_id: await threats.of_incident(tx, each.incident_id) for each in own}
        for each in own:
            if is_placeholder(each) and each.merged_into is None:
                assert (each.status == "open") == bool(active[each.incident_id]), each.incident_id


@pytest.mark.parametrize("seed", range(12))
async def test_a_batch_of_threats_has_the_effect_that_its_messages_would_have_had_alone(
    dispatch: Dispatch, seed: int
) -> None:
    at_once, alone = "x-", "y-"

    async def effect_of(prefix: str) -> tuple[object, ...]:
        async with dispatch.database.read() as tx:
            stored = await threats.get_all(tx, [prefix + name for name in THREATS])
        names = [f"{prefix}I-{number}" for number in (1, 2, 3)] + [f"threat:{prefix}{name}" for name in THREATS]
        told = {name: await dispatch.told(name) for name in names}
        incidents_now = [await dispatch.stored(name) for name in names]
        ended = [(name, why) for name, why in dispatch.desks.ended if prefix in name]
        merged = [pair for pair in dispatch.desks.merged if prefix in pair[0]]
        states = sorted(
            (
                each.record.identifier,
                each.record.state,
                each.record.event_id,
                *sorted(each.references | each.incident_ids),
            )
            for each in stored
        )
        rows = [each and (each.incident_id, each.status, each.merged_into, each.exercise) for each in incidents_now]
        return tuple(repr(what).replace(prefix, "") for what in (states, rows, told, ended, merged))

    outcomes = await dispatch.handle(*_random_messages(dispatch, at_once, seed))
    one_by_one = [await dispatch.handle(record) for record in _random_messages(dispatch, alone, seed)]
    assert [[reason] for reason in reasons(outcomes)] == [reasons(each) for each in one_by_one]
    assert await effect_of(at_once) == await effect_of(alone)


async def test_a_batch_that_another_process_overtook_is_refused_whole_and_applies_when_it_comes_again(
    dispatch: Dispatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process notes one of the events between the look and the note, as a member that was thought dead does."""
    records = [dispatch.incident("I-1", -1, "mine"), dispatch.incident("I-2", -1, "theirs")]
    await dispatch.handle(records[1])
    noted = input_events.noted

    async def blind(*_arguments: Any) -> dict[Any, Any]:
        return {}

    monkeypatch.setattr(input_events, "noted", blind)
    with pytest.raises(TransientError):
        await dispatch.handle(*records)
    assert await dispatch.stored("I-1") is None
    monkeypatch.setattr(input_events, "noted", noted)
    assert await dispatch.handle(*records) == [None, None]
    assert len(await dispatch.told("I-1")) == len(await dispatch.told("I-2")) == 1


@contextmanager
def losing_the_second_transaction(database: Database, *, commits: bool) -> Iterator[None]:
    """The database is lost as the second transaction notes its events, or when that has committed."""
    done = 0

    def lose() -> None:
        nonlocal done
        done += 1
        if done == 2:
            raise UnavailableError("the database was lost")

    def lose_at_note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if statement.startswith("INSERT INTO input_events"):
            lose()

    if commits:
        database.after_commit(lose)
        yield
        return
    engine_event.listen(database.engine.sync_engine, "before_cursor_execute", lose_at_note)
    yield
    engine_event.remove(database.engine.sync_engine, "before_cursor_execute", lose_at_note)


@pytest.mark.parametrize("commits", [False, True], ids=["undone", "done, but nobody was told"])
async def test_a_batch_whose_second_transaction_failed_has_each_effect_once_when_it_comes_again(
    dispatch: Dispatch, commits: bool
) -> None:
    """The batch takes two, since an event bears the identity of a refused one that is before it."""
    records = [
        dispatch.incident("I-1", -5, "first", incidentCommonPriorityNumber=5),
        dispatch.incident("I-1", 60, "same"),
        dispatch.incident("I-1", -4, "same", incidentCommonPriorityNumber=4),
        dispatch.incident("I-2", -3, "last"),
    ]
    with losing_the_second_transaction(dispatch.database, commits=commits), pytest.raises(UnavailableError):
        await dispatch.handle(*records)
    told = [len(await dispatch.told(name)) for name in ("I-1", "I-2")]
    assert told == ([2, 1] if commits else [1, 0]), "what the first one did has stayed"
    again = "identity_reused" if commits else "from_the_future"
    for refusal in (again, "identity_reused"):
        assert reasons(await dispatch.handle(*records)) == [None, refusal, None, None]
        assert [view["priority"] for view in await dispatch.told("I-1")] == [5, 4]
        assert len(await dispatch.told("I-2")) == 1
    async with dispatch.database.read() as tx:
        noted = await input_events.noted(tx, [("urn:cad", name) for name in ("first", "same", "last")])
    assert len(noted) == 3


async def test_what_cannot_be_read_needs_no_transaction(dispatch: Dispatch) -> None:
    garbage = ConsumedRecord(KAFKA.topics.incidents, 0, 1, None, b"garbage", STRUCTURED_HEADERS, NOW)
    with counted_statements(dispatch.database) as statements:
        (outcome,) = await dispatch.handle(garbage)
    assert isinstance(outcome, InvalidInputError)
    assert statements == []


async def test_processes_that_work_on_the_same_incidents_at_once_have_each_effect_once(
    database: Database, database_url: str
) -> None:
    """Two members of the group with the same records, as after a pause of one, and threats on the same incidents."""
    other = Database(DatabaseSettings(url=SecretStr(database_url)))
    first, second = Dispatch(database), Dispatch(other)
    names = [f"I-{number}" for number in range(12)]
    reports = [first.incident(name, -3 + turn) for turn in range(3) for name in names]
    repeated = [*reversed(reports[:12]), *reports[12:24], *reversed(reports[24:])]
    alerts = [first.alert(f"T-{name}", name, minutes=-1) for name in reversed(names)]

    async def until_handled(dispatch: Dispatch, records: Sequence[ConsumedRecord]) -> None:
        for start in range(0, len(records), 9):
            while True:
                try:
                    assert not any(await dispatch.handle(*records[start : start + 9]))
                    break
                except TransientError:
                    continue

    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        for dispatch, records in ((first, reports), (second, repeated), (first, alerts), (second, alerts)):
            tasks.create_task(until_handled(dispatch, records))
    await other.close()
    for name in names:
        told = await first.told(name)
        stored = await first.stored(name)
        assert stored is not None
        assert (stored.last_update_at, stored.incident_type) == (NOW - timedelta(minutes=1), "SHOOT")
        assert told[-1]["imminent"]
    async with database.read() as tx:
        noted = (await tx.execute(select(func.count()).select_from(input_events_table))).scalar_one()
    assert noted == len(reports) + len(alerts)


@pytest.mark.postgresql
async def test_batches_with_repetitions_and_batches_of_threats_do_not_wait_for_each_other(
    database: Database, database_url: str
) -> None:
    other = Database(DatabaseSettings(url=SecretStr(database_url)))
    dispatch, alerting = Dispatch(database), Dispatch(other)
    assert not any(await dispatch.handle(*(dispatch.incident(name, -2) for name in ("I-1", "I-2"))))
    reports = [dispatch.incident(name, -1, f"e {name}") for name in ("I-2", "I-2", "I-1")]
    async with other.write() as tx:
        await incidents.lock_all(tx, ["I-2"])
        reporting = asyncio.create_task(dispatch.handle(*reports))
        await until(lambda: reaches(other, 1))
        warning = asyncio.create_task(alerting.handle(alerting.alert("T-1", "I-1", "I-2", event_id="alert")))
        await until(lambda: reaches(other, 2))
    assert (await reporting, await warning) == ([None] * 3, [None])
    await other.close()


async def test_the_longest_identity_that_is_accepted_can_be_noted(database: Database) -> None:
    dispatch = Dispatch(database)
    assert await dispatch.handle(dispatch.incident("A", event_id="".join(map(chr, range(0x4E00, 0x4E00 + 512))))) == [
        None
    ]
    assert await dispatch.stored("A") is not None
