"""Every command stands in the table of permissions, and on the page for auditors; `tests/policy` tries to run them."""

import re
from collections.abc import Iterator
from pathlib import Path

import click

from rtcc_bridge.cli import main
from rtcc_bridge.commands.command_deeds import COMMAND_DEEDS
from rtcc_bridge.policy import permissions
from rtcc_bridge.policy.permissions import Deed

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


def test_every_command_stands_in_the_table_and_nothing_else_does() -> None:
    assert set(commands(main, click.Context(main))) == set(COMMAND_DEEDS)


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
