"""Which processors the program runs on, and what is said on the others."""

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from rtcc_bridge import processor
from rtcc_bridge.cli import main
from rtcc_bridge.commands.console import EXIT_CONFIGURATION

ROOT = Path(__file__).resolve().parents[2]
QEMU_DEFAULT = (
    "fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat clflush mmx fxsr sse sse2 syscall nx lm pni"
)
NEHALEM = f"{QEMU_DEFAULT} cx16 ssse3 sse4_1 sse4_2 popcnt"
HASWELL = f"{NEHALEM} avx avx2 fma bmi1 bmi2"


@pytest.fixture
def cpuinfo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that the program asks; there is none yet."""
    monkeypatch.setattr(processor, "CPUINFO", tmp_path / "cpuinfo")
    return tmp_path / "cpuinfo"


def describe(cpuinfo: Path, flags: str) -> None:
    """As Linux does: one paragraph for each core."""
    core = f"processor\t: 0\nmodel name\t: Some\nvmx flags\t: avx2\nflags\t\t: {flags}\nbugs\t\t: none\n\n"
    cpuinfo.write_text(core * 2)


def test_a_virtual_machine_with_the_default_processor_is_refused(cpuinfo: Path) -> None:
    describe(cpuinfo, QEMU_DEFAULT)
    problem = processor.problem()
    assert problem is not None
    assert "no cx16, popcnt, ssse3, sse4_1, sse4_2" in problem.cause


def test_without_avx2_it_runs_and_says_that_it_is_slow(cpuinfo: Path) -> None:
    describe(cpuinfo, NEHALEM)
    assert processor.problem() is None
    assert "no avx2, fma" in (processor.remark() or "")


def test_with_avx2_there_is_nothing_to_say(cpuinfo: Path) -> None:
    describe(cpuinfo, HASWELL)
    assert processor.problem() is None
    assert processor.remark() is None


@pytest.mark.parametrize("content", [None, "", "processor\t: 0\nFeatures\t: fp asimd evtstrm aes\n"])
def test_where_nothing_is_told_nothing_is_refused(cpuinfo: Path, content: str | None) -> None:
    if content is not None:
        cpuinfo.write_text(content)
    assert processor.problem() is None
    assert processor.remark() is None


@pytest.mark.parametrize("command", ["serve", "check-config", "gallery"])
def test_the_refusal_is_a_sentence_and_not_the_trace_of_a_library(command: str, cpuinfo: Path) -> None:
    describe(cpuinfo, QEMU_DEFAULT)
    refused = CliRunner().invoke(main, [command])
    assert refused.exit_code == EXIT_CONFIGURATION
    assert refused.output.startswith("Error: processor: it has no cx16, popcnt")
    assert "Use a newer machine" in refused.output
    assert len(refused.output.splitlines()) == 1


def test_check_config_tells_of_a_slow_processor(cpuinfo: Path, tmp_path: Path) -> None:
    describe(cpuinfo, NEHALEM)
    settings = {
        "database": {"url": f"sqlite+aiosqlite:///{tmp_path}/test.sqlite3"},
        "objects": {"url": tmp_path.as_uri(), "master_key_file": str(tmp_path / "master.key")},
        "matching": {"packs_directory": str(tmp_path)},
        "policy": {"file": str(ROOT / "config/policy.yaml")},
    }
    file = tmp_path / "settings.yaml"
    file.write_text(yaml.safe_dump(settings))
    told = CliRunner().invoke(main, ["check-config", "--config", str(file)])
    assert told.exit_code == 0, told.output
    assert "processor: it has no avx2, fma" in told.output
