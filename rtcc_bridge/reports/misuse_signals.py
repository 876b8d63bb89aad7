"""Signs of misuse (P27): one table, each sign with its exact definition and what finds it in a history. Pure.

A sign is no verdict: each has harmless explanations, and a person looks into it. Nothing here compares faces: a still
is the same when its bytes are, or when the face that was cut out of it has the very same pixels (`same_stills`).
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, TypeAlias, TypeVar

from rtcc_bridge.policy.policy_parts import MisuseRule
from rtcc_bridge.reports.roster import Roster

MOST_REFERENCES: Final = 20


class SignalKind(StrEnum):
    """What is looked for. A closed list, which the metric's label follows."""

    SAME_STILL = "same_still"
    RECROPS = "recrops"
    OFF_SHIFT = "off_shift"
    UNOPENED_APPROVALS = "unopened_approvals"
    LAPSED_DEFERRALS = "lapsed_deferrals"
    NEVER_DISAGREES = "never_disagrees"
    MISSED_CASES = "missed_cases"


@dataclass(frozen=True, slots=True)
class Trace:
    """Something that an account did, or that came of what it did, at a moment. reference: a probe, lead or review.

    still: what it was done with, the same for all copies of it (`same_stills`). version: its edits, as one text. flag:
    said by each list.
    """

    at: datetime
    account: str
    reference: str
    still: str = ""
    version: str = ""
    flag: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What happened in the window that is looked at, each list the oldest first. Stills of exercises are not in it.

    searches: searches that returned, each by the analyst who attached the still. versions: states of a still that an
    analyst tried, by attaching or editing it. approvals: flag: whether the supervisor had opened the request. lapses:
    by the analyst. acts: whatever examiners and supervisors did. reviews: of leads that all have concluded on; flag:
    whether the review came to something else than the first examination. answers: to seeded cases; flag: right.
    """

    searches: Sequence[Trace] = ()
    versions: Sequence[Trace] = ()
    approvals: Sequence[Trace] = ()
    lapses: Sequence[Trace] = ()
    acts: Sequence[Trace] = ()
    reviews: Sequence[Trace] = ()
    answers: Sequence[Trace] = ()
    roster: Roster | None = None


@dataclass(frozen=True, slots=True)
class Signal:
    """One sign. references: the first few of what it rests on."""

    kind: SignalKind
    accounts: tuple[str, ...]
    count: int
    first_at: datetime
    last_at: datetime
    references: tuple[str, ...]


Finder: TypeAlias = Callable[[History, MisuseRule], Iterator[Signal]]


@dataclass(frozen=True, slots=True)
class Definition:
    """What a sign means, word for word. The words in braces are the thresholds of the policy file."""

    kind: SignalKind
    words: str
    find: Finder

    def in_words(self, rule: MisuseRule) -> str:
        return self.words.format(**rule.model_dump())


def _same_still(history: History, rule: MisuseRule) -> Iterator[Signal]:
    for traces in _by(history.searches, lambda trace: trace.still).values():
        if len(traces) >= rule.same_still_searches:
            yield _signal(SignalKind.SAME_STILL, traces)


def _recrops(history: History, rule: MisuseRule) -> Iterator[Signal]:
    for traces in _by(history.versions, lambda one: (one.account, one.still)).values():
        first_of_each = list({trace.version: trace for trace in reversed(traces)}.values())
        if len(first_of_each) >= rule.versions_of_a_still:
            yield _signal(SignalKind.RECROPS, traces, len(first_of_each))


def _off_shift(history: History, rule: MisuseRule) -> Iterator[Signal]:
    if history.roster is None:
        return
    grace = timedelta(minutes=rule.shift_grace_minutes)
    outside = [trace for trace in history.acts if history.roster.is_off_shift(trace.account, trace.at, grace)]
    for traces in _by(outside, lambda trace: trace.account).values():
        yield _signal(SignalKind.OFF_SHIFT, traces)


def _unopened(history: History, rule: MisuseRule) -> Iterator[Signal]:
    unopened = [trace for trace in history.approvals if not trace.flag]
    for traces in _by(unopened, lambda trace: trace.account).values():
        if len(traces) >= rule.unopened_approvals:
            yield _signal(SignalKind.UNOPENED_APPROVALS, traces)


def _lapsed(history: History, rule: MisuseRule) -> Iterator[Signal]:
    for traces in _by(history.lapses, lambda trace: trace.account).values():
        if len(traces) >= rule.lapsed_deferrals:
            yield _signal(SignalKind.LAPSED_DEFERRALS, traces)


def _never_disagrees(history: History, rule: MisuseRule) -> Iterator[Signal]:
    for traces in _by(history.reviews, lambda trace: trace.account).values():
        if len(traces) >= rule.reviews_without_disagreement and not any(trace.flag for trace in traces):
            yield _signal(SignalKind.NEVER_DISAGREES, traces)


def _missed(history: History, rule: MisuseRule) -> Iterator[Signal]:
    wrong = [trace for trace in history.answers if not trace.flag]
    for traces in _by(wrong, lambda trace: trace.account).values():
        if len(traces) >= rule.missed_cases:
            yield _signal(SignalKind.MISSED_CASES, traces)


DEFINITIONS: Final = (
    Definition(
        SignalKind.SAME_STILL,
        "The same still was searched {same_still_searches} times or more, by whomever, in whichever case. It is the "
        "same with the same bytes, and saved anew as well, where the face cut out of it has the same pixels.",
        _same_still,
    ),
    Definition(
        SignalKind.RECROPS,
        "An analyst tried {versions_of_a_still} or more different edits of the same still, the unedited one included, "
        "by attaching or editing it, whether or not each was searched. It is the same as above; a copy that was saved "
        "anew is known as one when a face has been chosen in both.",
        _recrops,
    ),
    Definition(
        SignalKind.OFF_SHIFT,
        "An account attached, edited or looked at a still, chose a face, decided on a search, took, examined, reviewed "
        "or released a lead outside every shift that the roster gives it, widened by {shift_grace_minutes} minutes on "
        "both sides. Only the time is judged that the roster covers, from its first shift to its last.",
        _off_shift,
    ),
    Definition(
        SignalKind.UNOPENED_APPROVALS,
        "A supervisor approved {unopened_approvals} or more searches without having opened the request or its still "
        "before.",
        _unopened,
    ),
    Definition(
        SignalKind.LAPSED_DEFERRALS,
        "Of an analyst's searches whose approval might follow (P14), {lapsed_deferrals} or more were not approved in "
        "time.",
        _lapsed,
    ),
    Definition(
        SignalKind.NEVER_DISAGREES,
        "A reviewer concluded {reviews_without_disagreement} or more blind reviews and came to the same as the first "
        "examiner in every one, where the same is what needs no third examiner (P12). Only leads count on which all "
        "examiners have concluded.",
        _never_disagrees,
    ),
    Definition(
        SignalKind.MISSED_CASES,
        "A reviewer answered {missed_cases} or more seeded cases wrongly: by supporting somebody who is not the "
        "person, or nobody where the person is listed. An inconclusive answer is not wrong.",
        _missed,
    ),
)
"""The table. `docs/reports.md` tells what each can mean."""


def signals(history: History, rule: MisuseRule) -> list[Signal]:
    """All signs of a history, in the order of the table, each kind the longest list first."""
    return [
        one
        for definition in DEFINITIONS
        for one in sorted(definition.find(history, rule), key=lambda one: (-one.count, one.accounts))
    ]


def same_stills(seen: Iterable[tuple[str, str | None]]) -> Mapping[str, str]:
    """For each original one name that it has in common with its copies.

    seen: (sha256 of an original's bytes, sha256 of the pixels of a face that was cut out of it, if one was). Originals
    that have a face's pixels in common are copies of one still, and so are their copies.
    """
    groups: dict[str, set[str]] = {}
    by_face: dict[str, str] = {}
    for original, face in seen:
        group = groups.setdefault(original, {original})
        if face is None:
            continue
        other = groups[by_face.setdefault(face, original)]
        if other is not group:
            small, large = sorted((group, other), key=len)
            large |= small
            groups |= dict.fromkeys(small, large)
    names = {key: min(group) for key, group in {id(group): group for group in groups.values()}.items()}
    return {original: names[id(group)] for original, group in groups.items()}


_Key = TypeVar("_Key")


def _by(traces: Iterable[Trace], key: Callable[[Trace], _Key]) -> Mapping[_Key, list[Trace]]:
    grouped: dict[_Key, list[Trace]] = defaultdict(list)
    for trace in traces:
        grouped[key(trace)].append(trace)
    return grouped


def _signal(kind: SignalKind, traces: Sequence[Trace], count: int | None = None) -> Signal:
    return Signal(
        kind=kind,
        accounts=tuple(sorted({trace.account for trace in traces})),
        count=len(traces) if count is None else count,
        first_at=min(trace.at for trace in traces),
        last_at=max(trace.at for trace in traces),
        references=tuple(dict.fromkeys(trace.reference for trace in traces))[:MOST_REFERENCES],
    )
