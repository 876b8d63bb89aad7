"""Gives these tests the probe desk, and the desks of a lead's life."""

import pytest

from tests.life_kit import LifeKit, build_life
from tests.probe_kit import ProbeKit, kit, training_kit

__all__ = ["kit", "training_kit"]


@pytest.fixture
def life(kit: ProbeKit) -> LifeKit:
    return build_life(kit)
