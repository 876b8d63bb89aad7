"""`rtcc-bridge dead-letters`."""

import asyncio
import json
from pathlib import Path

import click

from rtcc_bridge.clock import SystemClock
from rtcc_bridge.commands.console import tells_errors
from rtcc_bridge.commands.options import config_option
from rtcc_bridge.consumers.replay import LetterPlace, list_dead_letters
from rtcc_bridge.consumers.replay import replay as replay_letters
from rtcc_bridge.settings import load_settings


class _Place(click.ParamType[LetterPlace]):
    name = "PARTITION:OFFSET"

    def convert(
        self, value: str | LetterPlace, param: click.Parameter | None, ctx: click.Context | None
    ) -> LetterPlace:
        if isinstance(value, LetterPlace):
            return value
        try:
            partition, offset = (int(part) for part in value.split(":"))
        except ValueError:
            self.fail(f"{value!r} is not like 0:17; `dead-letters list` shows the places", param, ctx)
        return LetterPlace(partition, offset)


@click.group("dead-letters")
def dead_letters() -> None:
    """Records that could not be processed."""


@dead_letters.command("list")
@config_option
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="The newest so many.")
@click.option("--topic", help="Only letters that came from this topic.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@tells_errors
def list_letters(config: Path | None, limit: int, topic: str | None, as_json: bool) -> None:
    """List them: where each lies, where it came from, and why."""
    kafka = load_settings(config).kafka
    letters = asyncio.run(list_dead_letters(kafka, limit=limit, source_topic=topic))
    for letter in letters:
        place = LetterPlace(letter.partition, letter.offset)
        if as_json:
            click.echo(json.dumps({"place": str(place), "bytes": len(letter.value or b""), **letter.provenance}))
            continue
        click.echo(f"{place}  {letter.provenance.get('reason')}  from {letter.source_topic}")
        click.echo(f"      {letter.provenance.get('message')}")
    if not letters and not as_json:
        click.echo("no dead letters")


@dead_letters.command("replay")
@click.argument("places", nargs=-1, required=True, type=_Place())
@config_option
@tells_errors
def replay(places: tuple[LetterPlace, ...], config: Path | None) -> None:
    """Put the records at PLACES (partition:offset) back on the topics that they came from.

    An old update never wins over a newer state, and an event that had its effect has none again.
    """
    kafka = load_settings(config).kafka
    for letter in asyncio.run(replay_letters(kafka, places, SystemClock())):
        click.echo(f"{LetterPlace(letter.partition, letter.offset)} put back on {letter.source_topic}")
