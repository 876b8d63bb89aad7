"""What a search was for, in the words of every report."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from rtcc_bridge.policy.purposes import Purpose

PURPOSE_WORDS: Final[Mapping[Purpose, str]] = MappingProxyType(
    {
        Purpose.VIOLENT_OFFENSE: "violent offense",
        Purpose.IMMINENT_THREAT: "imminent threat to public safety",
        Purpose.IDENTIFY_DECEASED: "identification of somebody who has died",
        Purpose.IDENTIFY_INCAPACITATED: "identification of somebody who cannot say who they are",
    }
)
