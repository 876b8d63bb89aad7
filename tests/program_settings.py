"""The settings as a process of its own would load them."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from rtcc_bridge.settings import ENVIRONMENT_PREFIX, Settings, load_settings


def load_with(environment: Mapping[str, str], file: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """With nothing of the environment of the tests, and of this one what the program knows. Raises as it does."""
    with monkeypatch.context() as patched:
        for name in [name for name in os.environ if name.startswith(ENVIRONMENT_PREFIX)]:
            patched.delenv(name)
        for name, value in environment.items():
            if name.startswith(ENVIRONMENT_PREFIX):
                patched.setenv(name, value)
        return load_settings(file)
