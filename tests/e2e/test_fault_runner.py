"""The runner of the faults says what it has done, what it left out and what broke off, and its exit code says the same.

No fault is done here: doubles stand for the deployment and its load.
"""

import ast
import asyncio
import inspect
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace, TracebackType
from typing import Any, Protocol, Self

import pytest

from tests.e2e.faults import __main__ as runner
from tests.e2e.faults import cases, ledger, oracle, readers
from tests.e2e.faults import stage as stages
from tests.e2e.faults.ledger import Ledger
from tests.e2e.faults.oracle import Fault, Finding
from tests.e2e.faults.problems import Problems
from tests.e2e.faults.stage import Stage
from tests.e2e.faults.table import Row
from tests.tools import ALL_VARIABLE

WELL = Row("kills", count=3, recovery_seconds=1.25, remark="with care")
ILL = Row("leader", count=1, lost=1, problems=("lost: an event",))
NO_ROOT = "it takes root"
NO_WIRE = "there is no wire"
NO_DISK = "there is no disk"


@dataclass
class Run:
    """In the place of a run: it adds its rows, and breaks off then if there is an error. names: what it was to do."""

    rows: Sequence[Row] = (WELL,)
    error: Exception | None = None
    names: list[str] = field(default_factory=list)

    async def __call__(
        self, names: Sequence[str], _site: object, _options: object, _console: object, rows: Any
    ) -> None:
        self.names += names
        rows += self.rows
        if self.error is not None:
            raise self.error


class Faults(Protocol):
    def __call__(self, *arguments: str, run: Run | None = None) -> int: ...


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where the table is written to."""
    return tmp_path / "out"


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, out: Path) -> Faults:
    """`python -m tests.e2e.faults` on a machine where everything can be done; returns the exit code."""
    monkeypatch.setattr(runner, "fetch", lambda: None)
    monkeypatch.setattr(runner, "find_programs", lambda: None)
    monkeypatch.setattr(runner, "missing_for", lambda _name, _folder: None)
    (tmp_path / "logs").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "logs"))

    def do(*arguments: str, run: Run | None = None) -> int:
        monkeypatch.setattr(sys, "argv", ["faults", *arguments, "--out", str(out)])
        if run is not None:
            monkeypatch.setattr(runner, "run", run)
        return runner.main()

    return do


def test_all_well_is_passed(faults: Faults, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert faults("--only", "kills", run=Run()) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[-1] == "faults: passed"
    line = "| kills | 3 | 0 | 0 | 0 | 1.2 | with care |"
    assert line in said.splitlines()
    assert (out / "faults.md").read_text().splitlines()[2:] == [line]
    assert [Row(**{**row, "problems": ()}) for row in json.loads((out / "faults.json").read_text())] == [WELL]


def test_a_problem_of_one_fault_fails_the_run(faults: Faults, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert faults("--only", "kills", "--only", "leader", run=Run([WELL, ILL])) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "faults: FAILED"
    written = json.loads((out / "faults.json").read_text())
    assert [row["problems"] for row in written] == [[], ["lost: an event"]]


def test_a_run_that_breaks_off_fails_and_keeps_what_it_had(
    faults: Faults, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert faults("--only", "kills", "--only", "leader", run=Run(error=RuntimeError("the network is gone"))) == 1
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "the run broke off: RuntimeError('the network is gone')",
        "faults: FAILED",
    ]
    assert [row["fault"] for row in json.loads((out / "faults.json").read_text())] == ["kills"]


def test_what_cannot_be_done_here_is_left_out_and_named(
    faults: Faults, out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(ALL_VARIABLE, raising=False)
    monkeypatch.setattr(runner, "missing_for", lambda name, _folder: NO_WIRE if name == "slow-network" else None)
    run = Run()
    assert faults("--only", "slow-network", "--only", "kills", run=run) == 0
    assert run.names == ["kills"]
    line = f"| slow-network | 0 | 0 | 0 | 0 |  | left out: {NO_WIRE} |"
    assert line in capsys.readouterr().out.splitlines()
    assert (out / "faults.md").read_text().splitlines()[-1] == line


def test_where_everything_has_to_be_done_what_is_left_out_fails_the_run(
    faults: Faults, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(ALL_VARIABLE, "1")
    monkeypatch.setattr(runner, "missing_for", lambda name, _folder: NO_WIRE if name == "slow-network" else None)
    assert faults("--only", "slow-network", "--only", "kills", run=Run()) == 1
    assert capsys.readouterr().out.splitlines()[-2:] == [
        f"left out, though {ALL_VARIABLE} is set: slow-network",
        "faults: FAILED",
    ]
    assert faults("--only", "kills", run=Run()) == 0


def test_the_long_run_is_as_long_as_was_promised() -> None:
    assert (
        cases.Extent(
            kill_rounds=3,
            most_passes=3,
            kills=100,
            events=5000,
            probes=300,
            away_seconds=20,
            quorum_seconds=30,
            cut_seconds=15,
            frozen_seconds=40,
            frozen_at_once=False,
        )
        == cases.LONG
    )
    assert cases.JUMP_SECONDS == 10 * 60
    assert (cases.DELAY_SECONDS, cases.LOSS) == (0.2, 0.05)
    assert stages.RECOVERY_SECONDS == 30
    assert set(cases.IN_SHORT) < set(cases.CASES)


@pytest.mark.parametrize("module", [ledger, oracle, readers], ids=lambda module: str(module.__name__))
def test_the_judge_shares_no_code_with_the_daemon(module: ModuleType) -> None:
    """Nor with the Kafka client that the daemon uses."""
    tree = ast.parse(inspect.getsource(module))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported
    assert not [name for name in imported if name.split(".")[0] in {"rtcc_bridge", "aiokafka", "sqlalchemy"}]
    assert {name for name in imported if name.split(".")[0] == "tests"} <= {"tests.e2e.faults.ledger"}


def test_with_nothing_left_to_do_it_says_why(
    faults: Faults, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runner, "missing_for", lambda name, _folder: {"slow-network": NO_WIRE}.get(name, NO_DISK))
    run = Run()
    assert faults("--only", "slow-network", "--only", "broker-full", run=run) == 2
    assert capsys.readouterr().out == f"faults: nothing can be done here: {NO_WIRE}; {NO_DISK}\n"
    assert run.names == []


def test_without_java_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["faults"])
    assert runner.main() == 2
    said = capsys.readouterr().out
    assert said.startswith("faults: cannot be run here: no Java here: install a JDK 17")


@pytest.mark.parametrize(
    ("lacking", "expected"),
    [
        ({}, {}),
        ({"why_no_hosts": NO_ROOT}, {"partitions": NO_ROOT, "slow-network": NO_ROOT}),
        ({"why_no_wire": NO_WIRE}, {"slow-network": NO_WIRE}),
        (
            {"why_no_small_disks": NO_DISK},
            {"objects-full": NO_DISK, "database-full": NO_DISK, "broker-full": NO_DISK},
        ),
    ],
    ids=["nothing", "hosts", "wire", "disks"],
)
def test_a_fault_is_left_out_for_what_it_needs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lacking: dict[str, str], expected: dict[str, str]
) -> None:
    for reason in ("why_no_hosts", "why_no_wire", "why_no_small_disks"):
        monkeypatch.setattr(runner, reason, _answering(lacking.get(reason)))
    found = {name: runner.missing_for(name, tmp_path) for name in cases.CASES}
    assert {name: why for name, why in found.items() if why is not None} == expected


def _answering(why: str | None) -> Callable[..., str | None]:
    return lambda *_folder: why


class StageOfRows:
    """In the place of the stage. What a case does on it is to add a row."""

    def __init__(self, *_parts: object, rows: list[Row]) -> None:
        self.rows = rows
        self.ledger = Ledger()
        self.heard: list[object] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    async def warm_up(self) -> None:
        return None


def _plant(error: Exception | None = None) -> Callable[..., Any]:
    """In the place of the deployment: one that runs, or one that does not start."""

    @asynccontextmanager
    async def running(*_arguments: object, **_options: object) -> AsyncIterator[object]:
        if error is not None:
            raise error
        yield object()

    return running


def _case(row: Row) -> Callable[..., Any]:
    async def case(stage: StageOfRows, extent: cases.Extent) -> None:
        assert extent is cases.SHORT
        stage.rows.append(row)

    return case


@pytest.mark.parametrize(("row", "logs"), [(WELL, 0), (ILL, 1)], ids=["well", "ill"])
def test_the_logs_stay_when_something_was_not_as_promised(
    faults: Faults, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, row: Row, logs: int
) -> None:
    monkeypatch.setattr(runner, "running_plant", _plant())
    monkeypatch.setattr(runner, "Stage", StageOfRows)
    monkeypatch.setattr(cases, "CASES", {row.fault: _case(row)})
    assert faults("--short", "--only", row.fault) == logs
    assert len(list((tmp_path / "logs").iterdir())) == logs


def test_a_deployment_that_does_not_start_fails_the_run(
    faults: Faults, out: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runner, "running_plant", _plant(RuntimeError("Kafka node 2 has ended")))
    assert faults("--only", "kills") == 1
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "the run broke off: RuntimeError('Kafka node 2 has ended')",
        "faults: FAILED",
    ]
    assert json.loads((out / "faults.json").read_text()) == []
    assert len(list((tmp_path / "logs").iterdir())) == 1


@dataclass
class Load:
    """In the place of each part of the load and of whoever reads: it runs until it is told to stop, or breaks off."""

    error: Exception | None = None
    place: int = 0
    running: int = 0

    async def run(self, *_pace: object, until: asyncio.Event | None = None) -> None:
        if self.error is not None:
            raise self.error
        self.running += 1
        try:
            await (until or asyncio.Event()).wait()
        finally:
            self.running -= 1

    def choose(self) -> None:
        return None

    async def acknowledged(self, _seconds: float) -> None:
        return None

    async def finished(self, _seconds: float) -> None:
        return None

    async def number(self, _query: str) -> int:
        return 0

    def lag(self) -> int:
        return 0


@dataclass
class DyingReplica:
    """A process that ends by itself, once."""

    name: str = "web-2"
    returncode: int = 70
    log: str = "web-2.log"
    is_running: bool = False

    async def start(self) -> None:
        self.is_running = True


@dataclass
class Scene:
    """A stage with doubles around it. findings: what the judge sees from then on; told: the rows that were reported."""

    load: Load = field(default_factory=Load)
    replicas: dict[str, DyingReplica] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    told: list[Row] = field(default_factory=list)

    @property
    def stage(self) -> Stage:
        kafka = SimpleNamespace(bootstrap="")
        plant: Any = SimpleNamespace(kafka=kafka, servers=[], addresses=[], objects=None, replicas=self.replicas)
        http: Any = None
        return Stage(plant, http, 1, 1.0, 1.0, self.told.append)

    async def evidence(self, *_readers: object) -> None:
        return None


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    made = Scene()
    for part in ("BrokerReader", "DatabaseReader", "EventLoad", "ProbeLoad", "OwnIncidents", "FeedFollower"):
        monkeypatch.setattr(stages, part, lambda *_arguments: made.load)
    monkeypatch.setattr(stages, "gather_evidence", made.evidence)
    monkeypatch.setattr(stages, "judge", lambda _ledger, _evidence: list(made.findings))
    monkeypatch.setattr(stages, "_AFTERWARDS_SECONDS", 0.0)
    return made


async def _once() -> int:
    return 1


async def test_a_fault_that_cannot_be_done_to_its_end_is_a_row_with_that_problem(scene: Scene) -> None:
    async def deed() -> int:
        await asyncio.sleep(0)
        assert scene.load.running == 4  # the load and the client of the feed
        raise OSError("no room for the filler")

    async with scene.stage as stage:
        row = await stage.under("broker-full", deed)
        assert (row.count, row.problems) == (0, ("it could not be done to its end: OSError('no room for the filler')",))
        assert stage.rows == scene.told == [row]
        assert scene.load.running == 1  # the feed is followed still
        assert (await stage.under("leader", _once, remark=lambda: "twice")).problems == ()
        assert [(row.fault, row.count, row.remark) for row in scene.told][1:] == [("leader", 1, "twice")]


async def test_a_load_that_breaks_off_and_a_feed_that_nobody_follows_are_problems(scene: Scene) -> None:
    scene.load.error = ValueError("no such incident")
    async with scene.stage as stage:
        row = await stage.under("leader", _once)
    assert row.problems == (
        *["the load broke off: ValueError('no such incident')"] * 3,
        "nobody follows the feed any more: ValueError('no such incident')",
    )


async def test_a_process_that_ended_by_itself_is_told_and_started(scene: Scene) -> None:
    replica = scene.replicas["web-2"] = DyingReplica()
    async with scene.stage as stage:
        row = await stage.under("leader", _once, failures=lambda: ["one of two was not done"])
    assert row.problems == ("one of two was not done", "web-2 ended by itself (exit code 70): see web-2.log")
    assert replica.is_running


async def test_a_recovery_that_takes_too_long_is_a_problem(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "RECOVERY_SECONDS", 0.0)
    async with scene.stage as stage:
        (problem,) = (await stage.under("leader", _once)).problems
    assert problem.startswith("recovery took ")
    assert problem.endswith(", more than 0 s")


async def test_a_finding_that_stays_is_counted_for_the_fault_that_made_it(scene: Scene) -> None:
    scene.findings += [Finding(Fault.LOST, "event 1"), Finding(Fault.WRONG, "lead 1"), Finding(Fault.WRONG, "lead 2")]
    async with scene.stage as stage:
        first = await stage.under("leader", _once)
        scene.findings.append(Finding(Fault.DOUBLED, "event 2"))
        second = await stage.under("sessions", _once)
    assert (first.lost, first.doubled, first.wrong) == (1, 0, 2)
    assert first.problems == ("lost: event 1", "wrong: lead 1", "wrong: lead 2")
    assert (second.lost, second.doubled, second.wrong, second.problems) == (0, 1, 0, ("doubled: event 2",))


def test_an_error_is_noted_and_the_next_block_has_its_turn() -> None:
    problems = Problems()
    for where, error in (("first", KeyError("no such node")), ("second", None), ("third", TimeoutError())):
        with problems.noted(where):
            _raise(error)
    assert problems == ["first: KeyError('no such node')", "third: TimeoutError()"]


def _raise(error: Exception | None) -> None:
    if error is not None:
        raise error


@pytest.mark.parametrize("ending", [KeyboardInterrupt, asyncio.CancelledError, SystemExit])
def test_whoever_ends_the_run_is_not_a_problem_of_it(ending: type[BaseException]) -> None:
    problems = Problems()
    with pytest.raises(ending), problems.noted("the run broke off"):
        raise ending
    assert problems == []
