"""`rtcc-bridge audit`."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import click
from rich.console import Console

from rtcc_bridge.app.audit import open_audit_export, open_log_state, open_proofs
from rtcc_bridge.audit.note import SignedCheckpoint, VerifierKey
from rtcc_bridge.audit.proofs import LogState, ProofReader
from rtcc_bridge.audit.receipts import Receipt, read_receipt
from rtcc_bridge.audit.verify import verify_export
from rtcc_bridge.commands.console import ProgressBar, tells_errors
from rtcc_bridge.commands.options import ACTOR, TakesId, config_option
from rtcc_bridge.errors import InvalidInputError
from rtcc_bridge.settings import Settings, load_settings
from rtcc_bridge.telemetry.logging import configure_logging

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def audit() -> None:
    """The audit log: who did what under which authority, in a tree that nobody changes unseen."""


@audit.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@tells_errors
def head(config: Path | None, as_json: bool) -> None:
    """Show the newest checkpoint, the log's public key, and who outside has acknowledged how much.

    Keep the checkpoint and the key somewhere else: with them anybody finds later whether the log was rewritten.
    """
    settings = load_settings(config)

    async def run() -> LogState:
        async with open_log_state(settings) as state:
            return state

    state = asyncio.run(run())
    if as_json:
        click.echo(json.dumps(state.as_json(), ensure_ascii=False))
        return
    click.echo(state.checkpoint.note)
    click.echo(f"public key: {state.public_key}")
    click.echo(f"{state.entries} entries have their place, {state.checkpoint.checkpoint.size} of them are signed")
    for place, size in state.acknowledged.items():
        click.echo(f"the {place} has the checkpoint over {size} entries")


@audit.command()
@click.argument("folder", type=click.Path(path_type=Path))
@config_option
@tells_errors
def export(folder: Path, config: Path | None) -> None:
    """Write the log up to its newest checkpoint into FOLDER, for an auditor to verify offline."""
    settings = load_settings(config)
    configure_logging(settings.log)

    async def run() -> None:
        async with open_audit_export(settings) as exporting:
            with ProgressBar(Console(stderr=True)).shown() as bar:
                report = await exporting.run(folder, ACTOR, bar)
        click.echo(f"{report.size} entries of {report.origin} are in {report.folder}")
        click.echo(f"public key: {report.public_key}")

    asyncio.run(run())


@audit.command()
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("--key", required=True, help="The log's public key (name+id+key), or a file that holds it.")
@click.option("--checkpoint", "outside", multiple=True, type=_FILE, help="A checkpoint that was kept elsewhere.")
@tells_errors
def verify(path: Path, key: str, outside: tuple[Path, ...]) -> None:
    """Verify an export or a receipt. Needs no settings, no network and no server.

    PATH is a folder of `audit export`, or a file of `audit receipt` or `audit prove`. Give every checkpoint that you
    kept: without one a log that was cut off at an earlier checkpoint looks whole. Exits with 0 when all is as it was
    signed, with 6 when it is not, and says which entry is the first bad one; with 4 when PATH is no export or receipt.
    """
    verifier = VerifierKey.read(_text_of(key))
    held = [SignedCheckpoint.read(file.read_text(encoding="utf-8")) for file in outside]
    if path.is_file():
        if held:
            raise InvalidInputError("a receipt holds the checkpoints that it is about: leave --checkpoint out")
        click.echo(read_receipt(path.read_text(encoding="utf-8")).verify(verifier))
        return
    found = verify_export(path, verifier, held)
    click.echo(f"all {found.size} entries of {found.origin} are as they were signed ({found.checkpoints} checkpoints)")
    if found.of_other_keys:
        click.echo(f"{found.of_other_keys} earlier checkpoints are signed by keys that this one does not vouch for")
    for size in found.outside:
        click.echo(f"the checkpoint from outside over {size} entries is one of this history")
    if not found.outside:
        click.echo("without a checkpoint that you kept, nothing shows whether later entries were cut off")
    if found.key != verifier:
        click.echo(f"the log is signed now by a key that yours vouches for: {found.key}")


@audit.command()
@click.argument("leaf", required=False)
@click.option("--since", type=_FILE, help="Prove instead that the log continues this earlier checkpoint.")
@config_option
@tells_errors
def prove(leaf: str | None, since: Path | None, config: Path | None) -> None:
    """Write the proof that the entry with the hash LEAF (`auditLeaf` of an event) is in the log."""
    if (leaf is None) == (since is None):
        raise click.UsageError("give the hash of a leaf, or --since with a checkpoint")
    settings = load_settings(config)
    if since is not None:
        older = SignedCheckpoint.read(since.read_text(encoding="utf-8"))
        _print(settings, lambda proofs: proofs.since(older))
    elif leaf is not None:
        _print(settings, lambda proofs: proofs.of_leaf(leaf.lower()))


@audit.command(cls=TakesId)
@click.argument("lead")
@config_option
@tells_errors
def receipt(lead: str, config: Path | None) -> None:
    """Write the proof that each step of LEAD is in the log. `audit verify` checks it anywhere."""
    _print(load_settings(config), lambda proofs: proofs.of_subject(lead))


def _print(settings: Settings, prove: Callable[[ProofReader], Awaitable[Receipt]]) -> None:
    async def run() -> Receipt:
        async with open_proofs(settings) as proofs:
            return await prove(proofs)

    click.echo(json.dumps(asyncio.run(run()).as_json(), ensure_ascii=False, indent=2))


def _text_of(key: str) -> str:
    """A key holds no path separator that a file of that name would be found by, as a rule; a file wins."""
    file = Path(key)
    return file.read_text(encoding="utf-8") if len(key) < 256 and file.is_file() else key
