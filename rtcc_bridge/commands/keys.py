"""`rtcc-bridge keys`."""

import asyncio
import json
import sys
from pathlib import Path

import click
from rich.console import Console

from rtcc_bridge.app.upkeep import open_key_rotation, open_orphan_sweep
from rtcc_bridge.commands.console import EXIT_FAILED, ProgressBar, tells_errors
from rtcc_bridge.commands.options import ACTOR, config_option
from rtcc_bridge.settings import load_settings
from rtcc_bridge.telemetry.logging import configure_logging

_gallery_option = click.option(
    "--gallery", is_flag=True, help="The master key of the galleries' templates (`objects.gallery_key_file`)."
)


@click.group()
def keys() -> None:
    """The master keys, and the keys of sealed objects that they wrap."""


@keys.command("status")
@config_option
@_gallery_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@tells_errors
def status(config: Path | None, gallery: bool, as_json: bool) -> None:
    """Say how many object keys each master key wraps."""
    settings = load_settings(config)

    async def run() -> None:
        async with open_key_rotation(settings, ACTOR, gallery=gallery) as rotation:
            counts = await rotation.counts()
        if as_json:
            told = {"current": counts.current, "left": counts.left, "objectKeys": dict(counts.by_master_key)}
            click.echo(json.dumps(told))
            return
        click.echo(f"current master key: {counts.current}")
        for name, count in counts.by_master_key.items():
            click.echo(f"  {name}: {count} object keys")
        if counts.left:
            click.echo(f"{counts.left} object keys still need an earlier master key: run `rtcc-bridge keys rotate`")
        else:
            click.echo(
                "0 object keys need an earlier master key. Before you remove one, ask again an hour after the "
                "rotation, since an upload may have been under way. Backups from before the rotation need it for ever"
            )

    asyncio.run(run())


@keys.command("rotate")
@config_option
@_gallery_option
@click.option("--no-new-key", is_flag=True, help="You have put the new master key first yourself: only wrap anew.")
@tells_errors
def rotate(config: Path | None, gallery: bool, no_new_key: bool) -> None:
    """Make a new master key and wrap every object key with it, while the daemon works.

    An interrupted rotation is finished by running this again; until then no further master key is made. The earlier
    master keys stay known. Exits with 1 when an object key could not be wrapped anew.
    """
    settings = load_settings(config)
    configure_logging(settings.log)
    console = Console(stderr=True)

    async def run() -> bool:
        async with open_key_rotation(settings, ACTOR, gallery=gallery) as rotation:
            with ProgressBar(console).shown() as bar:
                report = await rotation.rotate(
                    lambda done, total: bar("wrapping keys anew", done, total), new_key=not no_new_key
                )
        click.echo(f"{report.rewrapped} object keys are wrapped anew, by master key {report.counts.current}")
        if report.counts.left:
            click.echo(
                f"{report.counts.left} still need an earlier master key ({report.failed} did not open: see the log)"
            )
        return report.counts.left == 0

    if not asyncio.run(run()):
        sys.exit(EXIT_FAILED)


@keys.command("sweep")
@config_option
@click.option("--older-than-hours", type=float, default=24.0, show_default=True, help="Leave younger ones: at least 1.")
@click.option("--dry-run", is_flag=True, help="Only count.")
@tells_errors
def sweep(config: Path | None, older_than_hours: float, dry_run: bool) -> None:
    """Remove sealed objects that have no key: left behind by a process that died, and readable for nobody."""
    settings = load_settings(config)
    configure_logging(settings.log)

    async def run() -> None:
        async with open_orphan_sweep(settings, ACTOR) as opened:
            report = await opened.run(older_than_hours, remove=not dry_run)
        click.echo(
            f"{report.stored} objects in the store, {report.orphans} without a key, {report.young} of them young"
        )
        click.echo("nothing was removed" if dry_run else f"{report.removed} removed ({report.removed_bytes} bytes)")

    asyncio.run(run())
