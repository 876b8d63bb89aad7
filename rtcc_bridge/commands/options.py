"""Options that several commands take."""

import re
from collections.abc import Iterator
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

_HYPHENED_ID: Final = re.compile(r"-[A-Za-z0-9_-]{21}")
"""One id of the program in sixty-four begins so: they are random."""


class TakesId(click.Command):
    """A command of which an argument is an id of the program, also one that looks like an option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ids = list(self._ids(args))
        return super().parse_args(ctx, [*(one for one in args if one not in ids), *(["--", *ids] if ids else [])])

    def _ids(self, args: list[str]) -> Iterator[str]:
        options = {option for parameter in self.params for option in parameter.opts}
        return (one for one in args if _HYPHENED_ID.fullmatch(one) and one not in options)
