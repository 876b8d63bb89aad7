"""A command is imported when it is asked for, and Python's collector rests meanwhile."""

import gc
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from rtcc_bridge import cli, commands

TELLS = """
import gc
import click
began = gc.isenabled()
@click.command()
def tells():
    click.echo(f"collected while it was imported: {began}, now: {gc.isenabled()}")
"""


@pytest.fixture(params=[True, False], ids=["collecting", "not collecting"])
def collects(request: pytest.FixtureRequest) -> Iterator[bool]:
    before = gc.isenabled()
    (gc.enable if request.param else gc.disable)()
    yield request.param
    (gc.enable if before else gc.disable)()


def test_the_collector_rests_while_a_command_is_imported_and_is_left_as_it_was(
    collects: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "told_here.py").write_text(TELLS)
    monkeypatch.setattr(commands, "__path__", [str(tmp_path)])
    monkeypatch.setattr(cli, "_COMMANDS", {"tells": ("told_here", "tells")})
    monkeypatch.delitem(sys.modules, "rtcc_bridge.commands.told_here", raising=False)
    done = CliRunner().invoke(cli.main, ["tells"])
    assert done.output == f"collected while it was imported: False, now: {collects}\n"


def test_what_cannot_be_imported_leaves_it_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "_COMMANDS", {"tells": ("nowhere", "tells")})
    assert isinstance(CliRunner().invoke(cli.main, ["tells"]).exception, ModuleNotFoundError)
    assert gc.isenabled()
