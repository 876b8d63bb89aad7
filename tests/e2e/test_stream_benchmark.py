"""The benchmark of the stream still runs, and measures what it says: nothing else would notice that it does not."""

import json
from pathlib import Path

import pytest

from tests.e2e.module_run import run_module


@pytest.mark.once
async def test_a_short_run_counts_every_event_of_both(tmp_path: Path, packs_directory: Path) -> None:
    plot = tmp_path / "stream.svg"
    exit_code, said = await run_module(
        "bench.stream", "--rates", "40", "--seconds", "0.5", "--records", "60", "--repeats", "2",
        "--packs", str(packs_directory), "--plot", str(plot), "--json",
    )  # fmt: skip
    assert exit_code == 0, said
    report = json.loads(said.splitlines()[-1])
    (step,) = report["steps"]
    assert step["rate"] == 40
    assert 0 < step["produced_rate"] < 44
    assert 0 < step["p50_ms"] <= step["p99_ms"]
    assert 0 < step["peer_p50_ms"] <= step["peer_p99_ms"]
    assert step["cpu_ms_per_event"] > 0
    assert report["ratio"] == pytest.approx(report["throughput"] / report["peer_throughput"], abs=0.01)
    assert plot.read_text().startswith("<?xml")
