"""A module of the repository run to its end, as `python -m` does it."""

import asyncio
import sys

from rtcc_bridge.demo.daemon import output_of
from tests.e2e.conftest import ROOT


async def run_module(*arguments: str) -> tuple[int, str]:
    """The exit code, and all that was said. The process does not outlive whoever waits for it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *arguments,
        cwd=ROOT, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    exit_code, output = await output_of(process)
    return exit_code, output.decode()
