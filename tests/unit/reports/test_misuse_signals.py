"""Each sign of misuse on a made history: it fires at its threshold, and stays silent just below it."""

import tracemalloc
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from rtcc_bridge.metrics import MISUSE_SIGNALS
from rtcc_bridge.policy.policy_parts import MisuseRule
from rtcc_bridge.reports.misuse_signals import (
    DEFINITIONS,
    MOST_REFERENCES,
    Copies,
    History,
    Signal,
    SignalKind,
    Trace,
)
from rtcc_bridge.reports.misuse_signals import signals as signals_of
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
class Happened:
    """Traces by their kind. copies: pairs of an original and a face that was cut out of it."""

    searches: Sequence[Trace] = ()
    versions: Sequence[Trace] = ()
    approvals: Sequence[Trace] = ()
    lapses: Sequence[Trace] = ()
    acts: Sequence[Trace] = ()
    reviews: Sequence[Trace] = ()
    answers: Sequence[Trace] = ()
    copies: Sequence[tuple[str, str]] = ()
    roster: Roster | None = None

    def told(self, rule: MisuseRule) -> History:
        history = History(rule, self.roster)
        for tell, traces in (
            (history.search, self.searches),
            (history.version, self.versions),
            (history.approval, self.approvals),
            (history.lapse, self.lapses),
            (history.act, self.acts),
            (history.review, self.reviews),
            (history.answer, self.answers),
        ):
            for trace in traces:
                tell(trace)
        for original, face in self.copies:
            history.copies.add(original, face)
        return history


def signals(happened: Happened, rule: MisuseRule) -> list[Signal]:
    return signals_of(happened.told(rule))


@dataclass(frozen=True)
class Case:
    kind: SignalKind
    fires: Happened
    silent: Sequence[Happened]
    accounts: tuple[str, ...]
    count: int


CASES = (
    Case(
        SignalKind.SAME_STILL,
        Happened(searches=[*traces(1, still="s"), *traces(1, "second", still="s"), *traces(1, still="t")]),
        [
            Happened(searches=[*traces(1, still="s"), *traces(1, still="t")]),
            Happened(versions=traces(2, still="s")),  # attached twice, searched never
        ],
        ("analyst", "second"),
        2,
    ),
    Case(
        SignalKind.RECROPS,
        Happened(versions=versions("[]", "a", "b", "b", "c")),
        [
            Happened(versions=versions("[]", "a", "b", "b", "a")),
            Happened(versions=[*versions("[]", "a"), *traces(2, "second", still="s", version="b")]),
            Happened(versions=[*versions("[]", "a"), *traces(1, still="t", version="b")]),
        ],
        ("analyst",),
        4,
    ),
    Case(
        SignalKind.OFF_SHIFT,
        Happened(acts=[Trace(at(12), "analyst", "lead-1"), Trace(at(2), "analyst", "lead-2")], roster=roster()),
        [
            Happened(acts=[Trace(at(8.9), "analyst", "lead-1")], roster=roster()),
            Happened(acts=[Trace(at(12), "analyst", "lead-1")], roster=None),
            Happened(acts=[Trace(at(40), "analyst", "lead-1")], roster=roster()),  # the roster has ended
        ],
        ("analyst",),
        1,
    ),
    Case(
        SignalKind.UNOPENED_APPROVALS,
        Happened(approvals=[*traces(1, "supervisor", flag=False), *traces(3, "supervisor", flag=True)]),
        [Happened(approvals=traces(3, "supervisor", flag=True))],
        ("supervisor",),
        1,
    ),
    Case(SignalKind.LAPSED_DEFERRALS, Happened(lapses=traces(1)), [Happened()], ("analyst",), 1),
    Case(
        SignalKind.NEVER_DISAGREES,
        Happened(reviews=traces(RULE.reviews_without_disagreement, "reviewer")),
        [
            Happened(reviews=traces(RULE.reviews_without_disagreement - 1, "reviewer")),
            Happened(
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
        Happened(answers=[*traces(2, "reviewer"), *traces(5, "reviewer", flag=True)]),
        [
            Happened(answers=[*traces(1, "reviewer"), *traces(5, "reviewer", flag=True)]),
            Happened(answers=[*traces(1, "reviewer"), *traces(1, "examiner")]),
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
    for happened in case.silent:
        assert signals(happened, RULE) == []


@pytest.mark.parametrize(
    ("changed", "happened"),
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
def test_the_policy_sets_the_threshold_and_the_words_say_it(changed: dict[str, int], happened: Happened) -> None:
    rule = MisuseRule.model_validate(changed)
    assert signals(happened, rule) == []
    words = [definition.in_words(rule) for definition in DEFINITIONS]
    [(_, number)] = changed.items()
    assert sum(one != before.in_words(RULE) for one, before in zip(words, DEFINITIONS, strict=True)) == 1
    assert any(str(number) in one for one in words)
    assert not any("{" in one for one in words)


def test_a_long_list_is_counted_whole_and_shown_in_part() -> None:
    [found] = signals(Happened(lapses=traces(50)), RULE)
    assert (found.count, len(found.references)) == (50, MOST_REFERENCES)


def test_the_worst_comes_first() -> None:
    many, few = traces(3, "second"), traces(1, "analyst")
    assert [one.accounts for one in signals(Happened(lapses=[*few, *many]), RULE)] == [("second",), ("analyst",)]


def test_copies_are_counted_together_and_each_moment_once() -> None:
    searches = [Trace(at(hour), who, f"probe-{hour}", still) for hour, who, still in [
        (1, "analyst", "a"), (2, "second", "b"), (3, "analyst", "a"), (4, "third", "c")]]  # fmt: skip
    history = Happened(searches=searches, copies=[("a", "1"), ("b", "1")]).told(RULE)
    once = signals_of(history)
    assert signals_of(history) == once, "to look changes nothing"
    [found] = once
    assert (found.count, found.accounts) == (3, ("analyst", "second"))
    assert (found.first_at, found.last_at) == (at(1), at(3))
    assert found.references == ("probe-1", "probe-2", "probe-3")


def test_originals_with_a_face_s_pixels_in_common_are_one_still() -> None:
    seen = [("a", "1"), ("b", "2"), ("c", "1"), ("b", "3"), ("e", "3"), ("c", "2"), ("f", "4")]
    for order in (seen, seen[::-1]):  # in whatever order they are heard of
        copies = Copies()
        for original, face in order:
            copies.add(original, face)
        assert copies.names() == dict.fromkeys("abce", "a"), "what has no copy needs no other name"
    assert Copies().names() == {}


def test_many_copies_of_one_still_can_be_grouped() -> None:
    """Each merge looks at the smaller side, and each group's name is made once: else this runs into its time limit."""
    copies = Copies()
    for number in range(50_000):
        copies.add(f"{number:06}", "face")
    assert set(copies.names().values()) == {"000000"}


def test_memory_grows_with_the_stills_and_not_with_how_often_they_come() -> None:
    """One account's hundred thousand acts on a hundred stills take no more than its first ten thousand do."""
    history = History(RULE, roster())

    def tell(begin: int, end: int) -> None:
        for number in range(begin, end):
            still, version = f"still-{number % 100}", f"version-{number % 7}"
            trace = Trace(at(number / 1000), "analyst", f"probe-{number}", still, version)
            history.search(trace)
            history.version(trace)
            history.act(trace)
            history.approval(trace)

    tell(0, 10_000)
    tracemalloc.start()
    tell(10_000, 100_000)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 100_000, "bytes; a list of the traces would take some ten million"
    assert signals_of(history)[0].count == 1_000
