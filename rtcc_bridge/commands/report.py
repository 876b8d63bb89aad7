"""`rtcc-bridge report`."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console

from rtcc_bridge.app.reports import open_access_log, open_discovery, open_misuse, open_transparency
from rtcc_bridge.commands.console import ProgressBar, tells_errors
from rtcc_bridge.commands.options import OPERATOR, TakesId, config_option
from rtcc_bridge.errors import ConflictError, UnavailableError
from rtcc_bridge.reports import access_log as access_logs
from rtcc_bridge.reports import transparency_forms as forms
from rtcc_bridge.reports.access_log import Access
from rtcc_bridge.reports.discovery import HandedTo, PacketOrder
from rtcc_bridge.reports.misuse import MisuseReport
from rtcc_bridge.reports.misuse_json import as_json
from rtcc_bridge.reports.packet_archive import Packet, write_packet
from rtcc_bridge.reports.pdf import pdf
from rtcc_bridge.reports.period import Period
from rtcc_bridge.reports.transparency import TransparencyReport
from rtcc_bridge.settings import load_settings
from rtcc_bridge.telemetry.logging import configure_logging

_FILE = click.Path(dir_okay=False, path_type=Path)
_FORMATS = ("html", "pdf", "csv", "json")
_reason_option = click.option("--reason", required=True, help="Why it is made. It stays in the audit log: name nobody.")


@click.group()
def report() -> None:
    """What the city, a court, a person and the administrator can ask for. That it was made is in the audit log."""


@report.command()
@click.option("--from", "first", required=True, metavar="YYYY-MM", help="The first month (UTC).")
@click.option("--until", "last", metavar="YYYY-MM", help="The last month; the first one if none is named.")
@click.option(
    "--format", "formats", type=click.Choice(_FORMATS), multiple=True, help="Several may be named; html if none is."
)
@click.option(
    "--to", "folder", type=click.Path(file_okay=False, path_type=Path), default=Path(), help="Folder for the files."
)
@click.option("--overlapping", is_flag=True, help="Make it although an earlier report shares months with it.")
@config_option
@tells_errors
def transparency(
    first: str, last: str | None, formats: tuple[str, ...], folder: Path, overlapping: bool, config: Path | None
) -> None:
    """Write the transparency report over whole months: searches by purpose, offense and outcome, refusals, reviews.

    Counts under 5 are left out, and those with which they could be worked out. A period that is not over gives a
    preliminary report, which is not for the public.
    """
    settings = load_settings(config)
    configure_logging(settings.log)

    async def run() -> TransparencyReport:
        async with open_transparency(settings) as desk:
            return await desk.make(OPERATOR, Period.read(first, last or first), overlapping=overlapping)

    made = asyncio.run(run())
    for name in dict.fromkeys(formats or ("html",)):
        _write(folder / f"transparency-{str(made.period).replace(' ', '-')}.{name}", _written(made, name))
    if made.made_before:
        when = ", ".join(f"{one:%Y-%m-%d %H:%M} UTC" for one in made.made_before)
        click.echo(f"this period was reported before ({when}): what became of its searches may differ", err=True)
    if made.is_preliminary:
        click.echo("preliminary: the period is not over, so publish none of it", err=True)


@report.command(cls=TakesId)
@click.argument("lead", required=False)
@click.option("--case", "case_number", help="Every search of this case, instead of one lead.")
@_reason_option
@click.option(
    "--office", required=True, help="The office that it is handed to. It stays in the audit log: name nobody."
)
@click.option("--receiver", required=True, help="Who gets it there, or the reference of their matter.")
@click.option("--order", help="The order of two people by which those are identified who were not released (P17).")
@click.option("--policy", "policies", type=_FILE, multiple=True, help="A policy file that was kept, for older leads.")
@click.option(
    "--to", "file", type=_FILE, help="The ZIP to write; it must not be there. Named after the packet if none is."
)
@config_option
@tells_errors
def discovery(
    lead: str | None,
    case_number: str | None,
    reason: str,
    office: str,
    receiver: str,
    order: str | None,
    policies: tuple[Path, ...],
    file: Path | None,
    config: Path | None,
) -> None:
    """Write the discovery packet of LEAD, or of a case: one signed ZIP that is read and verified without this program.

    It holds the still (other faces masked), edits, search, every candidate by rank and score, every conclusion with its
    author, dissent, outcomes, proofs out of the audit log, policy and model. Whom a court wants to have
    identified besides those who were released, two people order: an administrator signs in and asks for it, another
    person signs in and approves it (POST /api/v1/disclosure-orders), and --order names it here, for one packet.

    Whom it is handed to is in the ledger of the lead's receivers from then on (P19): should the lead be taken back, an
    administrator tells them, and notes that on the page Oversight.
    """
    if (lead is None) == (case_number is None):
        raise click.UsageError("name a lead, or a case with --case")
    settings = load_settings(config)
    configure_logging(settings.log)
    handed_to = HandedTo(office, receiver)
    wanted = PacketOrder(reason=reason, handed_to=handed_to, disclosure=order, policies=policies)

    async def run() -> Packet:
        with ProgressBar(Console(stderr=True)).shown() as bar:
            async with open_discovery(settings, bar) as desk:
                if lead is not None:
                    return await desk.of_lead(OPERATOR, lead, wanted)
                return await desk.of_case(OPERATOR, str(case_number), wanted)

    if file is not None and file.exists():
        raise ConflictError(f"{file} exists already: name a new file for each packet")
    packet = asyncio.run(run())
    place = file or Path(f"{packet.name}.zip")
    write_packet(packet, place)
    click.echo(place)
    click.echo(f"sha256 of its manifest, as the audit log has it: {packet.manifest_sha256}")
    for sentence in packet.missing:
        click.echo(f"missing: {sentence}", err=True)


@report.command("access-log")
@click.argument("gallery")
@click.argument("person")
@_reason_option
@click.option("--to", "file", type=_FILE, help="CSV file to write; standard output if none is named.")
@config_option
@tells_errors
def access_log(gallery: str, person: str, reason: str, file: Path | None, config: Path | None) -> None:
    """Tell who looked at the record of PERSON (the agency's reference) in GALLERY, when, and for which search."""
    settings = load_settings(config)
    configure_logging(settings.log)

    async def run() -> Sequence[Access]:
        found: list[Access] = []
        async with open_access_log(settings) as desk:
            page = await desk.make(OPERATOR, gallery, person, reason)
            found += page.items
            while page.next is not None:
                page = await desk.make(OPERATOR, gallery, person, reason, page.next)
                found += page.items
        return found

    text = access_logs.comma_separated(asyncio.run(run()))
    if file is None:
        click.echo(text, nl=False)
        return
    _write(file, text.encode())


@report.command()
@click.option("--json", "shown_as_json", is_flag=True, help="One JSON object.")
@config_option
@tells_errors
def misuse(shown_as_json: bool, config: Path | None) -> None:
    """Show the signs of misuse to the administrator: what each means, whose it is, and what it rests on.

    A sign is no verdict. The thresholds are the policy's.
    """
    settings = load_settings(config)
    configure_logging(settings.log)

    async def run() -> MisuseReport:
        async with open_misuse(settings) as desk:
            return await desk.look(OPERATOR)

    found = asyncio.run(run())
    if shown_as_json:
        click.echo(json.dumps(as_json(found), ensure_ascii=False))
        return
    _tell(found)


def _tell(found: MisuseReport) -> None:
    click.echo(f"from {found.since:%Y-%m-%d %H:%M} to {found.until:%Y-%m-%d %H:%M} UTC")
    for kind, words in found.definitions.items():
        of_kind = [one for one in found.signals if one.kind is kind]
        click.echo(f"\n{kind}: {len(of_kind)}\n  {words}")
        for one in of_kind:
            when = f"{one.first_at:%Y-%m-%d %H:%M} to {one.last_at:%Y-%m-%d %H:%M}"
            click.echo(f"  - {', '.join(one.accounts)}: {one.count}, {when}")
            click.echo(f"    {', '.join(one.references)}")
    if found.roster_covers is None:
        click.echo("\noff-shift use was not looked for: there is no roster (reports.roster_file)")


def _write(file: Path, data: bytes) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    except OSError as error:
        raise UnavailableError(f"{file} cannot be written: {error.strerror}") from error
    click.echo(file)


def _written(made: TransparencyReport, name: str) -> bytes:
    match name:
        case "pdf":
            return pdf(forms.page(made))
        case "csv":
            return forms.comma_separated(made).encode()
        case "json":
            return json.dumps(forms.as_json(made), ensure_ascii=False, indent=2).encode() + b"\n"
        case _:
            return forms.page(made).encode()
