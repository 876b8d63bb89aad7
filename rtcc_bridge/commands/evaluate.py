"""`rtcc-bridge evaluate`."""

import json
import os
from pathlib import Path

import click
from rich.console import Console

from rtcc_bridge.clock import SystemClock
from rtcc_bridge.commands.console import ProgressBar, tells_errors
from rtcc_bridge.commands.options import config_option
from rtcc_bridge.errors import InvalidInputError
from rtcc_bridge.matching.evaluation_split import ENROLLED_SHARE
from rtcc_bridge.modelpacks.installed import open_pack
from rtcc_bridge.qualification.evaluation_page import page
from rtcc_bridge.qualification.evaluation_run import Plan, as_document, run_evaluation
from rtcc_bridge.qualification.evaluation_text import text_lines
from rtcc_bridge.qualification.labelled_folder import labelled_files, read_groups
from rtcc_bridge.qualification.pack_files import put_into_pack, require_own_pack
from rtcc_bridge.qualification.templates import make_templates, write_set_aside
from rtcc_bridge.settings import load_settings

_FILE = click.Path(dir_okay=False, path_type=Path)


def _writable(_context: click.Context, _option: click.Parameter, path: Path | None) -> Path | None:
    """Refuses a place where nothing can be written, before minutes of work."""
    if path is not None and not (os.access(path, os.W_OK) if path.exists() else os.access(path.parent, os.W_OK)):
        raise click.BadParameter(f"{path} cannot be written")
    return path


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@config_option
@click.option("--pack", "pack_name", help="The model pack; the configured one (matching.pack) by default.")
@click.option("--groups", type=_FILE, help="CSV with a column `person` and one or more columns with a group.")
@click.option(
    "--photos", type=click.IntRange(1), default=1, show_default=True, help="Pictures of each person to enrol."
)
@click.option(
    "--enrolled-share",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=round(ENROLLED_SHARE, 4),
    show_default=True,
    help="Share of the people to enrol; the others are searched for in vain.",
)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Decides who is enrolled.")
@click.option("--source", help="Where the pictures come from, for the record; the folder's name by default.")
@click.option("--html", type=_FILE, callback=_writable, help="Write the report there, with plots.")
@click.option("--report", type=_FILE, callback=_writable, help="CSV list of the pictures that gave no template.")
@click.option("--record", is_flag=True, help="Keep the evaluation in the pack, for `models sign`.")
@click.option("--json", "as_json", is_flag=True, help="The last line is one JSON object.")
@tells_errors
def evaluate(
    folder: Path,
    config: Path | None,
    pack_name: str | None,
    groups: Path | None,
    photos: int,
    enrolled_share: float,
    seed: int,
    source: str | None,
    html: Path | None,
    report: Path | None,
    record: bool,
    as_json: bool,
) -> None:
    """Measure how well a model pack finds people, on the pictures in FOLDER: one folder a person.

    Some of the people are enrolled, with a picture each; their other pictures are searched for, and so are all pictures
    of the people who are not enrolled. Figures that the sample is too small for are "not measurable". Nothing of the
    pictures is kept.
    """
    settings = load_settings(config)
    matching = settings.matching if pack_name is None else settings.matching.model_copy(update={"pack": pack_name})
    files = labelled_files(folder)
    by_group = read_groups(groups, {file.person for file in files}) if groups else {}
    with ProgressBar(Console(stderr=True)).shown() as bar:
        pack = open_pack(matching, bar)
        if record:
            require_own_pack(pack)
        made = make_templates(
            pack, matching, settings.intake, files, lambda done, total: bar("making templates", done, total)
        )
    if report:
        write_set_aside(report, made.set_aside)
    plan = Plan(source or folder.resolve().name, SystemClock().now().date(), seed, enrolled_share, photos)
    try:
        run = run_evaluation(pack, made, plan, by_group)
    except ValueError as error:
        raise InvalidInputError(f"{folder} cannot be evaluated on: {error}") from error
    document = json.dumps(as_document(run), ensure_ascii=False)
    for line in text_lines(run):
        click.echo(line)
    if html:
        html.write_text(page(run), encoding="utf-8")
        click.echo(f"report: {html}")
    if record:
        recorded = put_into_pack(pack, "evaluation", lambda path: _write(path, document))
        click.echo(f"kept in {recorded.folder}, pack hash {recorded.pack_hash}: sign it with `rtcc-bridge models sign`")
    if as_json:
        click.echo(document)


def _write(path: Path, document: str) -> None:
    path.write_text(document + "\n", encoding="utf-8")
