"""Options that several commands take."""

from pathlib import Path
from typing import Final

import click

from rtcc_bridge.settings import CONFIG_VARIABLE

ACTOR: Final = "administrator"
"""The demo account that the command line acts for until people are known."""

config_option = click.option(
    "--config",
    "config",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar=CONFIG_VARIABLE,
    help="Settings file (YAML). Defaults apply to what it leaves out.",
)
