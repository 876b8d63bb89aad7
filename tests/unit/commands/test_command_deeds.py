"""P10: every command stands in the table of permissions, and one that the operator may not run does nothing."""

import re
from collections.abc import Iterator
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
from rtcc_bridge.policy.permissions import PERMITTED, Deed

QUOTED = re.compile(r"`([a-z -]+)`")
ENTRY = re.compile(r"`([a-z]+\.[a-z_]+)`")


def commands(group: click.Group, context: click.Context, *words: str) -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, context, *words, name)
        else:
            yield " ".join((*words, name))


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


def test_every_command_stands_in_the_table_and_nothing_else_does() -> None:
    assert set(commands(main, click.Context(main))) == set(COMMAND_DEEDS)


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


def test_every_deed_is_asked_for_somewhere() -> None:
    """A deed that no address, no command and no call takes would be a promise that nobody keeps."""
    sources = "".join(
        file.read_text(encoding="utf-8")
        for file in Path(permissions.__file__).parents[1].rglob("*.py")
        if file != Path(permissions.__file__)
    )
    assert [deed.name for deed in Deed if f"Deed.{deed.name}" not in sources] == []


PAGE = Path(__file__).resolve().parents[3] / "docs/for-auditors.md"


def told_rows() -> list[tuple[list[str], str]]:
    """The commands of each row of the page's table, and what it says of the log."""
    section = PAGE.read_text(encoding="utf-8").split("\n## By command\n")[1].split("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| `")]
    return [(QUOTED.findall(commands), told) for commands, told in rows]


def test_the_page_for_auditors_says_of_every_command_what_it_leaves_in_the_log() -> None:
    named = [name for commands, _ in told_rows() for name in commands]
    assert sorted(named) == sorted(COMMAND_DEEDS)
    sources = "".join(file.read_text(encoding="utf-8") for file in Path(permissions.__file__).parents[1].rglob("*.py"))
    for commands, told in told_rows():
        actions = [] if told.strip().startswith("nothing: ") else ENTRY.findall(told)
        assert bool(actions) or told.strip().startswith("nothing"), commands
        assert [action for action in actions if f'"{action}"' not in sources] == []
