"""Runs the tests of a rule on a copy of the tree, with one check taken out or with none."""

import asyncio
import importlib.util
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from tests.mutation.checks import Check

_LEFT_BEHIND: Final = (".*", "__pycache__", "var", "dist", "build", "node_modules", "shared")
_OUTCOME: Final = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)
_PASSED, _FAILED, _INTERRUPTED = 0, 1, 2
"""What pytest ends with; interrupted: a file could not even be imported."""


class Verdict(StrEnum):
    """What came of a check's removal."""

    KILLED = "killed"
    SURVIVED = "survived"


class TrialError(Exception):
    """The tests could not be run, or do not pass by themselves: nothing that they say of a removal would count."""


@dataclass(frozen=True, slots=True)
class Result:
    """by: the test that noticed; empty when none did."""

    verdict: Verdict
    by: str
    seconds: float


class Tree:
    """A copy of the tree, in which one check at a time is taken out. For one run after another, not for two at once."""

    def __init__(self, source: Path, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(source, folder, ignore=shutil.ignore_patterns(*_LEFT_BEHIND))

    async def untouched(self, tests: Sequence[str], limit_seconds: float) -> float:
        """How long the tests take on the whole program. Raises TrialError when they do not pass."""
        began = time.monotonic()
        code, output = await self._pytest(tests, limit_seconds)
        if code != _PASSED:
            raise TrialError(f"{' '.join(tests)} does not pass on the program as it is:\n{output[-2000:]}")
        return time.monotonic() - began

    async def without(self, check: Check, tests: Sequence[str], limit_seconds: float) -> Result:
        """Runs them without the check, and puts it back. Raises TrialError when the tests could not be run."""
        file = self.folder / check.path
        source = file.read_bytes()
        began = time.monotonic()
        try:
            _write(file, check.removed_from(source))
            code, output = await self._pytest(tests, limit_seconds)
        finally:
            _write(file, source)
        seconds = time.monotonic() - began
        if code == _PASSED:
            return Result(Verdict.SURVIVED, "", seconds)
        if code is None:
            return Result(Verdict.KILLED, "no end within the time", seconds)
        named = _OUTCOME.search(output)
        if code not in {_FAILED, _INTERRUPTED} or named is None:
            raise TrialError(f"pytest ended with {code} without {check.name}:\n{output[-2000:]}")
        return Result(Verdict.KILLED, named[1], seconds)

    async def _pytest(self, tests: Sequence[str], limit_seconds: float) -> tuple[int | None, str]:
        """The exit code, none when the time was over, and the output. Stops at the first failure."""
        options = ("-x", "-q", "--tb=no", "--no-header", "-rfE", "-p", "no:cacheprovider")
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "pytest",
            *options,
            *tests,
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(self.folder), "PYTHONDONTWRITEBYTECODE": ""},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,  # so that what the tests start ends with them
        )
        try:
            output, _ = await asyncio.wait_for(process.communicate(), limit_seconds)
        except TimeoutError:
            return None, ""
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        return process.returncode, output.decode(errors="replace")


def _write(file: Path, source: bytes) -> None:
    """What was compiled goes too: by time and size alone Python may take it for that of the new source."""
    file.write_bytes(source)
    Path(importlib.util.cache_from_source(str(file))).unlink(missing_ok=True)
