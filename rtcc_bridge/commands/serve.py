"""`rtcc-bridge serve`."""

import asyncio
from pathlib import Path

import click
from rich.console import Console

from rtcc_bridge.app.process import serve as serve_roles
from rtcc_bridge.app.roles import Role
from rtcc_bridge.commands.console import ProgressBar, tells_errors
from rtcc_bridge.commands.options import config_option
from rtcc_bridge.settings import load_settings
from rtcc_bridge.telemetry.logging import configure_logging


@click.command()
@config_option
@click.option(
    "--roles",
    default=",".join(Role),
    show_default=True,
    help="What this process does, separated by commas. On SQLite one process has all of them.",
)
@tells_errors
def serve(config: Path | None, roles: str) -> None:
    """Run the daemon until it is asked to stop (SIGTERM or Ctrl-C)."""
    settings = load_settings(config)
    configure_logging(settings.log)
    wanted = _parse_roles(roles)
    with ProgressBar(Console(stderr=True)).shown() as progress:
        asyncio.run(serve_roles(settings, wanted, progress))


def _parse_roles(text: str) -> set[Role]:
    names = {name.strip() for name in text.split(",") if name.strip()}
    unknown = names - set(Role)
    if unknown or not names:
        raise click.BadParameter(f"roles are {', '.join(Role)}", param_hint="--roles")
    return {Role(name) for name in names}
