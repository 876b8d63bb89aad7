"""`rtcc-bridge demo`."""

import asyncio
import sys
from pathlib import Path

import click
from rich.console import Console

from rtcc_bridge.commands.console import tells_errors
from rtcc_bridge.errors import ConfigurationError, ConfigurationProblem
from rtcc_bridge.settings import LogSettings
from rtcc_bridge.telemetry.logging import configure_logging


@click.command()
@click.option("--check", is_flag=True, help="Play the story without a person, check every event, and exit 0 or 1.")
@click.option("--faces", type=click.Path(exists=True, file_okay=False, path_type=Path), help="One folder a person.")
@click.option("--kafka", help="host:port of an existing Kafka; the demo's topics on it are named demo.*.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="Port of the floor board; a free one by default."
)
@click.option(
    "--packs-directory", type=click.Path(path_type=Path), default=Path(".cache/packs"), show_default=True,
    help="Where the model pack is kept once it is built.",
)  # fmt: skip
@click.option(
    "--policy", type=click.Path(dir_okay=False, path_type=Path), default=Path("config/policy.yaml"),
    show_default=True, help="The policy file.",
)  # fmt: skip
@click.option(
    "--fillers", type=click.IntRange(1), default=100_000, show_default=True,
    help="How many filler templates surround the portrait; without --faces.",
)  # fmt: skip
@click.option("--seed", default=1, show_default=True, help="Which people are enrolled, and which fillers are drawn.")
@tells_errors
def demo(
    check: bool,
    faces: Path | None,
    kafka: str | None,
    port: int,
    packs_directory: Path,
    policy: Path,
    fillers: int,
    seed: int,
) -> None:
    """See an imminent-threat alert become a lead, on this machine, with nothing else set up."""
    if not policy.is_file():
        remedy = (
            "Start the demo in the folder of its source, which brings config/policy.yaml, or name another policy file"
        )
        raise ConfigurationError(ConfigurationProblem("--policy", f"{policy} does not exist", remedy))
    try:
        from rtcc_bridge.demo.run import run_demo  # noqa: PLC0415 - its packages are an extra
        from rtcc_bridge.demo.stage import DemoOptions  # noqa: PLC0415 - as above
    except ModuleNotFoundError as error:
        problem = ConfigurationProblem("demo", f"{error.name} is missing", "pip install 'rtcc-bridge[demo]'")
        raise ConfigurationError(problem) from error
    configure_logging(LogSettings(level="ERROR", format="console"))
    options = DemoOptions(faces, kafka, port, packs_directory, policy, seed, fillers)
    sys.exit(asyncio.run(run_demo(options, check=check, console=Console())))
