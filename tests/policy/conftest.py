"""Gives these tests the probe desk."""

from tests.probe_kit import kit, training_kit

__all__ = ["kit", "training_kit"]
