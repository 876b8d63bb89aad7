"""`rtcc-bridge topics`."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import click

from rtcc_bridge.app.topics import alter_topics, open_pause_desk
from rtcc_bridge.broker.grants import PARTIES, grants
from rtcc_bridge.broker.topic_check import PARTITIONS, Difference
from rtcc_bridge.broker.topics import (
    TopicsState,
    compare_topics,
    compare_topics_when_told,
    create_topics,
)
from rtcc_bridge.commands.acl_text import as_commands, as_json
from rtcc_bridge.commands.console import EXIT_FAILED, tells_errors
from rtcc_bridge.commands.options import ACTOR, config_option
from rtcc_bridge.settings import KafkaSettings, Settings, load_settings

_apply_option = click.option(
    "--apply", "apply", is_flag=True, help="Alter what can be altered; partitions are only ever added."
)


@click.group()
def topics() -> None:
    """The topics on the broker."""


@topics.command("create")
@config_option
@_apply_option
@tells_errors
def create(config: Path | None, apply: bool) -> None:
    """Create the topics that are missing, and check those that are there.

    Exits with 1 when a topic cannot keep the promise of delivery.
    """
    settings = load_settings(config)
    report = asyncio.run(create_topics(settings.kafka))
    for name in report.created:
        click.echo(f"created   {name}")
    for name in report.existing:
        click.echo(f"is there  {name}")
    _check(settings, compare_topics_when_told, apply=apply)


@topics.command("check")
@config_option
@_apply_option
@tells_errors
def check(config: Path | None, apply: bool) -> None:
    """Compare the topics on the broker with what they should be: partitions, copies, retention, cleanup.

    Exits with 1 when one is missing or cannot keep the promise of delivery.
    """
    _check(load_settings(config), compare_topics, apply=apply)


@topics.command("acls")
@config_option
@click.option(
    "--principal-prefix", default="User:rtcc-", show_default=True, help="What principals begin with; the party follows."
)
@click.option(
    "--party", "parties", multiple=True, type=click.Choice(list(PARTIES)), help="Only these; may be repeated."
)
@click.option(
    "--format", "form", type=click.Choice(["commands", "json"]), default="commands", show_default=True,
    help="Lines with kafka-acls.sh, or a JSON list of single rights.",
)  # fmt: skip
@tells_errors
def acls(config: Path | None, principal_prefix: str, parties: tuple[str, ...], form: str) -> None:
    """Print the rights that each role and each party around it needs on the broker, and no others.

    The web role uses no Kafka and needs no user. Nothing is changed.
    """
    kafka = load_settings(config).kafka
    table = [grant for grant in grants(kafka) if not parties or grant.party in parties]
    if form == "json":
        click.echo(as_json(table, principal_prefix))
        return
    for line in as_commands(table, principal_prefix, ",".join(kafka.bootstrap_servers)):
        click.echo(line)


@topics.command("pauses")
@config_option
@tells_errors
def pauses(config: Path | None) -> None:
    """List the topics that are paused for their dead letters, in every process."""
    settings = load_settings(config)

    async def run() -> None:
        async with open_pause_desk(settings) as desk:
            for pause in await desk.in_force():
                since, until = pause.paused_at.isoformat(), pause.ends_at.isoformat()
                click.echo(f"{pause.topic}  paused {since}: {pause.reason}; tried again by itself {until}")

    asyncio.run(run())


@topics.command("resume")
@click.argument("topic")
@config_option
@tells_errors
def resume(topic: str, config: Path | None) -> None:
    """Go on with TOPIC, which was paused for its dead letters, in every process and within about a second.

    Correct the sender first: the topic is paused again if its records are still bad.
    """
    settings = load_settings(config)

    async def run() -> None:
        async with open_pause_desk(settings) as desk:
            await desk.resume(topic, ACTOR)

    asyncio.run(run())
    click.echo(f"{topic} is resumed")


def _check(
    settings: Settings, look: Callable[[KafkaSettings], Coroutine[Any, Any, TopicsState]], *, apply: bool
) -> None:
    state = asyncio.run(look(settings.kafka))
    _tell(state)
    if not apply:
        if state.breaks:
            sys.exit(EXIT_FAILED)
        return
    altered = asyncio.run(alter_topics(settings, state.differences, ACTOR))
    for difference in altered.done:
        click.echo(f"altered   {difference.topic}: {difference.setting} is {difference.wanted}")
        if difference.setting == PARTITIONS:
            click.echo(
                "          keys fall into other partitions from now on: records of one key that are already there"
            )
            click.echo(
                "          may be read after newer ones. Incidents take the newest state, leads have a sequence."
            )
    for difference, reason in altered.refused:
        click.echo(f"unchanged {difference.topic}: {difference.setting} is {difference.found} ({reason})")
    if state.missing or any(difference.breaks for difference, _ in altered.refused):
        sys.exit(EXIT_FAILED)


def _tell(state: TopicsState) -> None:
    for name in state.missing:
        click.echo(f"missing   {name}: run `rtcc-bridge topics create`")
    for difference in state.differences:
        click.echo(f"{'BREAKS' if difference.breaks else 'differs':<9} {_sentence(difference)}")
    if state.untold:
        click.echo(f"not told  the settings of {', '.join(state.untold)}: the broker, or this user's rights, hide them")
    if not state.missing and not state.differences:
        click.echo("topics: as they should be")


def _sentence(difference: Difference) -> str:
    return (
        f"{difference.topic}: {difference.setting} is {difference.found}, should be {difference.wanted}: "
        f"{difference.why}"
    )
