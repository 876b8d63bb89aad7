"""Prometheus's own programs, from the distribution's package `prometheus`."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tools import program

Promtool = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def promtool() -> Promtool:
    """Runs promtool with these arguments and, if given, this input."""
    promtool = program("promtool", "prometheus")

    def run(*arguments: str | Path, text: str | None = None) -> "subprocess.CompletedProcess[str]":
        command = [promtool, *map(str, arguments)]
        return subprocess.run(command, input=text, check=False, capture_output=True, text=True)

    return run
