"""`rtcc-bridge gallery`."""

import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console

from rtcc_bridge.app.foundation import open_core
from rtcc_bridge.app.galleries import (
    enroller_for,
    export_for,
    expunger_for,
    kind_here,
    retention_keeper_for,
    search_repeater_for,
    verifier_for,
)
from rtcc_bridge.app.template_keys import require_gallery_key
from rtcc_bridge.clock import SystemClock
from rtcc_bridge.commands.console import EXIT_FAILED, EXIT_INTEGRITY, ProgressBar, tells_errors
from rtcc_bridge.commands.options import OPERATOR, TakesId, config_option
from rtcc_bridge.errors import InvalidInputError
from rtcc_bridge.gallery.checked_rows import retention_from
from rtcc_bridge.gallery.export import ExportReceipt
from rtcc_bridge.gallery.identity import GalleryKind
from rtcc_bridge.gallery.receipts import EnrollReceipt, ExpungeReceipt
from rtcc_bridge.gallery.set_aside import SetAsideError
from rtcc_bridge.gallery.sources import ATTESTED, FolderSource, ImageSource, ManifestSource
from rtcc_bridge.gallery.stats import every_gallery, gallery_stats
from rtcc_bridge.modelpacks.installed import open_pack
from rtcc_bridge.probes.repeat import RepeatedSearch
from rtcc_bridge.settings import Settings, load_settings
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
    "--kind",
    type=click.Choice([kind.value for kind in GalleryKind]),
    help="What a new gallery is for: by default demo in the profile demo and live elsewhere, where demo is refused.",
)
@click.option("--provenance", help="Where the pictures of a folder come from, for example the booking system.")
@click.option("--lawful-basis", help="On what basis the agency holds the pictures of a folder.")
@click.option(
    "--retain-until", callback=_to_come, help="When the pictures of a folder have to go (YYYY-MM-DD, still to come)."
)
@click.option(
    "--attest-adult",
    is_flag=True,
    help="Say of a folder's pictures that each person was an adult, and no order seals or expunges the record.",
)
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), help="CSV list of what was left out.")
@tells_errors
def enroll(
    source: Path,
    config: Path | None,
    name: str | None,
    kind: str | None,
    provenance: str | None,
    lawful_basis: str | None,
    retain_until: str | None,
    report: Path | None,
    *,
    attest_adult: bool,
) -> None:
    """Enrol the pictures of SOURCE.

    SOURCE is a folder with one folder for each person (then --provenance, --lawful-basis, --retain-until and
    --attest-adult say what holds for all of them), or a CSV manifest with the columns image, subject_ref, provenance,
    lawful_basis, retain_until and attested_adult (true, or the picture is left out); in a column taken_on it may say
    when each picture was taken. An interrupted run is resumed by starting it again. Exits with 1 when something was
    left out.
    """
    settings = load_settings(config)
    configure_logging(settings.log)
    pictures = _source(source, provenance, lawful_basis, retain_until, attest_adult=attest_adult)
    wanted = _kind(settings, kind)
    require_gallery_key(settings)
    console = Console(stderr=True)

    async def run() -> EnrollReceipt:
        async with open_core(settings) as core:
            with ProgressBar(console).shown() as bar:
                pack = await asyncio.to_thread(open_pack, settings.matching, bar)
                async with enroller_for(core, pack) as enroller:
                    return await enroller.enroll(
                        pictures,
                        name or settings.matching.gallery,
                        wanted,
                        account=OPERATOR,
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
        async with open_core(settings, under_policy=False) as core:
            expunger = expunger_for(core)
            if subject_ref is not None:
                return await expunger.expunge_subject(wanted, subject_ref, reason, OPERATOR)
            assert image_sha256 is not None
            return await expunger.expunge_image(wanted, image_sha256, reason, OPERATOR)

    receipt = asyncio.run(run())
    gone = "gone from the sealed segments too" if receipt.bytes_gone else "still in a sealed segment until scrubbed"
    click.echo(
        f"removed from gallery {receipt.gallery} at version {receipt.version}, {receipt.removed_at.isoformat()}: "
        f"{receipt.images_removed} images, {receipt.leads_withdrawn} live leads withdrawn; templates {gone}"
    )
    click.echo(f"audit leaf {receipt.audit_leaf}")


@gallery.command()
@config_option
@tells_errors
def expire(config: Path | None) -> None:
    """Remove every image whose retention has ended, now; the daemon does it every minute."""
    settings = load_settings(config)
    configure_logging(settings.log)

    async def run() -> int:
        async with open_core(settings, under_policy=False) as core:
            return await retention_keeper_for(core).expire(OPERATOR)

    click.echo(f"{asyncio.run(run())} images removed: their retention had ended")


@gallery.command()
@click.argument("name", required=False)
@config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each gallery, each on a line.")
@tells_errors
def stats(name: str | None, config: Path | None, as_json: bool) -> None:
    """Say what a gallery, or each of them, holds."""
    settings = load_settings(config)

    async def run() -> None:
        async with open_core(settings, under_policy=False) as core:
            names = [name] if name else [record.name for record in await every_gallery(core.database)]
            for each in names:
                found = await gallery_stats(core.database, core.clock, each)
                record, counts = found.gallery, found.counts
                if as_json:
                    told = {"gallery": record.name, "kind": record.kind, "version": record.version}
                    click.echo(json.dumps({**told, "pack": record.pack_name, **asdict(counts)}, default=str))
                    continue
                click.echo(f"{record.name}  kind {record.kind}  version {record.version}  pack {record.pack_name}")
                for field in counts.__dataclass_fields__:
                    click.echo(f"  {field.replace('_', ' ')}: {getattr(counts, field)}")
            if not names and not as_json:
                click.echo("no galleries yet: `rtcc-bridge gallery enroll` makes one")

    asyncio.run(run())


@gallery.command()
@click.argument("name", required=False)
@config_option
@click.option("--pictures", is_flag=True, help="Unseal every picture too, and compare it with its digest.")
@tells_errors
def verify(name: str | None, config: Path | None, pictures: bool) -> None:
    """Check a gallery, or each of them: segments open, rows and pictures fit, the head is the newest version.

    May run beside the daemon. Names each fault, the versions that do without it, and what to restore. Exits with 6
    when there is one.
    """
    settings = load_settings(config)
    configure_logging(settings.log)
    console = Console(stderr=True)

    async def run() -> bool:
        is_sound = True
        async with open_core(settings, under_policy=False) as core:
            names = [name] if name else [record.name for record in await every_gallery(core.database)]
            for each in names:
                with ProgressBar(console).shown() as bar:
                    report = await verifier_for(core).verify(each, with_pictures=pictures, on_checked=bar)
                click.echo(
                    f"gallery {report.gallery}, version {report.version}: {report.segments} segments, "
                    f"{report.templates} templates, {report.pictures} pictures checked, "
                    f"{len(report.findings)} faults"
                )
                for finding in report.findings:
                    click.echo(f"  {finding}")
                is_sound = is_sound and not report.findings
        return is_sound

    if not asyncio.run(run()):
        sys.exit(EXIT_INTEGRITY)


@gallery.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@config_option
@click.option("--gallery", "name", help="The gallery; the one that is searched (matching.gallery) by default.")
@click.option(
    "--pictures", is_flag=True, help="The pictures too, in the clear: keep the folder as safe as the gallery."
)
@click.option("--order", help="The order that two people gave: no gallery but a demo's is exported without (P30).")
@tells_errors
def export(folder: Path, config: Path | None, name: str | None, pictures: bool, order: str | None) -> None:
    """Write what a gallery holds to FOLDER: a manifest that `enroll` reads, never a template.

    A gallery is exported on an order, but for a demo's: an administrator signs in and asks for it, another person signs
    in and approves it (POST /api/v1/galleries/exports), and --order names it here, once and for one folder.

    References, provenance, lawful basis and retention date of every image that is searched. An interrupted export is
    resumed by starting it again. Exits with 1 when a picture could not be read.
    """
    settings = load_settings(config)
    configure_logging(settings.log)
    console = Console(stderr=True)

    async def run() -> ExportReceipt:
        async with open_core(settings) as core:
            with ProgressBar(console).shown() as bar:
                return await export_for(core).export(
                    name or settings.matching.gallery,
                    folder,
                    with_pictures=pictures,
                    account=OPERATOR,
                    order_id=order,
                    on_exported=lambda done, total: bar("exporting", done, total),
                )

    receipt = asyncio.run(run())
    click.echo(
        f"gallery {receipt.gallery}, version {receipt.version}: {receipt.images} images and {receipt.pictures} "
        f"pictures written to {folder}"
    )
    if receipt.unreadable:
        click.echo(f"  {receipt.unreadable} pictures cannot be read: `rtcc-bridge gallery verify --pictures` says why")
        sys.exit(EXIT_FAILED)


@gallery.command(cls=TakesId)
@click.argument("lead_id")
@config_option
@click.option("--gallery", "name", help="Where it was searched; matching.gallery by default.")
@tells_errors
def repeat(lead_id: str, config: Path | None, name: str | None) -> None:
    """Repeat the search of a lead in the version of the gallery that it names, and say whether its list comes out.

    Nobody is shown, only whether the same people come first. Exits with 1 when they do not.
    """
    settings = load_settings(config)
    configure_logging(settings.log)
    console = Console(stderr=True)

    async def run() -> RepeatedSearch:
        async with open_core(settings) as core:
            with ProgressBar(console).shown() as bar:
                pack = await asyncio.to_thread(open_pack, settings.matching, bar)
            repeater = await search_repeater_for(core, pack, name or settings.matching.gallery)
            return await repeater.repeat(lead_id, OPERATOR)

    found = asyncio.run(run())
    click.echo(
        f"gallery {found.gallery}, version {found.version}: {found.removed_since} images of it were removed since, and "
        f"of {found.listed_then} people on the list {found.listed} are still there"
    )
    click.echo("they come out in the same order" if found.same else "they do not come out in the same order")
    if not found.same:
        sys.exit(EXIT_FAILED)


def _kind(settings: Settings, kind: str | None) -> GalleryKind:
    usual = kind_here(settings)
    chosen = usual if kind is None else GalleryKind(kind)
    if chosen is GalleryKind.DEMO and usual is not GalleryKind.DEMO:
        raise InvalidInputError(
            "outside the profile demo a gallery of the kind demo is not searched (P28): leave --kind out"
        )
    return chosen


def _source(
    source: Path, provenance: str | None, lawful_basis: str | None, retain_until: str | None, *, attest_adult: bool
) -> ImageSource:
    if not source.is_dir():
        return ManifestSource(source)
    if not (provenance and lawful_basis and retain_until and attest_adult):
        raise InvalidInputError(
            "pictures without provenance, lawful basis, retention date and status are not enrolled (P06): "
            "give --provenance, --lawful-basis, --retain-until and --attest-adult, or a CSV manifest"
        )
    return FolderSource(
        source,
        provenance=provenance,
        lawful_basis=lawful_basis,
        retain_until=retain_until,
        attested_adult=ATTESTED,
    )
