"""`rtcc-bridge backup` and `rtcc-bridge restore`."""

import asyncio
from pathlib import Path

import click
from rich.console import Console

from rtcc_bridge.app.upkeep import open_backup, open_restore
from rtcc_bridge.commands.console import ProgressBar, tells_errors
from rtcc_bridge.commands.options import ACTOR, config_option
from rtcc_bridge.settings import load_settings
from rtcc_bridge.telemetry.logging import configure_logging


@click.command("backup")
@click.argument("folder", type=click.Path(path_type=Path))
@config_option
@tells_errors
def backup(folder: Path, config: Path | None) -> None:
    """Copy database, sealed objects and offsets into a new FOLDER, while the daemon works.

    The folder holds what the disk holds: incidents and the agency's references in the clear, pictures and templates
    sealed, no master key. Keep the master key somewhere else, and the folder no longer than the policy allows: people
    who are expunged stay in older backups until those are deleted.
    """
    settings = load_settings(config)
    configure_logging(settings.log)
    console = Console(stderr=True)

    async def run() -> None:
        async with open_backup(settings, ACTOR) as opened:
            with ProgressBar(console).shown() as bar:
                report = await opened.run(folder, bar)
        click.echo(
            f"backup {report.backup_id} in {report.folder}: {report.rows} rows, {report.objects} objects "
            f"({report.objects_bytes} bytes)"
        )
        click.echo(f"sha256 of its manifest: {report.manifest_sha256} (keep it elsewhere, for `restore`)")

    asyncio.run(run())


@click.command("restore")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@config_option
@click.option(
    "--without-removals-ledger", "reason", metavar="REASON",
    help="The removals ledger is lost for ever, and why. Recorded. People expunged after the backup come back.",
)  # fmt: skip
@click.option(
    "--manifest-sha256", metavar="HEX",
    help="The sha256 that the backup told: refuse one that was altered as a whole.",
)  # fmt: skip
@tells_errors
def restore(folder: Path, config: Path | None, reason: str | None, manifest_sha256: str | None) -> None:
    """Bring the backup in FOLDER back into an empty database, and carry out again what was removed since.

    Stop every daemon first, and configure an empty database and the master keys of the backup. Expungements and
    destroyed keys are taken from the removals ledger; leads go on after what their topic has said; the consumer groups
    go back to the offsets of the backup. An interrupted run is finished by starting it again.
    """
    settings = load_settings(config)
    configure_logging(settings.log)
    console = Console(stderr=True)

    async def run() -> None:
        async with open_restore(settings, folder, ACTOR) as opened:
            with ProgressBar(console).shown() as bar:
                report = await opened.run(bar, without_ledger=reason, manifest_sha256=manifest_sha256)
        click.echo(f"restored backup {report.backup_id}: {report.rows} rows")
        click.echo(f"  objects: {report.objects} copied, {report.objects_kept} were still in the store")
        click.echo(
            f"  carried out again: {report.removals_carried_out} expungements, {report.keys_destroyed} destroyed keys"
        )
        if report.purges_carried_out or report.holds_placed:
            click.echo(
                f"  carried out again: {report.purges_carried_out} purges of searches, legal holds on "
                f"{report.holds_placed} searches"
            )
        click.echo(
            f"  leads: {report.leads.taken_over} go on after a newer published state, {report.leads.withdrawn} that "
            "were made after the backup are withdrawn"
        )
        if report.unknown_galleries:
            click.echo(
                f"  {report.unknown_galleries} expungements are from galleries that the backup does not know: see "
                "the log before you make a gallery of that name"
            )

    asyncio.run(run())
