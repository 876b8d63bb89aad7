"""Options that several commands take."""

import re
from itertools import islice
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
        """As click does. What follows an option is that option's, also an id."""
        options = {name: one for one in self.params if isinstance(one, click.Option) for name in one.opts}
        kept, ids, left = list[str](), list[str](), iter(args)
        for word in left:
            if word == "--":
                return super().parse_args(ctx, [*kept, "--", *ids, *left])
            if word in options:
                kept += [word, *islice(left, 0 if options[word].is_flag else 1)]
            elif _HYPHENED_ID.fullmatch(word):
                ids.append(word)
            else:
                kept.append(word)
        return super().parse_args(ctx, [*kept, "--", *ids])
