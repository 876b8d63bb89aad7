"""Each sign of misuse on a made history: it fires at its threshold, and stays silent just below it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from rtcc_bridge.metrics import MISUSE_SIGNALS
from rtcc_bridge.policy.policy_parts import MisuseRule
from rtcc_bridge.reports.misuse_signals import (
    DEFINITIONS,
    MOST_REFERENCES,
    History,
    SignalKind,
    Trace,
    same_stills,
    signals,
)
from rtcc_bridge.reports.roster import Roster

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
RULE = MisuseRule()


def at(hour: float) -> datetime:
    return BEGIN + timedelta(hours=hour)


def traces(count: int, account: str = "analyst", **values: object) -> list[Trace]:
    return [Trace(at(number), account, f"probe-{number}", **values) for number in range(count)]  # type: ignore[arg-type]


def roster() -> Roster:
    made = Roster.of([("analyst", at(0), at(8)), ("analyst", at(24), at(32))])
    assert made is not None
    return made


def versions(*steps: str) -> list[Trace]:
    return [
        Trace(at(number), "analyst", f"probe-{number}", still="s", version=step) for number, step in enumerate(steps)
    ]


@dataclass(frozen=True)
class Case:
    kind: SignalKind
    fires: History
    silent: Sequence[History]
    accounts: tuple[str, ...]
    count: int


CASES = (
    Case(
        SignalKind.SAME_STILL,
        History(searches=[*traces(1, still="s"), *traces(1, "second", still="s"), *traces(1, still="t")]),
        [
            History(searches=[*traces(1, still="s"), *traces(1, still="t")]),
            History(versions=traces(2, still="s")),  # attached twice, searched never
        ],
        ("analyst", "second"),
        2,
    ),
    Case(
        SignalKind.RECROPS,
        History(versions=versions("[]", "a", "b", "b", "c")),
        [
            History(versions=versions("[]", "a", "b", "b", "a")),
            History(versions=[*versions("[]", "a"), *traces(2, "second", still="s", version="b")]),
            History(versions=[*versions("[]", "a"), *traces(1, still="t", version="b")]),
        ],
        ("analyst",),
        4,
    ),
    Case(
        SignalKind.OFF_SHIFT,
        History(acts=[Trace(at(12), "analyst", "lead-1"), Trace(at(2), "analyst", "lead-2")], roster=roster()),
        [
            History(acts=[Trace(at(8.9), "analyst", "lead-1")], roster=roster()),
            History(acts=[Trace(at(12), "analyst", "lead-1")], roster=None),
            History(acts=[Trace(at(40), "analyst", "lead-1")], roster=roster()),  # the roster has ended
        ],
        ("analyst",),
        1,
    ),
    Case(
        SignalKind.UNOPENED_APPROVALS,
        History(approvals=[*traces(1, "supervisor", flag=False), *traces(3, "supervisor", flag=True)]),
        [History(approvals=traces(3, "supervisor", flag=True))],
        ("supervisor",),
        1,
    ),
    Case(SignalKind.LAPSED_DEFERRALS, History(lapses=traces(1)), [History()], ("analyst",), 1),
    Case(
        SignalKind.NEVER_DISAGREES,
        History(reviews=traces(RULE.reviews_without_disagreement, "reviewer")),
        [
            History(reviews=traces(RULE.reviews_without_disagreement - 1, "reviewer")),
            History(
                reviews=[
                    *traces(RULE.reviews_without_disagreement, "reviewer"),
                    Trace(at(50), "reviewer", "lead", flag=True),
                ]
            ),
        ],
        ("reviewer",),
        RULE.reviews_without_disagreement,
    ),
    Case(
        SignalKind.MISSED_CASES,
        History(answers=[*traces(2, "reviewer"), *traces(5, "reviewer", flag=True)]),
        [
            History(answers=[*traces(1, "reviewer"), *traces(5, "reviewer", flag=True)]),
            History(answers=[*traces(1, "reviewer"), *traces(1, "examiner")]),
        ],
        ("reviewer",),
        2,
    ),
)


def test_every_sign_has_its_definition_its_case_and_its_series() -> None:
    assert [definition.kind for definition in DEFINITIONS] == list(SignalKind) == [case.kind for case in CASES]
    assert tuple(kind.value for kind in SignalKind) == MISUSE_SIGNALS


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.kind.value)
def test_it_fires_at_its_threshold(case: Case) -> None:
    [found] = signals(case.fires, RULE)
    assert (found.kind, found.accounts, found.count) == (case.kind, case.accounts, case.count)
    assert found.references
    assert found.first_at <= found.last_at


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.kind.value)
def test_it_stays_silent_below(case: Case) -> None:
    for history in case.silent:
        assert signals(history, RULE) == []


@pytest.mark.parametrize(
    ("changed", "history"),
    [
        ({"same_still_searches": 3}, CASES[0].fires),
        ({"versions_of_a_still": 5}, CASES[1].fires),
        ({"shift_grace_minutes": 240}, CASES[2].fires),
        ({"unopened_approvals": 2}, CASES[3].fires),
        ({"lapsed_deferrals": 2}, CASES[4].fires),
        ({"reviews_without_disagreement": 21}, CASES[5].fires),
        ({"missed_cases": 3}, CASES[6].fires),
    ],
    ids=[case.kind.value for case in CASES],
)
def test_the_policy_sets_the_threshold_and_the_words_say_it(changed: dict[str, int], history: History) -> None:
    rule = MisuseRule.model_validate(changed)
    assert signals(history, rule) == []
    words = [definition.in_words(rule) for definition in DEFINITIONS]
    [(_, number)] = changed.items()
    assert sum(one != before.in_words(RULE) for one, before in zip(words, DEFINITIONS, strict=True)) == 1
    assert any(str(number) in one for one in words)
    assert not any("{" in one for one in words)


def test_a_long_list_is_counted_whole_and_shown_in_part() -> None:
    [found] = signals(History(lapses=traces(50)), RULE)
    assert (found.count, len(found.references)) == (50, MOST_REFERENCES)


def test_the_worst_comes_first() -> None:
    many, few = traces(3, "second"), traces(1, "analyst")
    assert [one.accounts for one in signals(History(lapses=[*few, *many]), RULE)] == [("second",), ("analyst",)]


def test_originals_with_a_face_s_pixels_in_common_are_one_still() -> None:
    seen = [
        ("a", None),
        ("a", "1"),
        ("b", "2"),
        ("c", "1"),
        ("d", None),
        ("b", "3"),
        ("e", "3"),
        ("c", "2"),
        ("f", "4"),
    ]
    found = same_stills(seen)
    assert found == {**dict.fromkeys("abce", "a"), "d": "d", "f": "f"}
    assert same_stills(reversed(seen)) == found, "in whatever order they are heard of"
    assert same_stills([]) == {}


def test_many_copies_of_one_still_can_be_grouped() -> None:
    """Each merge looks at the smaller side, and each group's name is made once: else this runs into its time limit."""
    seen = [(f"{number:06}", "face") for number in range(50_000)]
    assert set(same_stills(seen).values()) == {"000000"}
