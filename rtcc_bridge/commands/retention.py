"""`rtcc-bridge retention`."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import click
from rich.console import Console

from rtcc_bridge.app.retention import RetentionCommands, open_retention
from rtcc_bridge.commands.console import EXIT_FAILED, ProgressBar, tells_errors
from rtcc_bridge.commands.options import OPERATOR, TakesId, config_option
from rtcc_bridge.retention.dispositions import Disposition
from rtcc_bridge.retention.holds import HoldOrder
from rtcc_bridge.retention.overview import KeptSearch, Preview
from rtcc_bridge.settings import load_settings
from rtcc_bridge.telemetry.logging import configure_logging

_Found = TypeVar("_Found")


@click.group()
def retention() -> None:
    """What is kept of searches and for how long; purging it, holding it, and the receipts of purges."""


@retention.command()
@click.option("--days", type=click.IntRange(min=0), default=0, show_default=True, help="Look so many days ahead.")
@config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each search, each on a line.")
@tells_errors
def preview(days: int, config: Path | None, as_json: bool) -> None:
    """Show what is due to be purged now, or in some days, and what a legal hold keeps. Changes nothing."""
    until = datetime.now(UTC) + timedelta(days=days)
    found = _with(config, lambda open_: open_.desk.overview.preview(open_.account, until))
    if as_json:
        for one in found.listed:
            click.echo(json.dumps(_row(one)))
        return
    for one in found.listed:
        row = _row(one)
        held = "  kept by a legal hold" if row["held"] else ""
        click.echo(f"{row['dueAt']}  {row['endedAs']}  probe {row['probeId']}  lead {row['leadId'] or '-'}{held}")
    click.echo(_summary(found, until))


@retention.command()
@config_option
@click.option("--yes", is_flag=True, help="Do not ask: somebody has looked at the preview.")
@tells_errors
def run(config: Path | None, yes: bool) -> None:
    """Purge what is due, now; the daemon does it every minute. An interrupted run goes on when it is started again.

    Unlike the daemon it does not wait after the clock has leapt ahead: look at the preview before. Exits with 1 when
    something that is due could not be purged.
    """
    until = datetime.now(UTC)
    if not yes:
        click.echo(_summary(_with(config, lambda open_: open_.desk.overview.preview(open_.account, until)), until))
        click.confirm("Nobody can bring it back. Purge it?", abort=True)
    with ProgressBar(Console(stderr=True)).shown() as bar:
        done = _with(config, lambda open_: open_.keeper.purge_due(open_.account, bar))
    click.echo(f"{done.purged} searches purged: keys, pictures, lists, names and words")
    if done.left:
        click.echo(f"{done.left} that are due could not be purged: the log says why", err=True)
        raise click.exceptions.Exit(EXIT_FAILED)


@retention.command()
@click.option("--case", "case_number", help="Everything of this case, and what is attached to it later.")
@click.option("--probe", "probe_id", help="One search and its lead, by the id of the still.")
@click.option("--lead", "lead_id", help="The same by the id of the lead.")
@click.option("--reason", required=True, help="Why, for the record: preservation letter, appeal...")
@config_option
@tells_errors
def hold(case_number: str | None, probe_id: str | None, lead_id: str | None, reason: str, config: Path | None) -> None:
    """Place a legal hold: nothing of it is purged until the hold is lifted."""
    order = HoldOrder(case_number=case_number, probe_id=probe_id, lead_id=lead_id)
    placed = _with(config, lambda open_: open_.desk.holds.place(open_.account, order, reason))
    click.echo(f"legal hold {placed.hold_id} stands since {placed.placed_at.isoformat()}")


@retention.command("release-hold", cls=TakesId)
@click.argument("hold_id")
@click.option("--reason", required=True, help="Why it is over, for the record.")
@config_option
@tells_errors
def release_hold(hold_id: str, reason: str, config: Path | None) -> None:
    """Lift a legal hold. What is due goes at the next purge."""
    lifted = _with(config, lambda open_: open_.desk.holds.lift(open_.account, hold_id, reason))
    click.echo(f"legal hold {lifted.hold_id} is lifted")


@retention.command()
@click.option("--lifted", is_flag=True, help="Those that were lifted, too.")
@config_option
@tells_errors
def holds(lifted: bool, config: Path | None) -> None:
    """List legal holds, the newest first."""
    found = _with(config, lambda open_: open_.desk.holds.every(open_.account, standing_only=not lifted))
    for one in found:
        about = f"probe {one.probe_id}" if one.case_number is None else f"case {one.case_number}"
        ended = "" if one.lifted_at is None else f", lifted {one.lifted_at:%Y-%m-%d} by {one.lifted_by}"
        click.echo(f"{one.hold_id}  {about}  since {one.placed_at:%Y-%m-%d} by {one.placed_by}{ended}: {one.reason}")
    click.echo(f"{len(found)} legal holds")


@retention.command()
@click.argument("case_number")
@click.argument("disposition", type=click.Choice([kind.value for kind in Disposition]))
@click.option("--on", "disposed_on", type=click.DateTime(["%Y-%m-%d"]), required=True, help="The day (YYYY-MM-DD).")
@config_option
@tells_errors
def dispose(case_number: str, disposition: str, disposed_on: datetime, config: Path | None) -> None:
    """Record how a case was disposed of. What was released of it is purged so long after that as the policy says."""
    day: date = disposed_on.date()
    _with(
        config,
        lambda open_: open_.desk.dispositions.record(open_.account, case_number, Disposition(disposition), day),
    )
    click.echo(f"recorded: {disposition}, {day.isoformat()}")


@retention.command(cls=TakesId)
@click.argument("probe_or_lead", required=False)
@config_option
@tells_errors
def receipts(probe_or_lead: str | None, config: Path | None) -> None:
    """List what was purged; for PROBE_OR_LEAD write the proof of its receipt, which `audit verify` checks anywhere."""
    if probe_or_lead is not None:
        proof = _with(config, lambda open_: open_.proof(probe_or_lead))
        click.echo(json.dumps(proof.as_json(), ensure_ascii=False, indent=2))
        return
    for one in _with(config, lambda open_: open_.desk.overview.receipts(open_.account)):
        gone = "bytes gone" if one.bytes_gone_at is not None else "bytes still to be deleted"
        click.echo(
            f"{one.purged_at:%Y-%m-%dT%H:%M:%SZ}  {one.outcome}  probe {one.probe_id}  lead {one.lead_id or '-'}  "
            f"{len(one.objects)} keys destroyed, {gone}  leaf {one.audit_leaf}"
        )


def _with(config: Path | None, act: Callable[[RetentionCommands], Awaitable[_Found]]) -> _Found:
    settings = load_settings(config)
    configure_logging(settings.log)

    async def run() -> _Found:
        async with open_retention(settings, OPERATOR) as opened:
            return await act(opened)

    return asyncio.run(run())


def _row(one: KeptSearch) -> dict[str, str | bool | None]:
    standing = one.standing
    return {
        "probeId": one.probe_id,
        "leadId": one.lead_id,
        "endedAs": standing.outcome,
        "endedAt": None if standing.ended_at is None else standing.ended_at.isoformat(),
        "dueAt": None if standing.due_at is None else standing.due_at.isoformat(),
        "held": standing.kept == "held",
    }


def _summary(found: Preview, until: datetime) -> str:
    more = "" if found.due <= len(found.listed) else f" ({len(found.listed)} are shown)"
    return f"{found.due} of {found.kept} searches are due until {until:%Y-%m-%d %H:%M} UTC{more}"
