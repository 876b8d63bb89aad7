"""Makes the pictures in docs/reports.md: a transparency report and a discovery packet of the demo in a browser.

    python -m scripts.report_pictures [--browser chromium] [--packs-directory .cache/packs] [--to docs]

Plays the demo with its one public-domain portrait often enough for counts to be shown, and makes both reports with the
commands of docs/reports.md. Needs the extra `demo` and a Chromium.
"""

import argparse
import asyncio
import subprocess
import tempfile
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from PIL import Image
from rich.console import Console

from rtcc_bridge.demo.daemon import start_program
from rtcc_bridge.demo.pictures import portrait, rephotograph
from rtcc_bridge.demo.run import players
from rtcc_bridge.demo.stage import DemoOptions, Stage, stage_set
from rtcc_bridge.demo.story import THREAT, VIOLENT, Story, acknowledge, examine, on_floor, search

REPORT: Final = "transparency-report.png"
PACKET: Final = "discovery-packet.png"
MOST_BYTES: Final = 200_000

_SEARCHES: Final = 7
"""Of each kind: counts from 1 to 4 are left out of the report."""
_WIDTH: Final = 900
_HEIGHT: Final = 1250
_COLOURS: Final = 96


async def make(browser: str, packs: Path, folder: Path) -> None:
    """Raises what the demo does, and CalledProcessError when the browser or a command fails."""
    console = Console()
    with tempfile.TemporaryDirectory(prefix="report-pictures-") as name:
        place = Path(name)
        options = DemoOptions(None, None, 0, packs, Path("config/policy.yaml"), 1, fillers=400)
        async with stage_set(options, console, place) as stage:
            async with players(stage, console) as story:
                lead_id = await _play(story)
            month = f"{datetime.now(UTC):%Y-%m}"
            await _command(stage, "report", "transparency", "--from", month, "--to", name)
            reason = "motion of the defence"
            await _command(stage, "report", "discovery", lead_id, "--reason", reason, "--to", f"{name}/packet.zip")
        await asyncio.to_thread(_show, place, browser, folder)


def _show(place: Path, browser: str, folder: Path) -> None:
    """Both reports lie in place."""
    with zipfile.ZipFile(place / "packet.zip") as opened:
        opened.extractall(place / "packet")
    [report], [page] = place.glob("transparency-*.html"), place.glob("packet/**/packet.html")
    _photograph(browser, report, folder / REPORT)
    _photograph(browser, page, folder / PACKET)


async def _play(story: Story) -> str:
    """Searches, examinations and releases; returns a lead that was released and corroborated."""
    picture = rephotograph(portrait())
    released = []
    for number in range(_SEARCHES):
        incident = await story.publish_incident()
        await on_floor(story, incident)
        routine = await search(story, incident, VIOLENT, picture)
        await acknowledge(story, routine)
        await examine(story, routine)
        released.append(str(routine.data["leadId"]))
        threat = await story.publish_threat()
        await on_floor(story, threat)
        urgent = await search(story, threat, THREAT, picture)
        await story.client.approve(urgent.probe["probeId"])
        if number == 0:
            await acknowledge(story, urgent)
    return released[0]


async def _command(stage: Stage, *words: str) -> None:
    arguments = (*words, "--config", str(stage.settings_file))
    process = await start_program(*arguments, output=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, arguments, output)


def _photograph(browser: str, page: Path, target: Path) -> None:
    """The top of the page. A palette keeps text sharp and the file small."""
    raw = target.with_suffix(".raw.png")
    command = [browser, "--headless", "--no-sandbox", "--hide-scrollbars", "--disable-gpu"]
    size = f"--window-size={_WIDTH},{_HEIGHT}"
    subprocess.run([*command, size, f"--screenshot={raw}", page.as_uri()], check=True, capture_output=True)
    with Image.open(raw) as shot:
        shot.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE).save(target, optimize=True)
    raw.unlink()
    if target.stat().st_size > MOST_BYTES:
        raise ValueError(f"{target} has {target.stat().st_size} bytes, more than {MOST_BYTES}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--browser", default="chromium")
    parser.add_argument("--packs-directory", type=Path, default=Path(".cache/packs"))
    parser.add_argument("--to", type=Path, default=Path("docs"))
    given = parser.parse_args()
    asyncio.run(make(given.browser, given.packs_directory, given.to))


if __name__ == "__main__":
    main()
