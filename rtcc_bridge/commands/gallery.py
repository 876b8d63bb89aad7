"""`rtcc-bridge gallery`."""

import asyncio
import sys
from pathlib import Path

import click
from rich.console import Console

from rtcc_bridge.app.foundation import open_core
from rtcc_bridge.app.galleries import enroller_for, expunger_for
from rtcc_bridge.clock import SystemClock
from rtcc_bridge.commands.console import EXIT_FAILED, ProgressBar, tells_errors
from rtcc_bridge.commands.options import ACTOR, config_option
from rtcc_bridge.errors import InvalidInputError
from rtcc_bridge.gallery.checked_rows import retention_from
from rtcc_bridge.gallery.identity import GalleryKind
from rtcc_bridge.gallery.receipts import EnrollReceipt, ExpungeReceipt
from rtcc_bridge.gallery.set_aside import SetAsideError
from rtcc_bridge.gallery.sources import FolderSource, ImageSource, ManifestSource
from rtcc_bridge.gallery.stats import every_gallery, gallery_stats
from rtcc_bridge.modelpacks.installed import open_pack
from rtcc_bridge.settings import load_settings
from rtcc_bridge.telemetry.logging import configure_logging


def _to_come(_context: click.Context, _option: click.Parameter, text: str | None) -> str | None:
    """Refuses a retention date that no picture could be enrolled with, before anything is opened."""
    if text is None:
        return None
    try:
        until = retention_from(text)
    except SetAsideError as error:
        raise click.BadParameter(error.detail) from error
    if until <= SystemClock().now():
        raise click.BadParameter(f"{text} has passed: pictures whose retention has ended are not enrolled (P06)")
    return text


@click.group()
def gallery() -> None:
    """Galleries: the agency's own pictures, each with provenance, lawful basis and retention date."""


@gallery.command()
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@config_option
@click.option("--gallery", "name", help="The gallery; the one that is searched (matching.gallery) by default.")
@click.option(
    "--kind", type=click.Choice([kind.value for kind in GalleryKind]), default=GalleryKind.DEMO.value, show_default=True
)
@click.option("--provenance", help="Where the pictures of a folder come from, for example the booking system.")
@click.option("--lawful-basis", help="On what basis the agency holds the pictures of a folder.")
@click.option(
    "--retain-until", callback=_to_come, help="When the pictures of a folder have to go (YYYY-MM-DD, still to come)."
)
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), help="CSV list of what was left out.")
@tells_errors
def enroll(
    source: Path,
    config: Path | None,
    name: str | None,
    kind: str,
    provenance: str | None,
    lawful_basis: str | None,
    retain_until: str | None,
    report: Path | None,
) -> None:
    """Enrol the pictures of SOURCE.

    SOURCE is a folder with one folder for each person (then --provenance, --lawful-basis and --retain-until say what
    holds for all of them), or a CSV manifest with the columns image, subject_ref, provenance, lawful_basis and
    retain_until. An interrupted run is resumed by starting it again. Exits with 1 when something was left out.
    """
    settings = load_settings(config)
    configure_logging(settings.log)
    pictures = _source(source, provenance, lawful_basis, retain_until)
    console = Console(stderr=True)

    async def run() -> EnrollReceipt:
        async with open_core(settings) as core:
            with ProgressBar(console).shown() as bar:
                pack = await asyncio.to_thread(open_pack, settings.matching, bar)
                return await enroller_for(core, pack).enroll(
                    pictures,
                    name or settings.matching.gallery,
                    GalleryKind(kind),
                    actor=ACTOR,
                    report=report,
                    on_progress=lambda progress: bar("enrolling", progress.done, progress.total),
                )

    receipt = asyncio.run(run())
    click.echo(
        f"gallery {receipt.gallery}, version {receipt.version}: {receipt.enrolled} of {receipt.total} enrolled, "
        f"{receipt.already_enrolled} were enrolled already"
    )
    for reason, count in sorted(receipt.set_aside.items()):
        click.echo(f"  left out: {count} {reason.in_words}")
    if receipt.set_aside and report is None:
        click.echo("  --report FILE lists them one by one")
    if receipt.set_aside:
        sys.exit(EXIT_FAILED)


@gallery.command()
@click.argument("subject_ref", required=False)
@config_option
@click.option("--gallery", "name", help="The gallery; the one that is searched (matching.gallery) by default.")
@click.option("--image-sha256", help="Remove only the picture with these bytes.")
@click.option("--reason", required=True, help="Why, for the record: court order, sealed record, retention...")
@tells_errors
def expunge(
    subject_ref: str | None, config: Path | None, name: str | None, image_sha256: str | None, reason: str
) -> None:
    """Remove a person (SUBJECT_REF) or one picture for ever. It takes effect at once and cannot be undone."""
    if (subject_ref is None) == (image_sha256 is None):
        raise click.UsageError("give either SUBJECT_REF or --image-sha256")
    settings = load_settings(config)
    configure_logging(settings.log)
    wanted = name or settings.matching.gallery

    async def run() -> ExpungeReceipt:
        async with open_core(settings) as core:
            expunger = expunger_for(core)
            if subject_ref is not None:
                return await expunger.expunge_subject(wanted, subject_ref, reason, ACTOR)
            assert image_sha256 is not None
            return await expunger.expunge_image(wanted, image_sha256, reason, ACTOR)

    receipt = asyncio.run(run())
    gone = "gone from the sealed segments too" if receipt.bytes_gone else "still in a sealed segment until scrubbed"
    click.echo(
        f"removed from gallery {receipt.gallery} at version {receipt.version}, {receipt.removed_at.isoformat()}: "
        f"{receipt.images_removed} images, {receipt.leads_withdrawn} live leads withdrawn; templates {gone}"
    )
    click.echo(f"audit leaf {receipt.audit_leaf}")


@gallery.command()
@click.argument("name", required=False)
@config_option
@tells_errors
def stats(name: str | None, config: Path | None) -> None:
    """Say what a gallery, or each of them, holds."""
    settings = load_settings(config)

    async def run() -> None:
        async with open_core(settings) as core:
            names = [name] if name else [record.name for record in await every_gallery(core.database)]
            for each in names:
                found = await gallery_stats(core.database, core.clock, each)
                record, counts = found.gallery, found.counts
                click.echo(f"{record.name}  kind {record.kind}  version {record.version}  pack {record.pack_name}")
                for field in counts.__dataclass_fields__:
                    click.echo(f"  {field.replace('_', ' ')}: {getattr(counts, field)}")
            if not names:
                click.echo("no galleries yet: `rtcc-bridge gallery enroll` makes one")

    asyncio.run(run())


def _source(source: Path, provenance: str | None, lawful_basis: str | None, retain_until: str | None) -> ImageSource:
    if not source.is_dir():
        return ManifestSource(source)
    if not (provenance and lawful_basis and retain_until):
        raise InvalidInputError(
            "pictures without provenance, lawful basis and retention date are not enrolled (P06): "
            "give --provenance, --lawful-basis and --retain-until, or a CSV manifest"
        )
    return FolderSource(source, provenance=provenance, lawful_basis=lawful_basis, retain_until=retain_until)
