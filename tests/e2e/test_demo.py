"""The demo's own check, as a newcomer runs it, in processes of their own."""

import asyncio
import re
import signal
import socket
import sys
from pathlib import Path

import aiohttp
import pytest
from confluent_kafka.admin import AdminClient

from tests.brokers import OwnBroker

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


@pytest.mark.long
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
        assert "Active shooter" in page
        while "Next, as the analyst" not in printed:
            line = await process.stdout.readline()
            assert line, printed
            printed += line.decode()
        assert re.search(rf"{found[0]}/incidents/DEMO-\w+", printed), printed
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


async def test_a_taken_port_is_told_before_anything_is_set_up(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, output = await demo("--port", str(port), "--packs-directory", str(tmp_path / "packs"))
    assert code == 1, output
    assert f"--port: 127.0.0.1:{port} cannot be bound" in output
    assert "web.port" not in output
    assert "daemon.log" not in output, "no daemon was started"
    assert not (tmp_path / "packs").exists()


async def test_a_folder_without_people_is_told_apart(tmp_path: Path) -> None:
    code, output = await demo("--check", "--faces", str(tmp_path))
    assert code == 1, output
    assert "too few" in output
    assert output.rstrip().endswith("demo check: FAILED")


@pytest.mark.kafka
@pytest.mark.timeout(400)
async def test_an_existing_kafka_is_used_again_and_its_other_topics_and_groups_are_left_alone(
    own_broker: OwnBroker,
) -> None:
    """The second time the topics and records of the first are there, and nobody remembers how far they were read."""
    admin = AdminClient({"bootstrap.servers": own_broker.address})
    for topics in ("8 created, 0 were there", "0 created, 8 were there"):
        code, output = await demo("--check", "--kafka", own_broker.address)
        assert code == 0, output
        assert topics in output
        assert output.rstrip().endswith("demo check: passed")
        groups = {group.group_id for group in admin.list_consumer_groups().result().valid}
        assert groups
        assert all(name.startswith("rtcc-bridge-demo.") for name in groups)
        for deletion in admin.delete_consumer_groups(list(groups)).values():
            deletion.result()
    made = admin.list_topics(timeout=10).topics
    assert all(name.startswith(("demo.", "__")) for name in made)
