"""The demo's own check, as a newcomer runs it, in processes of their own."""

import asyncio
import os
import re
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from confluent_kafka.admin import AdminClient
from PIL import Image

from rtcc_bridge.demo.pictures import split_faces
from rtcc_bridge.demo.stage_times import STAGES
from tests.brokers import OwnBroker
from tests.e2e.calls import until
from tests.integration.workers import is_alive, status_of

ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")
STEP = re.compile(r"^  (\w+) +\d+ ms  (.+)$", re.MULTILINE)
EVENTS = re.compile(r"events checked by the independent consumer: (\d+), all as they were due")
ROOT = Path(__file__).resolve().parents[2]
STORY = (
    "a violent incident reaches the floor",
    "an imminent threat reaches the floor",
    "a still on the violent incident: one face chosen, the supervisor approves, candidates",
    "the same still on the threat: candidates at once, approval may follow within the hour",
    "the analyst acknowledges the lead of the violent incident",
    "the analyst acknowledges the lead of the imminent threat",
    "the analyst compares the candidates by the structured form and concludes",
    "another analyst reviews the same pictures blind, and agrees",
    "the lead is released to the requestor, with its limits",
    "the requestor reports independent evidence; the lead is corroborated",
    "the enrolled person is expunged; both leads are withdrawn",
    "the same still again: no candidate",
)
STORY_EVENTS = 11
"""Two lists of candidates, both acknowledged, in review and withdrawn, one released and corroborated; no candidate."""
STORY_BEGINS = STORY[0]
ONE_THREAD = {"RTCC_BRIDGE_MATCHING__THREADS": "1"}
"""Two of them spin while they wait for a core that another test has."""
FEW = ("--fillers", "1000")
"""For what is not about the gallery: enrolling 100,000 takes longer than the story."""


class RunningDemo:
    """A demo in a process of its own, and what it has printed so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.printed = ""

    async def prints(self, text: str | re.Pattern[str]) -> re.Match[str]:
        """Waits until that has been printed."""
        assert self.process.stdout is not None
        pattern = re.compile(re.escape(text)) if isinstance(text, str) else text
        while (found := pattern.search(self.printed)) is None:
            line = await self.process.stdout.readline()
            assert line, self.printed
            self.printed += line.decode()
        return found

    async def ends(self) -> int:
        """Waits until it has ended, and returns the exit code."""
        rest, _ = await self.process.communicate()
        self.printed += rest.decode()
        assert self.process.returncode is not None
        return self.process.returncode


@asynccontextmanager
async def running_demo(*arguments: str, temporary: Path | None = None) -> AsyncIterator[RunningDemo]:
    """temporary: where it makes its folder."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "rtcc_bridge", "demo", *arguments, cwd=ROOT,
        env={**os.environ, **ONE_THREAD, **({} if temporary is None else {"TMPDIR": str(temporary)})},
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        yield RunningDemo(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def demo(*arguments: str) -> tuple[int, str]:
    async with running_demo(*arguments) as running:
        return await running.ends(), running.printed


def steps(output: str) -> list[tuple[str, str]]:
    """The lines with milliseconds in their order: each step's outcome and name."""
    return STEP.findall(output)


def unwrapped(output: str) -> str:
    """The text of the boxes as one line."""
    return " ".join(output.replace("\N{BOX DRAWINGS LIGHT VERTICAL}", " ").split())


def require_stage_times(output: str) -> None:
    """Raises AssertionError when the line with each stage's time is missing or incomplete."""
    (line,) = (line for line in output.splitlines() if "mean milliseconds: " in line)
    for name in (*STAGES, "authority to feed, imminent lane", "authority to feed, routine lane"):
        assert re.search(rf"\b{name} \d+\.\d(,|$)", line), line


@pytest.mark.timeout(300)
async def test_the_story_holds_with_the_portrait_among_fillers() -> None:
    code, output = await demo("--check")
    assert code == 0, output
    assert "enrolling filler templates: 100000 of 100000" in output
    assert (
        "one real portrait (public domain) is enrolled among 100,000 filler templates. The fillers are nobody's faces: "
        "they are drawn from the measured distribution of real descriptors. The still is a degraded re-photograph of "
        "that same portrait, so it shows the way of a lead and says nothing about accuracy."
    ) in unwrapped(output)
    assert steps(output) == [("ok", name) for name in STORY]
    require_stage_times(output)
    assert [int(count) for count in EVENTS.findall(output)] == [STORY_EVENTS]
    assert output.rstrip().endswith("demo check: passed")


@pytest.fixture
def people(test_data: Path) -> list[Path]:
    """The folders of those with two pictures or more."""
    return [person for person in sorted((test_data / "faces").iterdir()) if len(list(person.glob("*.jpg"))) > 1]


@pytest.fixture
def spoiled_faces(people: list[Path], tmp_path: Path) -> Path:
    """Forty people whom the model tells apart: three stills of them are no use, one person's pictures are none."""
    folder = tmp_path / "faces"
    for person in people[40:80]:
        shutil.copytree(person, folder / person.name)
    split = split_faces(folder)
    unreadable, animated, broken = split.mated[:3]
    unreadable.probe.unlink()
    unreadable.probe.mkdir()
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    frames[0].save(animated.probe, "WEBP", save_all=True, append_images=frames[1:])
    for picture in broken.enrolled:
        picture.write_bytes(b"no picture")
    truncated = split.nonmated[0].probe
    truncated.write_bytes(truncated.read_bytes()[:2000])
    return folder


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_the_story_holds_with_a_folder_of_people_and_pictures_that_cannot_be_used_are_counted(
    spoiled_faces: Path,
) -> None:
    code, output = await demo("--check", "--faces", str(spoiled_faces))
    assert code == 0, output
    split = split_faces(spoiled_faces)
    told = re.search(r"people to search for: (\d+); left out, since no picture of theirs was enrolled: (\d+)", output)
    assert told, output
    searched, left_out = map(int, told.groups())
    others = len(split.nonmated)
    assert left_out >= 1
    assert searched + left_out == len(split.mated)
    searches = (f"{searched} enrolled people are searched", f"{others} people who are not enrolled are searched")
    assert steps(output) == [("ok", name) for name in (*searches, *STORY)]
    assert re.search(rf"enrolled people on rank 1: \d+ of {searched} \(", output)
    assert re.search(rf"others without any candidate: \d+ of {others} \(", output)
    assert "stills that were refused or cannot be read (they count as failures above): 3\n" in output
    unreadable, animated, _ = split.mated[:3]
    assert f"{unreadable.probe}: Is a directory\n" in output
    assert f"{animated.probe}: Only a single still picture is searched" in output
    assert f"{split.nonmated[0].probe}: the picture's end is missing" in output
    require_stage_times(output)
    assert [count for count in EVENTS.findall(output) if int(count) >= STORY_EVENTS + searched + others - 3], output
    assert output.rstrip().endswith("demo check: passed")


def processes_of(running: RunningDemo) -> dict[int, str]:
    """The command lines of the processes that the demo and those that it started have started, by process id."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and is_alive(number := int(entry.name)):
            parents[number] = int(status_of(number)["PPid"])
    found = {running.process.pid}
    while more := {number for number, parent in parents.items() if parent in found} - found:
        found |= more
    return {number: command_line(number) for number in found - {running.process.pid}}


def command_line(process_id: int) -> str:
    return Path(f"/proc/{process_id}/cmdline").read_bytes().replace(b"\0", b" ").decode()


async def all_gone(processes: Iterable[int]) -> None:
    await until(lambda: not any(is_alive(number) for number in processes))


def names_in(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def started(processes: dict[int, str], program: str) -> int:
    """The process id of the one that runs this program."""
    (number,) = (number for number, command in processes.items() if program in command)
    return number


BROKER, DAEMON = "/tansu broker ", " -m rtcc_bridge serve "


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("number", "moment", "options", "programs"),
    [
        (signal.SIGINT, "embedded broker on", (), [BROKER]),
        (signal.SIGHUP, "enrolling filler templates", (), [BROKER]),
        (signal.SIGTERM, STORY_BEGINS, FEW, [BROKER, DAEMON]),
    ],
)
async def test_an_interrupted_check_leaves_nothing_behind(
    number: signal.Signals, moment: str, options: tuple[str, ...], programs: list[str], tmp_path: Path
) -> None:
    async with running_demo("--check", *options, temporary=tmp_path) as running:
        await running.prints(moment)
        processes = processes_of(running)
        for program in programs:
            started(processes, program)
        assert len(names_in(tmp_path)) == 1
        running.process.send_signal(number)
        code = await running.ends()
    assert names_in(tmp_path) == [], running.printed
    await all_gone(processes)
    assert code == 1, running.printed
    assert f"{number.name}: the demo is stopping" in running.printed
    assert running.printed.rstrip().endswith("demo check: FAILED")


@pytest.mark.timeout(180)
async def test_daemon_and_broker_die_with_a_demo_that_is_killed(tmp_path: Path) -> None:
    async with running_demo("--check", *FEW, temporary=tmp_path) as running:
        await running.prints(STORY_BEGINS)
        processes = processes_of(running)
        started(processes, BROKER)
        daemon = started(processes, DAEMON)
        running.process.kill()
        await running.ends()
    try:
        await all_gone(processes)
    finally:
        if is_alive(daemon):
            os.kill(daemon, signal.SIGKILL)


@pytest.mark.timeout(180)
async def test_of_a_check_that_failed_only_the_log_that_it_names_stays(tmp_path: Path) -> None:
    async with running_demo("--check", *FEW, temporary=tmp_path) as running:
        await running.prints(STORY_BEGINS)
        processes = processes_of(running)
        os.kill(started(processes, DAEMON), signal.SIGKILL)
        code = await running.ends()
    assert code == 1, running.printed
    assert running.printed.rstrip().endswith("demo check: FAILED")
    (folder,) = names_in(tmp_path)
    assert names_in(tmp_path / folder) == ["daemon.log"]
    assert f"the daemon's log: {tmp_path / folder / 'daemon.log'}\n" in running.printed
    await all_gone(processes)


@pytest.mark.timeout(240)
async def test_the_demo_runs_until_it_is_stopped(tmp_path: Path) -> None:
    async with running_demo(*FEW, temporary=tmp_path) as running:
        address = (await running.prints(ADDRESS))[0]
        async with aiohttp.ClientSession() as http:

            async def shows_both_topics() -> bool:
                page = await text_of(http, f"{address}/")
                return "SIM-" in page and "Active shooter" in page

            await until(shows_both_topics)
            assert "needs corroboration" in await text_of(http, f"{address}/")
        await running.prints("Next, on that page")
        assert re.search(rf"{address}/incidents/DEMO-\w+", running.printed), running.printed
        running.process.send_signal(signal.SIGINT)
        code = await asyncio.wait_for(running.ends(), 60)
    assert code == 0, running.printed
    assert names_in(tmp_path) == []


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
    for topics in ("10 created, 0 were there", "0 created, 10 were there"):
        code, output = await demo("--check", *FEW, "--kafka", own_broker.address)
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
