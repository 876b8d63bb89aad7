"""The demo's own check, as a newcomer runs it, in processes of their own."""

import asyncio
import re
import signal
import sys
from pathlib import Path

import aiohttp
import pytest

ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")
ROOT = Path(__file__).resolve().parents[2]


async def demo(*arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "rtcc_bridge", "demo", *arguments,
        cwd=ROOT, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


@pytest.mark.timeout(300)
async def test_the_story_holds_with_the_portrait_among_fillers() -> None:
    code, output = await demo("--check")
    assert code == 0, output
    assert output.rstrip().endswith("demo check: passed")


@pytest.mark.timeout(420)
async def test_the_story_holds_with_a_folder_of_people(test_data: Path) -> None:
    code, output = await demo("--check", "--faces", str(test_data / "faces"))
    assert code == 0, output
    assert output.rstrip().endswith("demo check: passed")


@pytest.mark.timeout(240)
async def test_the_demo_runs_until_it_is_stopped() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "rtcc_bridge", "demo",
        cwd=ROOT, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    printed = ""
    try:
        async with asyncio.timeout(180):
            while (found := ADDRESS.search(printed)) is None:
                line = await process.stdout.readline()
                assert line, printed
                printed += line.decode()
            async with aiohttp.ClientSession() as http:
                while "SIM-" not in (page := await text_of(http, f"{found[0]}/")):  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.2)
        assert "needs corroboration" in page
        process.send_signal(signal.SIGINT)
        rest, _ = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, printed + rest.decode()


async def text_of(http: aiohttp.ClientSession, address: str) -> str:
    async with http.get(address) as answer:
        return await answer.text()


async def test_a_folder_without_people_is_told_apart(tmp_path: Path) -> None:
    code, output = await demo("--check", "--faces", str(tmp_path))
    assert code == 1, output
    assert "too few" in output
    assert output.rstrip().endswith("demo check: FAILED")
