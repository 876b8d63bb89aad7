"""Whether examiners agree, and on what."""

from collections.abc import Mapping
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcc_bridge.leads.agreement import Agreement, Dissent, ListOutcome, of_three, of_two, outcome_of
from rtcc_bridge.leads.conclusions import SUPPORTING, is_support, weakest
from rtcc_bridge.policy.policy_parts import Conclusion

STRONG, SUPPORT, LIMITED = Conclusion.STRONG_SUPPORT, Conclusion.SUPPORT, Conclusion.LIMITED_SUPPORT
UNCLEAR, OUT = Conclusion.INCONCLUSIVE, Conclusion.EXCLUSION
VERDICTS = st.fixed_dictionaries({ref: st.sampled_from(Conclusion) for ref in "abc"})

Verdicts = Mapping[str, Conclusion]


def test_the_scale_has_one_order() -> None:
    assert set(SUPPORTING) == {one for one in Conclusion if is_support(one)}
    assert weakest([STRONG, LIMITED, SUPPORT]) is LIMITED


@pytest.mark.parametrize(
    ("verdicts", "outcome"),
    [
        ({"a": SUPPORT, "b": OUT}, ListOutcome.CANDIDATES),
        ({"a": LIMITED, "b": UNCLEAR}, ListOutcome.CANDIDATES),
        ({"a": UNCLEAR, "b": OUT}, ListOutcome.INCONCLUSIVE),
        ({"a": OUT, "b": OUT}, ListOutcome.NO_CANDIDATE),
    ],
)
def test_what_an_opinion_says_of_the_list(verdicts: Verdicts, outcome: ListOutcome) -> None:
    assert outcome_of(verdicts) is outcome


def test_p17_two_agree_on_the_weaker_of_what_they_say() -> None:
    found = of_two({"a": STRONG, "b": OUT}, {"a": LIMITED, "b": UNCLEAR})
    assert found == Agreement(ListOutcome.CANDIDATES, {"a": LIMITED})


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"a": SUPPORT, "b": OUT}, {"a": OUT, "b": OUT}),
        ({"a": SUPPORT, "b": OUT}, {"a": OUT, "b": SUPPORT}),
        ({"a": SUPPORT, "b": SUPPORT}, {"a": SUPPORT, "b": OUT}),
        ({"a": UNCLEAR, "b": OUT}, {"a": OUT, "b": OUT}),
        ({"a": SUPPORT, "b": OUT}, {"a": UNCLEAR, "b": OUT}),
    ],
)
def test_two_differ_in_whom_they_support_or_in_what_they_say_of_the_list(first: Verdicts, second: Verdicts) -> None:
    assert of_two(first, second) is None
    assert of_two(second, first) is None


def test_the_third_decides_and_the_dissent_is_kept() -> None:
    found = of_three({"a": STRONG, "b": OUT}, {"a": OUT, "b": OUT}, {"a": SUPPORT, "b": OUT})
    assert found == Agreement(ListOutcome.CANDIDATES, {"a": SUPPORT}, (Dissent("a", OUT),))


def test_the_dissent_of_who_supported_somebody_is_kept_when_nobody_is_released() -> None:
    found = of_three({"a": SUPPORT, "b": OUT}, {"a": OUT, "b": OUT}, {"a": OUT, "b": OUT})
    assert found == Agreement(ListOutcome.NO_CANDIDATE, {}, (Dissent("a", SUPPORT),))


def test_three_who_all_say_something_else_are_inconclusive() -> None:
    found = of_three({"a": SUPPORT, "b": OUT}, {"a": OUT, "b": SUPPORT}, {"a": OUT, "b": OUT})
    assert found.outcome is ListOutcome.INCONCLUSIVE
    assert found.supported == {}


@given(VERDICTS, VERDICTS, VERDICTS)
def test_p17_nobody_is_released_whom_fewer_than_two_support(first: Verdicts, second: Verdicts, third: Verdicts) -> None:
    for found, opinions in (
        (of_two(first, second), (first, second)),
        (of_three(first, second, third), (first, second, third)),
    ):
        if found is None:
            continue
        for ref, conclusion in found.supported.items():
            supporting = [one[ref] for one in opinions if is_support(one[ref])]
            assert len(supporting) >= 2
            assert conclusion is weakest(supporting)
        assert bool(found.supported) == (found.outcome is ListOutcome.CANDIDATES)


@given(VERDICTS, VERDICTS, VERDICTS)
def test_it_does_not_matter_who_was_first(first: Verdicts, second: Verdicts, third: Verdicts) -> None:
    assert of_two(first, second) == of_two(second, first)
    outcomes = {
        (found.outcome, tuple(sorted(found.supported.items())))
        for found in (of_three(*some) for some in permutations((first, second, third)))
    }
    assert len(outcomes) == 1
