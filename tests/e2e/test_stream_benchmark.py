"""The benchmark of the stream still runs, and measures what it says: nothing else would notice that it does not."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import ROOT


@pytest.mark.once
async def test_a_short_run_counts_every_event_of_both(tmp_path: Path, packs_directory: Path) -> None:
    plot = tmp_path / "stream.svg"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.stream", "--rates", "40", "--seconds", "0.5", "--records", "60", "--repeats", "2",
        "--packs", str(packs_directory), "--plot", str(plot), "--json",
        cwd=ROOT, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    said = output.decode()
    assert process.returncode == 0, said
    report = json.loads(said.splitlines()[-1])
    (step,) = report["steps"]
    assert step["rate"] == 40
    assert 0 < step["produced_rate"] < 44
    assert 0 < step["p50_ms"] <= step["p99_ms"]
    assert 0 < step["peer_p50_ms"] <= step["peer_p99_ms"]
    assert step["cpu_ms_per_event"] > 0
    assert report["ratio"] == pytest.approx(report["throughput"] / report["peer_throughput"], abs=0.01)
    assert plot.read_text().startswith("<?xml")
