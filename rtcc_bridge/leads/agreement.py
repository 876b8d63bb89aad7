"""Whether examiners agree, and on what (P12, P17). Pure: it sees conclusions by reference, and nobody's name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

from rtcc_bridge.leads.conclusions import is_support, weakest
from rtcc_bridge.policy.policy_parts import Conclusion

Verdicts: TypeAlias = Mapping[str, Conclusion]
"""An examiner's conclusion on each candidate of the list, by its reference."""

ENOUGH: Final = 2
"""Examiners who have to say the same."""


class ListOutcome(StrEnum):
    """What an opinion, or an agreement, says of the list as a whole."""

    CANDIDATES = "candidates"
    NO_CANDIDATE = "no_candidate"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Dissent:
    """What an examiner who was overruled said of a candidate."""

    candidate_ref: str
    conclusion: Conclusion


@dataclass(frozen=True, slots=True)
class Agreement:
    """What at least two examiners say alike.

    supported: the candidates that may be released, each with the weakest conclusion of those who support it.
    """

    outcome: ListOutcome
    supported: Verdicts
    dissent: tuple[Dissent, ...] = ()


def outcome_of(verdicts: Verdicts) -> ListOutcome:
    """A list that is excluded as a whole shows nobody; one with an inconclusive candidate and no support may."""
    if _supported(verdicts):
        return ListOutcome.CANDIDATES
    if Conclusion.INCONCLUSIVE in verdicts.values():
        return ListOutcome.INCONCLUSIVE
    return ListOutcome.NO_CANDIDATE


def of_two(first: Verdicts, second: Verdicts) -> Agreement | None:
    """What the two say alike; None when they differ: in whom they support, or in what they say of the whole list.

    Two who support nobody may call one candidate excluded and inconclusive: that changes nothing of the result.
    """
    if outcome_of(first) is not outcome_of(second) or _supported(first) != _supported(second):
        return None
    return Agreement(outcome_of(first), _weakest_support((first, second), _supported(first)))


def of_three(first: Verdicts, second: Verdicts, third: Verdicts) -> Agreement:
    """What two of the three say alike, with the dissent of the other; inconclusive when no two do."""
    opinions = (first, second, third)
    everybody = {ref for verdicts in opinions for ref in verdicts}
    supported = {ref for ref in everybody if sum(ref in _supported(one) for one in opinions) >= ENOUGH}
    if supported:
        dissent = _dissent(opinions, supported)
        return Agreement(ListOutcome.CANDIDATES, _weakest_support(opinions, supported), dissent)
    if sum(outcome_of(one) is ListOutcome.NO_CANDIDATE for one in opinions) >= ENOUGH:
        return Agreement(ListOutcome.NO_CANDIDATE, {}, _dissent(opinions, set()))
    return Agreement(ListOutcome.INCONCLUSIVE, {}, _dissent(opinions, set()))


def _supported(verdicts: Verdicts) -> set[str]:
    return {ref for ref, conclusion in verdicts.items() if is_support(conclusion)}


def _weakest_support(opinions: Sequence[Verdicts], refs: set[str]) -> Verdicts:
    return {ref: weakest(one[ref] for one in opinions if is_support(one[ref])) for ref in sorted(refs)}


def _dissent(opinions: Sequence[Verdicts], supported: set[str]) -> tuple[Dissent, ...]:
    """Whoever does not support what is supported, and whoever supports what is not."""
    return tuple(
        Dissent(ref, conclusion)
        for one in opinions
        for ref, conclusion in sorted(one.items())
        if is_support(conclusion) != (ref in supported)
    )
