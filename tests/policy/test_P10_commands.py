"""P10: a command that the operator may not run, or that stands in no table, does nothing."""

from pathlib import Path
from types import MappingProxyType
from typing import Any

import click
import pytest
from click.testing import CliRunner

from rtcc_bridge.cli import main
from rtcc_bridge.commands import command_deeds
from rtcc_bridge.commands.command_deeds import COMMAND_DEEDS
from rtcc_bridge.commands.console import EXIT_REJECTED
from rtcc_bridge.policy import permissions
from rtcc_bridge.policy.accounts import Role
from rtcc_bridge.policy.permissions import PERMITTED


def arguments(name: str, folder: Path) -> list[str]:
    """The words of the command with something for whatever it cannot do without."""
    command: click.Command = main
    context = click.Context(main)
    for word in name.split():
        assert isinstance(command, click.Group)
        found = command.get_command(context, word)
        assert found is not None
        command = found
    given = name.split()
    for parameter in command.params:
        if parameter.required:
            values = [str(_value(kind, folder)) for kind in _kinds(parameter)]
            given += values if isinstance(parameter, click.Argument) else [parameter.opts[0], *values]
    return given


def _kinds(parameter: click.Parameter) -> list[click.ParamType[Any]]:
    return list(parameter.type.types) if isinstance(parameter.type, click.Tuple) else [parameter.type]


def _value(kind: click.ParamType[Any], folder: Path) -> object:
    match kind:
        case click.Path():
            return folder if kind.dir_okay else folder / "file"
        case click.Choice():
            return kind.choices[0]
        case click.DateTime():
            return "2026-11-01"
        case _:
            return "0:1" if kind.name == "PARTITION:OFFSET" else 1


@pytest.mark.parametrize("name", sorted(COMMAND_DEEDS))
def test_a_command_that_the_operator_may_not_run_is_refused(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The table takes the deed from administrators; settings are not even read then."""
    deed = COMMAND_DEEDS[name]
    narrowed = {**PERMITTED, deed: PERMITTED[deed] - {Role.ADMINISTRATOR}}
    monkeypatch.setattr(permissions, "PERMITTED", MappingProxyType(narrowed))
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(main, arguments(name, tmp_path))
    assert (result.exit_code, f"may {deed}" in result.output) == (EXIT_REJECTED, True), result.output


def test_a_command_that_stands_in_no_table_is_refused_to_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {name: deed for name, deed in COMMAND_DEEDS.items() if name != "topics acls"}
    monkeypatch.setattr(command_deeds, "COMMAND_DEEDS", known)
    result = CliRunner().invoke(main, ["topics", "acls"])
    assert result.exit_code == EXIT_REJECTED
    assert "stands in no table" in result.output
