"""A Prometheus server takes the trace ids of slow observations from what the program serves."""

import asyncio
import time
from pathlib import Path
from typing import Final

from aiohttp.test_utils import TestServer

from deploy.monitoring.server import running_prometheus
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.web.application import create_operations_app
from rtcc_bridge.web.health import ReadinessBoard
from tests.tools import needs

WAIT_SECONDS: Final = 30.0
TRACE: Final = "4bf92f3577b34da6a3ce929d0e0e4736"
BUCKETS: Final = "rtcc_bridge_probe_to_candidates_seconds_bucket"


@needs("prometheus", "prometheus")
async def test_a_slow_search_leads_to_its_trace(tmp_path: Path) -> None:
    metrics = Metrics(lambda: TRACE)
    app = create_operations_app(ReadinessBoard(metrics, {}), lambda _breach: None, local_only=True)
    async with TestServer(app) as served:
        metrics.probe_to_candidates_seconds.labels("imminent").observe(0.02)
        metrics.probe_to_candidates_seconds.labels("imminent").observe(3.0)
        async with running_prometheus(tmp_path, [f"127.0.0.1:{served.port}"]) as prometheus:
            async with asyncio.timeout(WAIT_SECONDS):
                while not (found := await prometheus.exemplars(BUCKETS, 0, time.time())):  # noqa: ASYNC110 - untold
                    await asyncio.sleep(0.2)
            (target,) = await prometheus.targets()
    assert (target["health"], target["lastError"]) == ("up", "")
    told = [(one["labels"], one["value"]) for series in found for one in series["exemplars"]]
    assert told == [({"trace_id": TRACE}, "3")], "the fast one bears none"
