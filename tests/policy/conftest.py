"""Gives these tests the probe desk, and the desks of a lead's life; and a run of them alone its line for each rule."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rtcc_bridge.metrics import Metrics
from rtcc_bridge.storage.engine import Database
from tests.command_kit import Command, commands_on
from tests.doubles import ManualClock
from tests.gallery_kit import GalleryKit, open_kit
from tests.life_kit import LifeKit, build_life
from tests.policy.summary import lines, tally
from tests.probe_kit import ProbeKit, kit, training_kit
from tests.rules_page import read_rows

__all__ = ["kit", "training_kit"]


@pytest.fixture
def life(kit: ProbeKit) -> LifeKit:
    return build_life(kit)


@pytest.fixture
async def command(
    kit: ProbeKit, database_url: str, tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> Command:
    """What an insider with the machine's settings types, on what the kits hold."""
    assert kit.objects.parent == tmp_path
    return commands_on(tmp_path, database_url, clock, monkeypatch)


@pytest.fixture
async def galleries(
    database: Database, tmp_path: Path, clock: ManualClock, metrics: Metrics
) -> AsyncIterator[GalleryKit]:
    """The parts of galleries, which begin empty."""
    async with open_kit(database, tmp_path / "objects", clock, metrics) as opened:
        yield opened


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Nothing where other tests ran as well: there the lines would be in the way."""
    nodes = {
        outcome: [report.nodeid for report in reports if isinstance(report, pytest.TestReport)]
        for outcome, reports in terminalreporter.stats.items()
    }
    ran = [node for some in nodes.values() for node in some]
    if not ran or not all(node.startswith("tests/policy/") for node in ran):
        return
    terminalreporter.section("the policy's rules (docs/policy.md)")
    for line, failed in lines(read_rows(), tally(nodes), terminalreporter.config.get_terminal_writer().fullwidth):
        terminalreporter.write_line(line, red=failed)
