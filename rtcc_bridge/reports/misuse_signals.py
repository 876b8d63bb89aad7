"""Signs of misuse (P27): one table, each sign with its exact definition and what finds it in a history. Pure.

A sign is no verdict: each has harmless explanations, and a person looks into it. Nothing here compares faces: a still
is the same when its bytes are, or when the face that was cut out of it has the very same pixels (`Copies`).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple, TypeAlias, TypeVar

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


class Trace(NamedTuple):
    """Something that an account did, or that came of what it did, at a moment. reference: a probe, lead or review.

    still: the sha256 of the original's bytes. version: its edits, as one text. flag: said by each kind of trace.
    """

    at: datetime
    account: str
    reference: str
    still: str = ""
    version: str = ""
    flag: bool = False


class Tally:
    """What a sign tells of the traces that it rests on: of a thousand as little to keep as of one.

    count: how many. accounts, versions: the different ones, in the order in which they came. flag: whether one had it.
    first: the moments and references of the first few.
    """

    __slots__ = ("accounts", "count", "first", "first_at", "flag", "last_at", "versions")

    def __init__(self, trace: Trace) -> None:
        self.count = 1
        self.first_at = self.last_at = trace.at
        self.accounts: tuple[str, ...] = (trace.account,)
        self.versions: tuple[str, ...] = (trace.version,)
        self.first: tuple[tuple[datetime, str], ...] = ((trace.at, trace.reference),)
        self.flag = trace.flag

    def add(self, other: "Tally") -> None:
        self.count += other.count
        self.first_at = min(self.first_at, other.first_at)
        self.last_at = max(self.last_at, other.last_at)
        self.accounts = _different(self.accounts, other.accounts)
        self.versions = _different(self.versions, other.versions)
        self.flag = self.flag or other.flag
        if len(self.first) < MOST_REFERENCES or other.first_at < self.first[-1][0]:
            references = {reference: at for at, reference in sorted((*self.first, *other.first), reverse=True)}
            self.first = tuple(sorted((at, reference) for reference, at in references.items())[:MOST_REFERENCES])


class Copies:
    """Which originals are copies of one still: those that have the pixels of a cut-out face in common, and so on."""

    def __init__(self) -> None:
        self._by_face: dict[str, str] = {}
        self._groups: dict[str, set[str]] = {}

    def add(self, original: str, face: str) -> None:
        """original: sha256 of its bytes. face: sha256 of the pixels of a face that was cut out of it."""
        known = self._by_face.setdefault(face, original)
        if known == original:
            return
        group, other = (self._groups.setdefault(one, {one}) for one in (original, known))
        if other is not group:
            small, large = sorted((group, other), key=len)
            large |= small
            self._groups |= dict.fromkeys(small, large)

    def names(self) -> Mapping[str, str]:
        """For each original that has copies one name, which is theirs too."""
        names = {key: min(group) for key, group in {id(group): group for group in self._groups.values()}.items()}
        return {original: names[id(group)] for original, group in self._groups.items()}


_Key = TypeVar("_Key")


class History:
    """What happened in the window that is looked at, of which no more is kept than signs are made of.

    It grows with the stills and the accounts, not with how often they come. What exercises were is not to be told it.
    Each method takes a trace of one kind, in the order of time.
    """

    def __init__(self, rule: MisuseRule, roster: Roster | None = None) -> None:
        """roster: without one nobody is off shift."""
        self.rule: Final = rule
        self.roster: Final = roster
        self.copies: Final = Copies()
        self.of_still: Final[dict[str, Tally]] = {}
        self.of_version: Final[dict[tuple[str, str], Tally]] = {}
        self.off_shift: Final[dict[str, Tally]] = {}
        self.unopened: Final[dict[str, Tally]] = {}
        self.lapsed: Final[dict[str, Tally]] = {}
        self.reviewed: Final[dict[str, Tally]] = {}
        self.missed: Final[dict[str, Tally]] = {}
        self._grace = timedelta(minutes=rule.shift_grace_minutes)

    def search(self, trace: Trace) -> None:
        """One that returned, by the analyst who attached the still."""
        _count(self.of_still, trace.still, trace)

    def version(self, trace: Trace) -> None:
        """A state of a still that an analyst tried, by attaching or editing it."""
        _count(self.of_version, (trace.account, trace.still), trace)

    def act(self, trace: Trace) -> None:
        """Whatever an examiner or supervisor did."""
        if self.roster is not None and self.roster.is_off_shift(trace.account, trace.at, self._grace):
            _count(self.off_shift, trace.account, trace)

    def approval(self, trace: Trace) -> None:
        """flag: whether the supervisor had opened the request."""
        if not trace.flag:
            _count(self.unopened, trace.account, trace)

    def lapse(self, trace: Trace) -> None:
        """Of an approval that might follow, by the analyst."""
        _count(self.lapsed, trace.account, trace)

    def review(self, trace: Trace) -> None:
        """Of a lead that all have concluded on. flag: whether it came to something else than the first examination."""
        _count(self.reviewed, trace.account, trace)

    def has_disagreed(self, account: str) -> bool:
        """Whether a review of this account has differed: no other one of it can make a sign then."""
        return account in self.reviewed and self.reviewed[account].flag

    def answer(self, trace: Trace) -> None:
        """To a seeded case. flag: right."""
        if not trace.flag:
            _count(self.missed, trace.account, trace)


@dataclass(frozen=True, slots=True)
class Signal:
    """One sign. references: the first few of what it rests on."""

    kind: SignalKind
    accounts: tuple[str, ...]
    count: int
    first_at: datetime
    last_at: datetime
    references: tuple[str, ...]


Finder: TypeAlias = Callable[[History], Iterator[Signal]]


@dataclass(frozen=True, slots=True)
class Definition:
    """What a sign means, word for word. The words in braces are the thresholds of the policy file."""

    kind: SignalKind
    words: str
    find: Finder

    def in_words(self, rule: MisuseRule) -> str:
        return self.words.format(**rule.model_dump())


def _same_still(history: History) -> Iterator[Signal]:
    names = history.copies.names()
    for tally in _together(history.of_still, lambda still: names.get(still, still)):
        if tally.count >= history.rule.same_still_searches:
            yield _signal(SignalKind.SAME_STILL, tally)


def _recrops(history: History) -> Iterator[Signal]:
    names = history.copies.names()
    for tally in _together(history.of_version, lambda one: (one[0], names.get(one[1], one[1]))):
        if len(tally.versions) >= history.rule.versions_of_a_still:
            yield _signal(SignalKind.RECROPS, tally, len(tally.versions))


def _off_shift(history: History) -> Iterator[Signal]:
    for tally in history.off_shift.values():
        yield _signal(SignalKind.OFF_SHIFT, tally)


def _unopened(history: History) -> Iterator[Signal]:
    for tally in history.unopened.values():
        if tally.count >= history.rule.unopened_approvals:
            yield _signal(SignalKind.UNOPENED_APPROVALS, tally)


def _lapsed(history: History) -> Iterator[Signal]:
    for tally in history.lapsed.values():
        if tally.count >= history.rule.lapsed_deferrals:
            yield _signal(SignalKind.LAPSED_DEFERRALS, tally)


def _never_disagrees(history: History) -> Iterator[Signal]:
    for tally in history.reviewed.values():
        if tally.count >= history.rule.reviews_without_disagreement and not tally.flag:
            yield _signal(SignalKind.NEVER_DISAGREES, tally)


def _missed(history: History) -> Iterator[Signal]:
    for tally in history.missed.values():
        if tally.count >= history.rule.missed_cases:
            yield _signal(SignalKind.MISSED_CASES, tally)


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


def signals(history: History) -> list[Signal]:
    """All signs of a history, in the order of the table, each kind the longest list first."""
    return [
        one
        for definition in DEFINITIONS
        for one in sorted(definition.find(history), key=lambda one: (-one.count, one.accounts))
    ]


def _count(tallies: dict[_Key, Tally], key: _Key, trace: Trace) -> None:
    one = Tally(trace)
    known = tallies.setdefault(key, one)
    if known is not one:
        known.add(one)


def _together(tallies: Mapping[_Key, Tally], name: Callable[[_Key], _Key]) -> Iterable[Tally]:
    """Those with a name in common as one. What is given stays as it is."""
    found: dict[_Key, Tally] = {}
    for key, tally in tallies.items():
        known = found.setdefault(name(key), tally)
        if known is not tally:
            found[name(key)] = both = copy(known)
            both.add(tally)
    return found.values()


def _different(some: tuple[str, ...], more: tuple[str, ...]) -> tuple[str, ...]:
    """The very tuple where nothing is new: most have the same one or two."""
    return (*some, *new) if (new := [one for one in more if one not in some]) else some


def _signal(kind: SignalKind, tally: Tally, count: int | None = None) -> Signal:
    return Signal(
        kind=kind,
        accounts=tuple(sorted(tally.accounts)),
        count=tally.count if count is None else count,
        first_at=tally.first_at,
        last_at=tally.last_at,
        references=tuple(reference for _, reference in tally.first),
    )
