"""The scale of conclusions (P13): what an examiner can say of a candidate. Pure.

The order and the words follow the scales of support that FISWG and ENFSI recommend. There is no step for certainty. The
policy file may leave steps out, and never inconclusive or exclusion.
"""

from collections.abc import Collection, Iterable
from typing import Final, Literal, TypeAlias

from rtcc_bridge.errors import PolicyRefusalError
from rtcc_bridge.policy.policy_parts import Conclusion

SupportingConclusion: TypeAlias = Literal[Conclusion.STRONG_SUPPORT, Conclusion.SUPPORT, Conclusion.LIMITED_SUPPORT]

SUPPORTING: Final = (Conclusion.LIMITED_SUPPORT, Conclusion.SUPPORT, Conclusion.STRONG_SUPPORT)
"""From the weakest to the strongest."""


def is_support(conclusion: Conclusion) -> bool:
    return conclusion in SUPPORTING


def weakest(conclusions: Iterable[Conclusion]) -> Conclusion:
    """Of supporting conclusions, the one that says least: more than that was not agreed on."""
    return min(conclusions, key=SUPPORTING.index)


def require_on_scale(conclusions: Iterable[Conclusion], scale: Collection[Conclusion]) -> None:
    """P13: the policy in force has such a step. Raises PolicyRefusalError."""
    if missing := {conclusion.value for conclusion in conclusions} - set(scale):
        raise PolicyRefusalError(
            "P13",
            f"The policy in force has no conclusion of {_in_words(sorted(missing))}: conclude by {_in_words(scale)}.",
        )


def _in_words(conclusions: Iterable[str]) -> str:
    return ", ".join(one.replace("_", " ") for one in conclusions)
