"""`rtcc-bridge dead-letters`."""

import asyncio
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from rtcc_bridge.app.topics import open_letter_desk
from rtcc_bridge.commands.console import EXIT_FAILED, tells_errors
from rtcc_bridge.commands.options import ACTOR, config_option
from rtcc_bridge.consumers.dead_letters import DeadLetter
from rtcc_bridge.consumers.letter_box import LetterFilter, LetterPlace, count_dead_letters, list_dead_letters
from rtcc_bridge.consumers.replay import Replay, find_letters
from rtcc_bridge.settings import load_settings

Command = TypeVar("Command", bound=Callable[..., Any])


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


class _Moment(click.ParamType[datetime]):
    name = "MOMENT"

    def convert(self, value: str | datetime, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not a moment like 2026-11-24T17:00:00Z", param, ctx)
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _filter_options(command: Command) -> Command:
    for option in (
        click.option("--until", type=_Moment(), help="Only records that failed before this moment (UTC)."),
        click.option("--since", type=_Moment(), help="Only records that failed at this moment (UTC) or later."),
        click.option("--reason", help="Only letters for this reason, as `count` names it."),
        click.option("--topic", help="Only letters that came from this topic."),
    ):
        command = option(command)
    return command


@click.group("dead-letters")
def dead_letters() -> None:
    """Records that could not be processed. They may hold personal data."""


@dead_letters.command("list")
@config_option
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="The newest so many.")
@_filter_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@tells_errors
def list_letters(
    config: Path | None,
    limit: int,
    topic: str | None,
    reason: str | None,
    since: datetime | None,
    until: datetime | None,
    as_json: bool,
) -> None:
    """List them, the newest last: where each lies, where it came from, why, and whether it was replayed."""
    kafka = load_settings(config).kafka
    wanted = LetterFilter(topic, reason, since, until)
    letters = asyncio.run(list_dead_letters(kafka, wanted, limit=limit, with_values=False))
    for letter in letters:
        if as_json:
            click.echo(json.dumps(_facts(letter)))
            continue
        told = letter.provenance
        again = "" if letter.replayed_at is None else f"  replayed {letter.replayed_at}"
        click.echo(
            f"{LetterPlace.of(letter)}  {told.get('last-failure')}  {_safe(told.get('reason', ''))}  "
            f"from {_safe(letter.source_topic)}{again}"
        )
        click.echo(f"      {_safe(told.get('message', ''))}")
    if not as_json:
        if not letters:
            click.echo("no dead letters")
        click.echo(f"the topic keeps letters for {kafka.topics.dead_letter_retention_days:g} days")


@dead_letters.command("count")
@config_option
@_filter_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@tells_errors
def count(
    config: Path | None,
    topic: str | None,
    reason: str | None,
    since: datetime | None,
    until: datetime | None,
    as_json: bool,
) -> None:
    """Count them by the topic that they came from and the reason."""
    kafka = load_settings(config).kafka
    for one in asyncio.run(count_dead_letters(kafka, LetterFilter(topic, reason, since, until))):
        if as_json:
            names = ("topic", "reason", "letters", "replayed", "oldest", "newest")
            values = (one.source_topic, one.reason, one.letters, one.replayed, one.oldest, one.newest)
            click.echo(json.dumps(dict(zip(names, values, strict=True))))
        else:
            click.echo(
                f"{one.letters:6d}  {_safe(one.source_topic)}  {_safe(one.reason)}  ({one.replayed} replayed, "
                f"{_safe(one.oldest)} to {_safe(one.newest)})"
            )


@dead_letters.command("inspect")
@click.argument("place", type=_Place())
@config_option
@click.option("--payload", is_flag=True, help="Print the record's value too. It may hold personal data.")
@tells_errors
def inspect(place: LetterPlace, config: Path | None, payload: bool) -> None:
    """Tell all that is known of the letter at PLACE (partition:offset).

    Key, headers and value are printed with what is no printable ASCII escaped. They may hold personal data: mind who
    looks on, and where the output goes. The look is an entry of the audit log.
    """
    settings = load_settings(config)

    async def look() -> DeadLetter:
        async with open_letter_desk(settings, ACTOR) as desk:
            return await desk.inspect(place, with_value=payload)

    letter = asyncio.run(look())
    for name, text in {"place": str(place), **letter.provenance, "bytes": str(letter.size_bytes)}.items():
        click.echo(f"{_safe(name)}: {_safe(text)}")
    click.echo(f"replayed: {letter.replayed_at or 'no'}")
    click.echo(f"key: {_escaped(letter.key)}")
    for name, content in letter.original_headers:
        click.echo(f"header {_safe(name)}: {_escaped(content)}")
    click.echo(
        f"value: {_escaped(letter.value)}" if payload else "value: not printed; it may hold personal data (--payload)"
    )


@dead_letters.command("replay")
@click.argument("places", nargs=-1, type=_Place())
@config_option
@_filter_options
@click.option("--all", "everything", is_flag=True, help="All that were not replayed yet.")
@click.option("--again", is_flag=True, help="Also those that were replayed before.")
@click.option(
    "--unverified",
    is_flag=True,
    help="Take a letter's word where its record is no longer on its topic: whoever may write letters may have made it.",
)
@click.option("--dry-run", is_flag=True, help="Only say which; they are not compared with their records.")
@tells_errors
def replay(
    places: tuple[LetterPlace, ...],
    config: Path | None,
    topic: str | None,
    reason: str | None,
    since: datetime | None,
    until: datetime | None,
    everything: bool,
    again: bool,
    unverified: bool,
    dry_run: bool,
) -> None:
    """Put the records at PLACES (partition:offset), or all that the options mean, back on their topics.

    Each letter is compared with the record that it says it is, and left when it is not that one.

    An old update never wins over a newer state, and an event that had its effect has none again. Letters that were
    replayed are marked: naming one again is refused, and others are passed over. A letter that cannot be put back is
    refused when it is named by its place; otherwise it is told and left, the others are put back, and the command
    exits with 1. The audit log holds which letters were put back.
    """
    is_filtered = bool(topic or reason or since or until)
    if sum((bool(places), is_filtered, everything)) != 1:
        raise click.UsageError("give PLACES, or options that say which letters, or --all")
    settings = load_settings(config)
    wanted = LetterFilter(topic, reason, since, until, places=frozenset(places) if places else None)

    async def run() -> Replay:
        if dry_run:
            return await find_letters(settings.kafka, wanted, again=again)
        async with open_letter_desk(settings, ACTOR) as desk:
            return await desk.replay(wanted, again=again, unverified=unverified)

    found = asyncio.run(run())
    for letter in found.letters:
        verb = "would be put" if dry_run else "put"
        click.echo(f"{LetterPlace.of(letter)} {verb} back on {_safe(letter.source_topic)}")
    for _, why in found.left:
        click.echo(f"left: {_safe(why)}", err=True)
    if not found.letters:
        click.echo("no dead letters to replay")
    if found.left:
        sys.exit(EXIT_FAILED)


def _facts(letter: DeadLetter) -> dict[str, Any]:
    own = {"place": str(LetterPlace.of(letter)), "bytes": letter.size_bytes, "replayedAt": letter.replayed_at}
    return {**letter.provenance, **own}


def _safe(text: str) -> str:
    """Anybody may have written the letter: nothing of it may steer a terminal."""
    return text.encode("unicode_escape").decode("ascii")


def _escaped(content: bytes | None) -> str:
    return (
        "none"
        if content is None
        else content.decode("utf-8", errors="backslashreplace").encode("unicode_escape").decode()
    )
