"""Options that several commands take."""

from pathlib import Path
from typing import Final

import click

from rtcc_bridge.policy.accounts import Account, Role
from rtcc_bridge.settings import CONFIG_VARIABLE

ACTOR: Final = "administrator"
"""Whoever may read the settings and their secrets acts as the administrator: who that was is told by the machine."""

OPERATOR: Final = Account(ACTOR, frozenset({Role.ADMINISTRATOR}))

config_option = click.option(
    "--config",
    "config",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar=CONFIG_VARIABLE,
    help="Settings file (YAML). Defaults apply to what it leaves out.",
)
