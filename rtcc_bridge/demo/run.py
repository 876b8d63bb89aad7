"""Plays the demo: for people to look at, or the story with its checks."""

import asyncio
import secrets
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel

from rtcc_bridge.app.foundation import open_core
from rtcc_bridge.app.simulation import open_simulator
from rtcc_bridge.demo import stage as staging
from rtcc_bridge.demo.checklist import CheckFailedError, Checklist
from rtcc_bridge.demo.client import DemoClient
from rtcc_bridge.demo.daemon import DaemonError, output_of, start_program
from rtcc_bridge.demo.pictures import PORTRAIT_REF, portrait, rephotograph
from rtcc_bridge.demo.rates import SEARCHES, measure
from rtcc_bridge.demo.sealed_lists import first_reference
from rtcc_bridge.demo.stage_times import mean_milliseconds
from rtcc_bridge.demo.story import Story, play
from rtcc_bridge.demo.witness import LeadWitness
from rtcc_bridge.errors import BridgeError
from rtcc_bridge.leads.schemas import LEAD_EVENT_TYPES
from rtcc_bridge.matching.errors import MatchingError
from rtcc_bridge.simulate import Simulator, incident_data, publish_incident, publish_threat, threat_data

EVENTS_PER_SECOND = 0.5
CALL_TIMEOUT = aiohttp.ClientTimeout(total=60)

_FAILURES = (BridgeError, MatchingError, aiohttp.ClientError, OSError)
"""What a demo can fail from. A TimeoutError is an OSError too."""
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def run_demo(options: staging.DemoOptions, *, check: bool, console: Console) -> int:
    """Plays the demo until it is stopped, or with `check` until the story is over. Returns the exit code.

    Interrupted, terminated or hung up, it ends in order. Its folder is gone afterwards: what lies in it is sealed
    beside its key. After a failure only the daemon's log stays, which is named.
    """
    stopped = _first_stop_signal()
    folder = Path(tempfile.mkdtemp(prefix="rtcc-bridge-demo-"))
    log: Path | None = None
    try:
        _introduce(options, console)
        signalled = await _played_or_stopped(_play(options, folder, check=check, console=console), stopped, console)
        passed = not check or signalled is None
    except _FAILURES as error:
        console.print(f"failed: {str(error) or type(error).__name__}", style="red", markup=False, highlight=False)
        passed = False
        if (folder / "daemon.log").exists():
            log = folder / "daemon.log"
            console.print(f"the daemon's log: {log}", highlight=False, soft_wrap=True)
    finally:
        await asyncio.get_running_loop().shutdown_default_executor()  # a thread may still write into the folder
        _clear(folder, log, console)
    if check:
        console.print(f"demo check: {'passed' if passed else 'FAILED'}", highlight=False)
    return 0 if passed else 1


def _first_stop_signal() -> asyncio.Future[signal.Signals]:
    """Done with the first signal that asks the demo to stop. Later ones change nothing: it is stopping."""
    loop = asyncio.get_running_loop()
    first: asyncio.Future[signal.Signals] = loop.create_future()

    def note(number: signal.Signals) -> None:
        if not first.done():
            first.set_result(number)

    for number in _STOP_SIGNALS:
        if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # nohup ignores it
            loop.add_signal_handler(number, note, number)
    return first


async def _played_or_stopped(
    play: Coroutine[None, None, None], stopped: asyncio.Future[signal.Signals], console: Console
) -> signal.Signals | None:
    """Ends with the play, or cuts it short and waits until it is torn down. Raises what the play raises."""
    playing = asyncio.create_task(play)
    either: tuple[asyncio.Future[Any], ...] = (playing, stopped)
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    if not playing.done():
        playing.cancel()
        try:
            console.print(f"{stopped.result().name}: the demo is stopping", highlight=False)
        finally:  # a terminal that hung up takes no words
            await asyncio.wait([playing])
    if playing.cancelled():
        return stopped.result()
    playing.result()
    return None


async def _play(options: staging.DemoOptions, folder: Path, *, check: bool, console: Console) -> None:
    async with staging.stage_set(options, console, folder) as stage:
        await (play_and_check(stage, console) if check else _keep_running(stage, folder, console))


def _clear(folder: Path, kept: Path | None, console: Console) -> None:
    """Removes everything in the folder but one file, or the folder. What cannot be removed is told."""
    try:
        for entry in folder.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry != kept:
                entry.unlink(missing_ok=True)
        if kept is None:
            folder.rmdir()
    except OSError as error:
        console.print(f"{folder} cannot be removed ({error.strerror}): remove it", style="red", highlight=False)


def _introduce(options: staging.DemoOptions, console: Console) -> None:
    faces = (
        f"Faces: half of the people in {options.faces} are enrolled, the others are strangers."
        if options.faces
        else f"Faces: one real portrait (public domain) is enrolled among {options.fillers:,} filler templates. The "
        "fillers are nobody's faces: they are drawn from the measured distribution of real descriptors. The still is a "
        "degraded re-photograph of that same portrait, so it shows the way of a lead and says nothing about accuracy."
    )
    text = (
        f"{faces}\nThe model pack is for demonstration and training only. Every result is an investigative lead that "
        "needs corroboration; nothing here identifies anybody."
    )
    console.print(Panel(text, title="rtcc-bridge demo"))


@asynccontextmanager
async def _players(stage: staging.Stage, console: Console) -> AsyncIterator[Story]:
    """The people and systems of the story, connected."""
    kafka = stage.settings.kafka
    async with open_simulator(kafka) as outside, aiohttp.ClientSession(timeout=CALL_TIMEOUT) as http:
        client = DemoClient(http, stage.address)
        schemas = {kind: await client.schema(kind) for kind in LEAD_EVENT_TYPES}

        async def incident() -> str:
            name = f"DEMO-{secrets.token_hex(3)}"
            data = incident_data(name, "SHOOT", 1, outside.clock.now(), location="Demonstration square")
            await publish_incident(outside.producer, outside.topics, "reported", data)
            return name

        async def threat() -> str:
            name = f"DEMO-{secrets.token_hex(3)}"
            data = threat_data(f"{name}-alert", "Active shooter", outside.clock.now(), incident_ids=(name,))
            await publish_threat(outside.producer, outside.topics, "alert", data)
            return name

        async def expunge(reference: str) -> None:
            process = await start_program(
                "gallery", "expunge", "--config", str(stage.settings_file),
                "--reason", "Demonstration of an expungement order", "--", reference,
                output=asyncio.subprocess.PIPE,
            )  # fmt: skip
            exit_code, output = await output_of(process)
            if exit_code != 0:
                raise CheckFailedError(f"gallery expunge failed: {output.decode(errors='replace')}")

        bootstrap = ",".join(kafka.bootstrap_servers)
        with LeadWitness(bootstrap, kafka.topics.leads, schemas) as witness:
            yield Story(client, witness, Checklist(console), incident, threat, expunge)


async def play_and_check(stage: staging.Stage, console: Console) -> None:
    """The story with its checks. Raises what can go wrong in it."""
    async with _players(stage, console) as story:
        if stage.split is None:
            await play(story, rephotograph(portrait()), PORTRAIT_REF)
        else:
            async with open_core(stage.settings) as core:
                found = await measure(
                    story,
                    stage.split.mated[:SEARCHES],
                    stage.split.nonmated[:SEARCHES],
                    lambda lead_id: first_reference(core, lead_id),
                )
            await play(story, found.probe.read_bytes(), found.reference)
        async with aiohttp.ClientSession(timeout=CALL_TIMEOUT) as http:
            times = await mean_milliseconds(http, stage.address)
        shown = ", ".join(f"{name} {milliseconds:.1f}" for name, milliseconds in times.items())
        story.checklist.say(f"mean milliseconds: {shown}")
        # Of a folder's people, other leads of the measurement may name the expunged one: they are withdrawn as well.
        also = () if stage.split is None else ("lead.withdrawn",)
        checked = await asyncio.to_thread(story.witness.require_nothing_else, also)
        story.checklist.say(f"events checked by the independent consumer: {checked}, all as they were due")


async def _keep_running(stage: staging.Stage, folder: Path, console: Console) -> None:
    """Simulates events until it is cancelled. Leaves a still to try in the demo's folder."""
    still = folder / "still.jpg"
    if stage.split is None:
        still.write_bytes(rephotograph(portrait()))
        hint = f"The still to attach: {still}"
    else:
        hint = f"Stills to attach: {stage.split.mated[0].probe} is of an enrolled person"
    console.print(
        Panel(
            f"The floor board: [bold]{stage.address}/[/bold]\n{escape(hint)}\nCtrl-C ends the demo.",
            title="ready",
        )
    )
    async with open_simulator(stage.settings.kafka, threat_share=0.04) as simulator:
        await _first_threat(simulator, stage, console)
        simulating = asyncio.create_task(simulator.run(EVENTS_PER_SECOND))
        daemon = asyncio.create_task(stage.daemon.wait())
        try:
            await asyncio.wait([simulating, daemon], return_when=asyncio.FIRST_COMPLETED)
            if daemon.done():
                raise DaemonError(f"the daemon ended by itself with exit code {daemon.result()}")
            simulating.result()
        finally:
            for task in (simulating, daemon):
                task.cancel()


async def _first_threat(simulator: Simulator, stage: staging.Stage, console: Console) -> None:
    """Publishes the first event, an imminent threat that the simulation leaves alone, and says what to do with it.

    Dispatch reports the incident that it opened right after it.
    """
    name, now = f"DEMO-{secrets.token_hex(3)}", simulator.clock.now()
    data = threat_data(f"{name}-alert", "Active shooter", now, incident_ids=(name,))
    await publish_threat(simulator.producer, simulator.topics, "alert", data)
    reported = incident_data(name, "SHOOT", 1, now, location="Central Station, main hall (simulated)")
    await publish_incident(simulator.producer, simulator.topics, "reported", reported)
    console.print(
        f"An imminent threat is on the board: {stage.address}/incidents/{name}\n"
        "Next, on that page:\n"
        "  1. Switch to the Analyst, at the foot of the page.\n"
        '  2. Attach the still for the purpose imminent threat, with the requestor "requestor"; tick the box.\n'
        "  3. Choose the face and search for it. The lead appears on the board at once.\n"
        "  4. Supervisor, page Approvals: read the request and approve it; within the hour is soon enough.\n"
        "  5. Analyst: acknowledge the lead on the board, and examine it. Peer reviewer, page Review: the same.\n"
        "  6. Analyst: release it. Investigator, page Released leads: read it, and report what evidence said.",
        highlight=False,
        soft_wrap=True,
    )
