"""What of the tests is left out on a machine without Java or Maven, and how that is named."""

import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from tests import brokers
from tests.brokers import ADDRESS_VARIABLE, KAFKA, TANSU, BrokerOfRun
from tests.tools import ALL_VARIABLE

pytest_plugins = ["pytester"]

ROOT = Path(__file__).resolve().parents[2]
ADDRESS = "127.0.0.1:9092"
NO_JAVA = "no Java here: install a JDK 17"
SHARED, OWN, MARKED = "test_shared", "test_own", "test_marked"
TESTS = f"""
import pytest

def {SHARED}(broker): pass

def {OWN}(own_broker): pass

@pytest.mark.{KAFKA}
def {MARKED}(): pass
"""


@pytest.fixture
def items(pytester: pytest.Pytester) -> dict[str, pytest.Item]:
    pytester.makeini(f"[pytest]\nmarkers = {KAFKA}\nasyncio_default_fixture_loop_scope = function")
    return {item.name: item for item in pytester.getitems(TESTS)}


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (BrokerOfRun(TANSU), set()),
        (BrokerOfRun(KAFKA, ADDRESS), set()),
        (BrokerOfRun(KAFKA, None, NO_JAVA), {SHARED, OWN, MARKED}),
        (BrokerOfRun(KAFKA, ADDRESS, NO_JAVA), {OWN, MARKED}),
    ],
)
def test_without_apache_kafka_only_what_can_use_the_one_of_others_runs(
    run: BrokerOfRun, expected: set[str], items: dict[str, pytest.Item]
) -> None:
    reasons = {name: run.why_left_out(item) for name, item in items.items()}
    assert set(reasons) == {SHARED, OWN, MARKED}
    named = f"without Apache Kafka: {NO_JAVA}"
    assert reasons == {name: named if name in expected else None for name in reasons}


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (BrokerOfRun(TANSU), "broker: tansu, one for each test"),
        (BrokerOfRun(KAFKA, ADDRESS), f"broker: kafka at {ADDRESS}"),
        (BrokerOfRun(KAFKA, None, NO_JAVA), f"broker: kafka - left out: {NO_JAVA}"),
    ],
)
def test_the_head_of_the_report_names_the_broker_or_what_is_missing(
    run: BrokerOfRun, expected: str, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a worker says it, which is told by the process that hands out the tests."""
    config = pytester.parseconfig()
    monkeypatch.setattr(config, "workerinput", {"broker": asdict(run)}, raising=False)
    brokers.start(config)
    assert brokers.of_run(config) == run
    assert brokers.header(config) == expected


@pytest.mark.parametrize(("has_java", "missing"), [(False, NO_JAVA), (True, "no Maven here to download Apache Kafka")])
def test_a_run_without_java_or_maven_passes_and_says_what_it_left_out(
    has_java: bool, missing: str, tmp_path: Path
) -> None:
    """The tests themselves, in a process of their own that finds neither the programs nor what they have fetched."""
    if has_java:
        java = tmp_path / "bin" / "java"
        java.parent.mkdir()
        java.touch(0o755)
    kept = {name: value for name, value in os.environ.items() if name not in {ADDRESS_VARIABLE, ALL_VARIABLE}}
    folders = {"JAVA_HOME": str(tmp_path), "KAFKA_CACHE": str(tmp_path / "kafka"), "PATH": str(tmp_path)}
    done = subprocess.run(
        [
            sys.executable, "-m", "pytest", "--broker", KAFKA, "-p", "no:cacheprovider", "-p", "no:xdist",
            "tests/integration/test_kafka_cluster.py",
        ],
        cwd=ROOT, env={**kept, **folders}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert f"broker: kafka - left out: {missing}" in done.stdout
    assert f"without Apache Kafka: {missing}" in done.stdout
    assert " skipped" in done.stdout
    assert " passed" not in done.stdout
