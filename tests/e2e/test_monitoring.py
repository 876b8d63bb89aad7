"""A Prometheus server scrapes a daemon: everything arrives, and every query of ours finds what it asks for."""

import asyncio
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import aiohttp
import pytest
import yaml

from deploy.monitoring.alerts import groups
from deploy.monitoring.dashboards.floor import FLOOR_HEALTH
from deploy.monitoring.demo_floor import THREAT, VIOLENT
from deploy.monitoring.documents import DASHBOARDS, RULES_FILE
from deploy.monitoring.drawing import Span, draw
from deploy.monitoring.panels import RATE
from deploy.monitoring.server import Prometheus, PrometheusError, running_prometheus
from deploy.monitoring.slo import AVAILABLE
from rtcc_bridge.broker.client import EventProducer
from rtcc_bridge.clock import SystemClock
from rtcc_bridge.cloud_event import STRUCTURED_HEADERS, CloudEvent, serialize
from rtcc_bridge.demo.client import CallError, DemoClient
from rtcc_bridge.demo.pictures import portrait, rephotograph
from rtcc_bridge.demo.story import central_face
from rtcc_bridge.simulate import incident_data, publish_incident, publish_threat, threat_data
from tests.e2e.calls import on_floor, until
from tests.e2e.conftest import Place
from tests.e2e.program import running_daemon
from tests.monitoring.expressions import RUNBOOKS, promql_of
from tests.tools import needs

ROOT = Path(__file__).resolve().parents[2]
HOSTILE: Final = "sent-by-somebody"

pytestmark = [
    needs("prometheus", "prometheus"),
    needs("promtool", "prometheus"),
    pytest.mark.timeout(300),
    pytest.mark.once,
]

NOTHING_TO_SHOW: Final = frozenset(
    {
        "Lag by partition",
        "Picture workers replaced",
        "Certificates",
        "Which alerts fire",
        "Booked pictures by outcome",
        "Images removed from galleries",
        "Audit log: contradicted from outside",
        "Searches purged",
        "Releases without an answer",
    }
)
"""Panels that are empty while nothing is wrong, without TLS, a record system, or a place outside for checkpoints."""


def often(folder: Path) -> Path:
    """The rules, evaluated each second."""
    content = yaml.safe_load((ROOT / RULES_FILE).read_text(encoding="utf-8"))
    for group in content["groups"]:
        group["interval"] = "1s"
    file = folder / "alerts.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


async def a_day_on_the_floor(place: Place, client: DemoClient) -> None:
    """Two searches, one on each lane, a refusal, and records that nobody can read."""
    kafka, now = place.settings.kafka, SystemClock().now()
    async with EventProducer(kafka) as producer:
        for name, kind in (("SHOT", "SHOOT"), ("PROTEST", "CIVDIS")):
            data = incident_data(name, kind, 1, now, location="Test square")
            await publish_incident(producer, kafka.topics, "reported", data)
        threat = threat_data("ALERT", "Active shooter", now, incident_ids=("ARMED",))
        await publish_threat(producer, kafka.topics, "alert", threat)
        for number in range(20):
            text = f"{HOSTILE}-{number}"
            event = CloudEvent(id=text, source=f"urn:{text}", type=text, subject=text, partitionkey=text, data={})
            topic = kafka.topics.incidents
            await producer.send(topic, key=text.encode(), value=serialize(event), headers=STRUCTURED_HEADERS)
    for incident in ("SHOT", "PROTEST", "ARMED"):
        await on_floor(client, incident)
    still = rephotograph(portrait())
    with pytest.raises(CallError) as refused:
        await client.attach("PROTEST", VIOLENT, still, "still.jpg")
    assert refused.value.problem["rule"] == "P02"
    for incident, request in (("SHOT", VIOLENT), ("ARMED", THREAT)):
        probe = await client.attach(incident, request, still, "still.jpg")
        probe = await client.choose(probe["probeId"], central_face(probe))
        await client.approve(probe["probeId"])
    for incident in ("SHOT", "ARMED"):

        async def has_lead(incident: str = incident) -> bool:
            return bool(await client.leads_of(incident))

        await until(has_lead)
        await client.acknowledge((await client.leads_of(incident))[0]["data"]["leadId"])


async def value(prometheus: Prometheus, expr: str) -> float | None:
    found = await prometheus.query(expr)
    return float(found[0]["value"][1]) if found else None


async def test_a_daemon_is_scraped_and_every_query_is_answered(
    enrolled_place: Place, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    place, folder, started = enrolled_place, tmp_path / "prometheus", time.time()
    folder.mkdir()
    async with running_prometheus(folder, [f"127.0.0.1:{place.port}"], often(folder)) as prometheus:
        async with running_daemon(place.settings_file, place.address, place.log):
            await until(lambda: _is(prometheus, "sum(up)", 1))
            await a_day_on_the_floor(place, DemoClient(http, place.address))
            await until(lambda: _is(prometheus, "sum(rtcc_bridge_time_to_acknowledge_seconds_count)", 2))
            await until(lambda: _is(prometheus, "sum(rtcc_bridge_dead_letters_total)", 20))
            (target,) = await prometheus.targets()
            assert (target["health"], target["lastError"]) == ("up", "")
            await until(lambda: _is(prometheus, AVAILABLE, 1))
            await _nothing_of_the_sender_is_in(http, place)
            await _every_panel_is_answered(prometheus)
            await _every_other_query_is_one(prometheus)
            for rule in await prometheus.rules():
                assert (rule["health"], rule.get("lastError", "")) == ("ok", ""), rule["name"]
            picture = tmp_path / "floor.png"
            await draw(FLOOR_HEALTH, prometheus, Span(started, time.time(), 1.0, "10s"), picture)
            assert picture.read_bytes()[:4] == b"\x89PNG"
        await _the_end_of_the_daemon_is_noticed(prometheus)


async def _is(prometheus: Prometheus, expr: str, wanted: float) -> bool:
    return await value(prometheus, expr) == wanted


async def _nothing_of_the_sender_is_in(http: aiohttp.ClientSession, place: Place) -> None:
    """Nor has promtool a finding in what is served."""
    async with http.get(f"{place.address}/metrics") as answer:
        text = await answer.text()
    assert HOSTILE not in text
    assert "SHOT" not in text
    found = await asyncio.to_thread(
        subprocess.run, ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stdout + found.stderr) == (0, "")


async def _every_panel_is_answered(prometheus: Prometheus) -> None:
    """As soon as the last rule that a panel shows has been evaluated."""

    async def are_answered() -> bool:
        return await _empty_panels(prometheus) <= NOTHING_TO_SHOW

    with suppress(TimeoutError):
        await until(are_answered)
    assert await _empty_panels(prometheus) <= NOTHING_TO_SHOW


async def _empty_panels(prometheus: Prometheus) -> set[str]:
    """The rate's window is the whole test, so that what happened at its beginning is seen."""
    empty = set()
    for dashboard in DASHBOARDS:
        for panel in dashboard.panels:
            for query in panel.queries:
                if not await prometheus.query(query.expr.replace(RATE, "5m")):
                    empty.add(panel.title)
    return empty


async def _every_other_query_is_one(prometheus: Prometheus) -> None:
    for expr in [rule.expr for group in groups() for rule in group.rules]:
        await prometheus.query(expr)
    for page in sorted(RUNBOOKS.glob("*.md")):
        for expr in promql_of(page):
            await prometheus.query(expr)
    with pytest.raises(PrometheusError):
        await prometheus.query("sum by (topic")


async def _the_end_of_the_daemon_is_noticed(prometheus: Prometheus) -> None:
    await until(lambda: _is(prometheus, 'up{job="rtcc-bridge"}', 0))
    await until(lambda: _is(prometheus, AVAILABLE, 0))

    async def all_begun() -> bool:
        begun = {rule["name"] for rule in await prometheus.rules() if rule.get("state") in {"pending", "firing"}}
        return {"ProcessDown", "RoleMissing", "RelayMissing"} <= begun

    await until(all_begun)
