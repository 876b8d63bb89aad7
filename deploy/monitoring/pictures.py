"""Pictures of the dashboards, from a Prometheus server that scrapes the demo for a few minutes.

Needs the distribution's package `prometheus`:

    python -m deploy.monitoring.pictures [--minutes 4] [--only floor]
"""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path
from typing import Final

from rich.console import Console

from deploy.monitoring.demo_floor import busy_floor
from deploy.monitoring.documents import DASHBOARDS, RULES_FILE
from deploy.monitoring.drawing import Span, draw
from deploy.monitoring.server import running_prometheus
from rtcc_bridge.demo.stage import DemoOptions, stage_set

ROOT: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = ROOT / "docs/dashboards"
STEP_SECONDS: Final = 2.0
RATE: Final = "20s"


async def make_pictures(minutes: float, folder: Path, packs: Path, names: frozenset[str]) -> None:
    """Raises PrometheusError, and what the demo raises."""
    options = DemoOptions(None, None, 0, packs, ROOT / "config/policy.yaml", 0)
    with tempfile.TemporaryDirectory() as scratch:
        async with stage_set(options, Console(), Path(scratch)) as stage:
            target = stage.address.removeprefix("http://")
            (Path(scratch) / "prometheus").mkdir()
            async with running_prometheus(Path(scratch) / "prometheus", [target], ROOT / RULES_FILE) as prometheus:
                start = time.time()
                async with busy_floor(stage):
                    await asyncio.sleep(60 * minutes)
                    span = Span(start, time.time(), STEP_SECONDS, RATE)
                    for dashboard in DASHBOARDS:
                        if dashboard.name in names:
                            await draw(dashboard, prometheus, span, folder / f"{dashboard.name}.png")


def main() -> None:
    known = [dashboard.name for dashboard in DASHBOARDS]
    parser = argparse.ArgumentParser(description="Draws the dashboards from the demo's own metrics.")
    parser.add_argument("--minutes", type=float, default=4.0, help="how long the demo is scraped (default: 4)")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the PNGs go")
    parser.add_argument("--packs", type=Path, default=ROOT / "var/packs", help="where the model packs are")
    parser.add_argument("--only", action="append", choices=known, help="only this dashboard; may be repeated")
    asked = parser.parse_args()
    asyncio.run(make_pictures(asked.minutes, asked.folder, asked.packs, frozenset(asked.only or known)))


if __name__ == "__main__":
    main()
