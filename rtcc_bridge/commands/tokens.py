"""`rtcc-bridge tokens`."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Final, TypeVar

import click

from rtcc_bridge.app.people import open_people
from rtcc_bridge.clock import SystemClock
from rtcc_bridge.commands.console import tells_errors
from rtcc_bridge.commands.options import OPERATOR, TakesId, config_option
from rtcc_bridge.people.service_tokens import ServiceTokens
from rtcc_bridge.policy.permissions import MACHINE_DEEDS, Deed
from rtcc_bridge.settings import load_settings
from rtcc_bridge.telemetry.logging import configure_logging

_DEEDS: Final = {deed.name.lower().replace("_", "-"): deed for deed in sorted(MACHINE_DEEDS)}
_Result = TypeVar("_Result")


@click.group()
def tokens() -> None:
    """Service tokens, by which programs are known: what each may do, and until when."""


@tokens.command()
@click.argument("name")
@config_option
@click.option(
    "--deed", "deeds", multiple=True, required=True, type=click.Choice(list(_DEEDS)), help="What the program may do."
)
@click.option("--days", type=click.IntRange(1, 366), default=90, show_default=True, help="How long the token holds.")
@tells_errors
def create(name: str, config: Path | None, deeds: tuple[str, ...], days: int) -> None:
    """Create a token for the program NAME and print it, this once: only its hash is kept.

    The program sends it as `Authorization: Bearer TOKEN`.
    """
    until = SystemClock().now() + timedelta(days=days)
    wanted = {_DEEDS[deed] for deed in deeds}
    new = _run(config, lambda desk: desk.create(OPERATOR, name, wanted, until))
    click.echo(f"token {new.record.token_id} for {name}, until {new.record.expires_at.isoformat()}", err=True)
    click.echo(new.text)


@tokens.command("list")
@config_option
@tells_errors
def list_tokens(config: Path | None) -> None:
    """List the tokens: for whom, for what, until when, and when each was last used."""
    for record in _run(config, lambda desk: desk.every(OPERATOR)):
        ended = (
            f"revoked {record.revoked_at.isoformat()}"
            if record.revoked_at
            else f"until {record.expires_at.isoformat()}"
        )
        used = f"used {record.used_at.isoformat()}" if record.used_at else "never used"
        deeds = ", ".join(Deed(deed).name.lower().replace("_", "-") for deed in record.deeds)
        click.echo(f"{record.token_id}  {record.name}  {deeds}  {ended}  {used}")


@tokens.command(cls=TakesId)
@click.argument("token_id")
@config_option
@tells_errors
def revoke(token_id: str, config: Path | None) -> None:
    """Revoke a token: it is good for nothing from this moment."""
    _run(config, lambda desk: desk.revoke(OPERATOR, token_id))
    click.echo(f"token {token_id} revoked")


def _run(config: Path | None, do: Callable[[ServiceTokens], Awaitable[_Result]]) -> _Result:
    settings = load_settings(config)
    configure_logging(settings.log)

    async def run() -> _Result:
        async with open_people(settings) as people:
            return await do(people.tokens)

    return asyncio.run(run())
