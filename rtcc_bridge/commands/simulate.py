"""`rtcc-bridge simulate`."""

import asyncio
from pathlib import Path

import click

from rtcc_bridge.app.command_acts import enter_simulation
from rtcc_bridge.app.simulation import open_simulator
from rtcc_bridge.commands.console import tells_errors
from rtcc_bridge.commands.options import ACTOR, config_option
from rtcc_bridge.settings import load_settings
from rtcc_bridge.simulate import SimulationCount


@click.command()
@config_option
@click.option("--rate", type=click.FloatRange(0.01, 10_000), default=1.0, show_default=True, help="Events a second.")
@click.option("--events", type=click.IntRange(1), help="Stop after so many; without it, when interrupted.")
@click.option("--seed", default=0, show_default=True, help="One seed gives one story.")
@click.option("--exercise", is_flag=True, help="Mark everything as an exercise.")
@tells_errors
def simulate(config: Path | None, rate: float, events: int | None, seed: int, exercise: bool) -> None:
    """Publish made-up incidents and threats, as dispatch and the alerting systems would."""
    settings = load_settings(config)

    async def run() -> SimulationCount:
        await enter_simulation(settings, ACTOR, rate=rate, events=events, exercise=exercise)
        async with open_simulator(settings.kafka, seed=seed, exercise=exercise) as simulator:
            return await simulator.run(rate, events)

    count = asyncio.run(run())
    click.echo(
        f"published {count.events} events: {count.incidents} incidents, {count.updates} updates, {count.ended} ends, "
        f"{count.threats} threats"
    )
