"""The scale of conclusions (P13): what an examiner can say of a candidate. Pure.

The order and the words follow the scales of support that FISWG and ENFSI recommend. There is no step for certainty.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final, Literal, TypeAlias


class Conclusion(StrEnum):
    """What the comparison of two pictures says of whether they show one person."""

    STRONG_SUPPORT = "strong_support"
    SUPPORT = "support"
    LIMITED_SUPPORT = "limited_support"
    INCONCLUSIVE = "inconclusive"
    EXCLUSION = "exclusion"


SupportingConclusion: TypeAlias = Literal[Conclusion.STRONG_SUPPORT, Conclusion.SUPPORT, Conclusion.LIMITED_SUPPORT]

SUPPORTING: Final = (Conclusion.LIMITED_SUPPORT, Conclusion.SUPPORT, Conclusion.STRONG_SUPPORT)
"""From the weakest to the strongest."""


def is_support(conclusion: Conclusion) -> bool:
    return conclusion in SUPPORTING


def weakest(conclusions: Iterable[Conclusion]) -> Conclusion:
    """Of supporting conclusions, the one that says least: more than that was not agreed on."""
    return min(conclusions, key=SUPPORTING.index)
