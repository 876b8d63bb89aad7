"""`rtcc-bridge check-config` and `rtcc-bridge db`."""

import asyncio
import json
from pathlib import Path

import click

from rtcc_bridge.commands.console import tells_errors
from rtcc_bridge.commands.options import config_option
from rtcc_bridge.policy.policy_file import load_policy
from rtcc_bridge.settings import load_settings
from rtcc_bridge.storage import schema
from rtcc_bridge.storage.engine import Database


@click.command("check-config")
@config_option
@click.option("--show", is_flag=True, help="Print the effective settings; secrets are masked.")
@tells_errors
def check_config(config: Path | None, show: bool) -> None:
    """Check the settings and the policy file; say what is wrong, where, and what to do."""
    settings = load_settings(config)
    policy = load_policy(settings.policy.file)
    if show:
        click.echo(json.dumps(settings.model_dump(mode="json"), indent=2))
    click.echo(f"settings: good (profile {settings.profile})")
    click.echo(f"policy: good ({policy.title}, hash {policy.hash[:16]}..., not signed)")


@click.group()
def db() -> None:
    """The database."""


@db.command("upgrade")
@config_option
@tells_errors
def upgrade(config: Path | None) -> None:
    """Bring the database to the revision of this program. `serve` does it too."""
    settings = load_settings(config)

    async def run() -> None:
        database = Database(settings.database)
        try:
            await schema.upgrade(database)
        finally:
            await database.close()

    asyncio.run(run())
    click.echo(f"database: at revision {schema.newest_revision()}")
