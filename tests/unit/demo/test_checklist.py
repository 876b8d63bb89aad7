"""Each step is printed with its time, also the one that failed."""

import io

import pytest
from rich.console import Console

from rtcc_bridge.demo.checklist import CheckFailedError, Checklist, require


async def test_a_step_that_holds_and_one_that_fails_are_both_named() -> None:
    written = io.StringIO()
    checklist = Checklist(Console(file=written, width=200))
    async with checklist.step("the first step"):
        pass

    async def fail() -> None:
        async with checklist.step("the second step"):
            require(holds=False, otherwise="the promise")

    with pytest.raises(CheckFailedError, match="the promise"):
        await fail()
    first, second = written.getvalue().splitlines()
    assert "ok" in first
    assert "ms" in first
    assert "the first step" in first
    assert "FAILED" in second
    assert "the second step" in second
