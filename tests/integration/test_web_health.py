"""Liveness, readiness and metrics, and the documents that describe the API."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer
from openapi_spec_validator import OpenAPIV31SpecValidator, validate
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from rtcc_bridge.errors import UnavailableError
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.web import health
from rtcc_bridge.web.application import create_operations_app
from rtcc_bridge.web.health import ReadinessBoard
from rtcc_bridge.web.pages import PAGES, ROLE_SWITCH
from rtcc_bridge.web.sign_in import SIGN_IN_PAGES
from tests.doubles import ManualClock
from tests.website import Website, running_site


@pytest.fixture
async def site(database: Database, clock: ManualClock, metrics: Metrics, tmp_path: Path) -> AsyncIterator[Website]:
    async with running_site(database, clock, metrics, tmp_path, roles=()) as running:  # so that nobody else asks
        yield running


async def test_the_process_lives_and_is_ready(site: Website) -> None:
    for path, answered in (("/healthz", {"status": "alive"}), ("/readyz", None)):
        async with site.client.get(path) as answer:
            assert answer.status == 200
            found = await answer.json()
            assert answered is None or found == answered
    assert found["ready"] is True
    assert site.kit.count("ready", dependency="database") == 1


async def test_what_is_not_ready_is_named_while_the_board_stays_up(
    site: Website, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hangs() -> str | None:
        await asyncio.Event().wait()
        return None

    async def raises() -> str | None:
        raise UnavailableError("the broker is away")

    monkeypatch.setattr(health, "PROBE_SECONDS", 1.5)
    site.readiness |= {"slow": hangs, "broker": raises}
    async with site.client.get("/readyz") as answer:
        found = await answer.json()
    assert answer.status == 503
    reasons = {one["name"]: one["reason"] for one in found["dependencies"]}
    assert reasons == {"database": None, "slow": "no answer within 1.5 s", "broker": "the broker is away"}
    assert "no other system" in next(one["meaning"] for one in found["dependencies"] if one["name"] == "broker")
    assert site.kit.count("ready", dependency="broker") == 0
    async with site.client.get("/") as answer:
        assert answer.status == 200


async def test_why_something_is_not_ready_is_told_to_this_machine_only(metrics: Metrics) -> None:
    async def raises() -> str | None:
        raise UnavailableError("no broker answers at kafka-1.example.org:9093")

    board = ReadinessBoard(metrics, {"broker": raises})
    app = create_operations_app(board, lambda _: None, local_only=False)
    async with TestClient(TestServer(app)) as client:
        why = "no broker answers at kafka-1.example.org:9093"
        asked: list[tuple[dict[str, str], str | None]] = [({}, why), ({"Host": "10.0.0.7:9464"}, None)]
        for headers, reason in asked:
            async with client.get("/readyz", headers=headers) as answer:
                (told,) = (await answer.json())["dependencies"]
                assert (answer.status, told["ready"], told["reason"]) == (503, False, reason)


async def test_metrics_are_in_the_format_of_prometheus(site: Website) -> None:
    async with site.client.get("/metrics") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/plain")
        assert "rtcc_bridge_feed_clients 0.0" in await answer.text()


async def test_metrics_are_openmetrics_for_a_scraper_that_asks_for_them(site: Website) -> None:
    """What Prometheus 2.42 sends. Exemplars are told in this format only."""
    accept = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,*/*;q=0.1"
    site.kit.metrics.outbox_lag_seconds.observe(3.0, "4bf92f3577b34da6a3ce929d0e0e4736")
    async with site.client.get("/metrics", headers={"Accept": accept}) as answer:
        assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
        text = await answer.text()
    assert text.endswith("# EOF\n")
    # The library gives its parser no types.
    families = {family.name: family for family in text_string_to_metric_families(text)}  # type: ignore[no-untyped-call]
    exemplars = [one.exemplar for one in families["rtcc_bridge_outbox_lag_seconds"].samples if one.exemplar]
    assert [one.labels for one in exemplars] == [{"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"}]
    assert "_created" not in text


async def test_the_openapi_document_is_valid_and_names_every_route(site: Website) -> None:
    async with site.client.get("/api/v1/openapi.json") as answer:
        document = await answer.json()
    validate(document, cls=OpenAPIV31SpecValidator)
    pages = {path for _, path, _ in (*PAGES, *SIGN_IN_PAGES, ROLE_SWITCH)}
    served = {
        (route.method, info["formatter"] if "formatter" in info else info["path"])
        for route in site.client.app.router.routes()
        if (info := route.resource.get_info() if route.resource is not None else {}) and "prefix" not in info
    }
    documented = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    assert {(method, path) for method, path in served if path not in pages} == documented
    assert documented >= {("POST", "/api/v1/incidents/{incidentId}/probes"), ("GET", "/api/v1/feed")}


async def test_a_published_schema_is_served(site: Website) -> None:
    async with site.client.get("/api/v1/schemas/lead.candidates.json") as answer:
        assert answer.content_type == "application/schema+json"
        assert await answer.json(content_type=None) == {"title": "an example"}


async def test_a_scrape_alone_tells_what_is_ready_now(site: Website) -> None:
    async def away() -> str | None:
        return "the broker is away"

    site.readiness |= {"broker": away}
    async with site.client.get("/metrics") as answer:
        text = await answer.text()
    assert 'rtcc_bridge_ready{dependency="broker"} 0.0' in text
    assert 'rtcc_bridge_ready{dependency="database"} 1.0' in text
