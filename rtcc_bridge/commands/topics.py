"""`rtcc-bridge topics`."""

import asyncio
from pathlib import Path

import click

from rtcc_bridge.broker.topics import create_topics
from rtcc_bridge.commands.console import tells_errors
from rtcc_bridge.commands.options import config_option
from rtcc_bridge.settings import load_settings


@click.group()
def topics() -> None:
    """The topics on the broker."""


@topics.command("create")
@config_option
@tells_errors
def create(config: Path | None) -> None:
    """Create the topics that are missing; existing ones are left as they are."""
    report = asyncio.run(create_topics(load_settings(config).kafka))
    for name in report.created:
        click.echo(f"created   {name}")
    for name in report.existing:
        click.echo(f"is there  {name}")
