"""What the reports of all processes mean together."""

from datetime import UTC, datetime

from rtcc_bridge.app.roles import Role
from rtcc_bridge.storage.processes import SILENT_SECONDS, ProcessRecord
from rtcc_bridge.web import words
from rtcc_bridge.web.floor import floor_state

SEEN_AT = datetime(2026, 11, 23, 12, 0, 5, tzinfo=UTC)
AWAY = "connection refused"


def process(*roles: Role, unseen: float = 1, **dependencies: str | None) -> ProcessRecord:
    return ProcessRecord(
        process_id=f"{'-'.join(roles)} {unseen}",
        roles=roles,
        started_at=SEEN_AT,
        seen_at=SEEN_AT,
        dependencies={"database": None, **dependencies},
        unseen_seconds=unseen,
    )


def meanings(*records: ProcessRecord) -> list[str]:
    return [problem.meaning for problem in floor_state(records).problems]


def test_the_absence_of_every_role_but_the_boards_own_has_words() -> None:
    assert set(words.UNATTENDED) == set(Role) - {Role.WEB}


def test_all_roles_in_one_process_or_in_several_are_the_same_to_the_floor() -> None:
    assert floor_state([process(*Role)]).ready
    assert floor_state([process(role) for role in Role]).ready


def test_a_role_that_nobody_reports_is_said() -> None:
    state = floor_state([process(Role.WEB), process(Role.MATCHER), process(Role.RELAY)])
    assert not state.ready
    assert [problem.name for problem in state.problems] == ["consumer"]
    assert state.problems[0].meaning == "Nobody reads incidents and alerts now: no consumer process reports."


def test_a_process_that_fell_silent_is_no_longer_counted_and_the_board_says_since_when() -> None:
    others = process(Role.WEB, Role.CONSUMER, Role.RELAY)
    assert meanings(others, process(Role.MATCHER, unseen=SILENT_SECONDS - 1)) == []
    state = floor_state([others, process(Role.MATCHER, unseen=SILENT_SECONDS, consumer=AWAY)])
    assert [problem.meaning for problem in state.problems] == [
        "Nobody searches now: no matcher process has reported since 12:00:05 UTC."
    ]
    assert [one.alive for one in state.processes] == [True, False]


def test_one_living_process_of_a_role_is_enough() -> None:
    assert meanings(process(*Role), process(Role.CONSUMER, unseen=3600)) == []


def test_the_clock_of_a_database_that_was_set_back_kills_nobody() -> None:
    assert meanings(process(*Role, unseen=-3600)) == []


def test_what_a_process_misses_is_said() -> None:
    state = floor_state([process(Role.WEB, Role.MATCHER, Role.RELAY), process(Role.CONSUMER, consumer=AWAY)])
    (problem,) = state.problems
    assert (problem.name, problem.reason) == ("consumer", AWAY)
    assert problem.meaning == words.outage_words("consumer")


def test_what_one_of_several_misses_is_said_to_be_so_in_one_of_them() -> None:
    well, ill = process(*Role, broker=None), process(Role.RELAY, broker=AWAY)
    assert meanings(well, ill) == [f"In 1 of 2 processes: {words.outage_words('broker')}"]
    assert meanings(process(*Role, broker=AWAY), ill) == [words.outage_words("broker")]
