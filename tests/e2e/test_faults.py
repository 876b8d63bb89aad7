"""The short run of the faults, as `make faults SHORT=1` does it, on Apache Kafka and PostgreSQL of its own."""

import asyncio
from pathlib import Path

import pytest

from tests.e2e.module_run import run_module
from tests.kafka_cluster.distribution import KafkaNotAvailableError, fetch
from tests.postgres_server import PostgresMissingError, find_programs
from tests.tools import is_missing

LIGHT = ("--rate", "5", "--probes", "0.6")
"""Less than what the short run has by itself: the other tests that run beside it need the cores, too."""


@pytest.mark.kafka
@pytest.mark.postgresql
@pytest.mark.long
@pytest.mark.timeout(900)
async def test_nothing_is_lost_or_doubled_whatever_dies(tmp_path: Path, packs_directory: Path) -> None:
    try:
        await asyncio.to_thread(fetch)
        find_programs()
    except (KafkaNotAvailableError, PostgresMissingError) as error:
        is_missing(str(error))
    exit_code, said = await run_module(
        "tests.e2e.faults", "--short", *LIGHT, "--packs", str(packs_directory), "--out", str(tmp_path)
    )
    assert exit_code == 0, said
    assert said.splitlines()[-1] == "faults: passed"
