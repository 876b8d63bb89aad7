"""`rtcc-bridge check-config` and `rtcc-bridge db`."""

import asyncio
import json
from pathlib import Path

import click

from rtcc_bridge.app.foundation import upgrade_database
from rtcc_bridge.commands.console import tells_errors
from rtcc_bridge.commands.options import config_option
from rtcc_bridge.policy.policy_file import load_policy
from rtcc_bridge.settings import load_settings


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
    revision = asyncio.run(upgrade_database(load_settings(config).database))
    click.echo(f"database: at revision {revision}")
