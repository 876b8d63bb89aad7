"""Over the API: what is due, legal holds, dispositions, and what was purged; each for whom the table permits it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from rtcc_bridge.metrics import Metrics
from rtcc_bridge.policy.accounts import DEMO_ACCOUNTS
from rtcc_bridge.storage.engine import Database
from tests.doubles import ManualClock
from tests.life_kit import build_life
from tests.retention_kit import CASE, DAY, RetentionKit, abandoned
from tests.website import Website, acting, running_site

HOLD = {"caseNumber": CASE, "reason": "preservation letter"}
DISPOSED = {"caseNumber": CASE, "disposition": "dismissal", "disposedOn": "2026-11-20"}
LOOKS = {"supervisor", "administrator", "auditor"}


@pytest.fixture
async def site(database: Database, clock: ManualClock, metrics: Metrics, tmp_path: Path) -> AsyncIterator[Website]:
    async with running_site(database, clock, metrics, tmp_path) as running:
        yield running


async def asked(site: Website, method: str, path: str, account: str, body: Any = None) -> tuple[int, Any]:
    url = f"/api/v1/retention{path}"
    async with site.client.request(method, url, json=body, headers=acting(account)) as answer:
        return answer.status, await answer.json()


@pytest.mark.parametrize(
    ("method", "path", "body", "allowed"),
    [
        ("GET", "/due", None, LOOKS),
        ("GET", "/purges", None, LOOKS),
        ("GET", "/holds", None, LOOKS),
        ("POST", "/holds", HOLD, {"supervisor", "administrator"}),
        ("POST", "/holds/no-such-hold-00000000/lift", {"reason": "over"}, {"administrator"}),
        ("POST", "/dispositions", DISPOSED, {"requestor", "supervisor", "administrator"}),
    ],
)
async def test_everybody_else_is_refused(site: Website, method: str, path: str, body: Any, allowed: set[str]) -> None:
    for account in DEMO_ACCOUNTS:
        status, problem = await asked(site, method, path, account, body)
        assert (status == 403 and problem.get("rule") == "P10") == (account not in allowed), (account, problem)


async def test_a_search_is_seen_held_let_go_and_purged(site: Website) -> None:
    here = RetentionKit(build_life(site.kit))
    probe_id = await abandoned(here)
    here.pass_time(80 * DAY)
    _, soon = await asked(site, "GET", "/due", "auditor")
    assert (soon["searchesKept"], soon["searchesDue"], soon["items"]) == (1, 0, [])
    _, due = await asked(site, "GET", "/due?days=10", "auditor")
    [item] = due["items"]
    assert (due["searchesDue"], item["probeId"], item["endedAs"], item["kept"]) == (1, probe_id, "expired", "period")
    status, hold = await asked(site, "POST", "/holds", "supervisor", HOLD)
    assert status == 201
    here.pass_time(20 * DAY)
    assert await here.purge() == 0
    _, held = await asked(site, "GET", "/due", "auditor")
    assert (held["searchesDue"], held["items"][0]["kept"]) == (0, "held")
    assert (await asked(site, "POST", "/holds", "supervisor", HOLD))[0] == 409
    assert (await asked(site, "POST", f"/holds/{hold['holdId']}/lift", "administrator", {"reason": "over"}))[0] == 200
    assert await here.purge() == 1
    _, purges = await asked(site, "GET", "/purges", "auditor")
    [purge] = purges["items"]
    assert (purge["probeId"], purge["endedAs"]) == (probe_id, "expired")
    assert len(purge["objects"][0]["sha256"]) == len(purge["auditLeaf"]) == 64
    status, problem = await asked(site, "POST", "/holds", "supervisor", HOLD)
    assert (status, problem["rule"]) == (403, "P24")
    _, holds = await asked(site, "GET", "/holds", "auditor")
    assert [(one["holdId"], one["caseNumber"], one["reason"]) for one in holds["items"]] == [(hold["holdId"], None, "")]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/holds", {"reason": "a letter"}, 422),
        ("/holds", {**HOLD, "probeId": "a"}, 422),
        ("/holds", {"probeId": "unknown", "reason": "a letter"}, 404),
        ("/holds", {**HOLD, "until": "2030-01-01"}, 422),
        ("/dispositions", {**DISPOSED, "disposition": "guilty"}, 422),
        ("/dispositions", {**DISPOSED, "disposedOn": "2999-01-01"}, 422),
        ("/dispositions", DISPOSED, 404),
    ],
)
async def test_bad_input_is_answered_in_words(site: Website, path: str, body: Any, status: int) -> None:
    assert (await asked(site, "POST", path, "administrator", body))[0] == status


async def test_a_case_is_disposed_of_by_its_requestor(site: Website) -> None:
    await site.kit.attached()
    status, made = await asked(site, "POST", "/dispositions", "requestor", DISPOSED)
    assert (status, made["disposition"], made["disposedOn"]) == (201, "dismissal", "2026-11-20")
