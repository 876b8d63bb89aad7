"""The command line. Each command's work is in `rtcc_bridge.commands`, one file per noun."""

import gc
import getpass
import os
from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType, ModuleType
from typing import ClassVar, Final

import click

from rtcc_bridge import __version__, processor
from rtcc_bridge.audit.arrival import Way, came_by
from rtcc_bridge.commands.console import EXIT_CODES, EXIT_CONFIGURATION
from rtcc_bridge.telemetry.quiet import quiet_libraries

_COMMANDS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "serve": ("serve", "serve"),
        "demo": ("demo", "demo"),
        "check-config": ("configuration", "check_config"),
        "topics": ("topics", "topics"),
        "policy": ("policy", "policy"),
        "models": ("models", "models"),
        "gallery": ("gallery", "gallery"),
        "evaluate": ("evaluate", "evaluate"),
        "simulate": ("simulate", "simulate"),
        "dead-letters": ("dead_letters", "dead_letters"),
        "db": ("configuration", "db"),
        "backup": ("backup", "backup"),
        "restore": ("backup", "restore"),
        "keys": ("keys", "keys"),
        "audit": ("audit", "audit"),
        "users": ("users", "users"),
        "tokens": ("tokens", "tokens"),
        "retention": ("retention", "retention"),
        "report": ("report", "report"),
    }
)
"""The module below `rtcc_bridge.commands` and the name in it."""


class _UnfitError(click.ClickException):
    """This machine cannot run any command."""

    exit_code: ClassVar[int] = EXIT_CONFIGURATION


class _OnDemand(click.Group):
    """Imports a command when it is asked for: listing topics should not wait for the inference runtime to load."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the signature is the library's
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        if cmd_name not in _COMMANDS:
            return None
        if (problem := processor.problem()) is not None:  # before a library ends the import with a trace
            raise _UnfitError(str(problem))
        module, name = _COMMANDS[cmd_name]
        command: click.Command = getattr(_imported(f"rtcc_bridge.commands.{module}"), name)
        return command


def _imported(name: str) -> ModuleType:
    """What an import makes stays: Python's collector would go through all of it again and again, which is a seventh of
    the processor time until a command begins."""
    collects = gc.isenabled()
    gc.disable()
    try:
        return import_module(name)
    finally:
        if collects:
            gc.enable()


@click.group(
    cls=_OnDemand,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EXIT_CODES,
)
@click.version_option(__version__, prog_name="rtcc-bridge")
def main() -> None:
    """Investigative face leads for a Real-Time Crime Center. A lead is never an identification."""
    quiet_libraries()
    came_by(Way.COMMAND, _user())


def _user() -> str:
    """The account of this machine; its number where it has no name, as in a container."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
