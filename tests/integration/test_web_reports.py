"""Reports over the API: who gets them, in which forms, and what is told when something is not set up."""

import base64
import hashlib
import io
import json
import re
import sys
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from rtcc_bridge.metrics import Metrics
from rtcc_bridge.policy.accounts import DEMO_ACCOUNTS
from rtcc_bridge.reports import access_log
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.web.security_headers import SECURITY_HEADERS
from tests.doubles import ManualClock
from tests.life_kit import build_life
from tests.website import Website, acting, running_site

TRANSPARENCY = "/reports/transparency?from=2026-11"
ACCESS = {"gallery": "demo", "person": "person", "reason": "asked for"}
PACKET = {"reason": "motion of the defense", "handedTo": {"office": "public defender", "name": "matter 26-118"}}


@pytest.fixture
async def site(database: Database, clock: ManualClock, metrics: Metrics, tmp_path: Path) -> AsyncIterator[Website]:
    async with running_site(database, clock, metrics, tmp_path) as running:
        yield running


async def asked(site: Website, method: str, path: str, account: str, body: Any = None) -> tuple[int, str, bytes]:
    async with site.client.request(method, f"/api/v1{path}", json=body, headers=acting(account)) as answer:
        return answer.status, answer.content_type, await answer.read()


@pytest.mark.parametrize(
    ("method", "path", "body", "allowed"),
    [
        ("GET", TRANSPARENCY, None, {"administrator", "auditor"}),
        ("POST", "/leads/{lead}/discovery-packet", PACKET, {"administrator"}),
        ("POST", "/reports/access-log", ACCESS, {"administrator", "auditor"}),
        ("GET", "/reports/misuse", None, {"administrator"}),
    ],
)
async def test_everybody_else_is_refused_and_that_is_audited(
    site: Website, method: str, path: str, body: Any, allowed: set[str]
) -> None:
    life = build_life(site.kit)
    await life.enrol("person")
    lead_id = await life.released() if "{lead}" in path else ""
    before = site.kit.count("policy_refusals_total", rule="P10")
    for account in DEMO_ACCOUNTS:
        status, _, content = await asked(site, method, path.format(lead=lead_id), account, body)
        assert status == (200 if account in allowed else 403), (account, content)
    assert site.kit.count("policy_refusals_total", rule="P10") - before == len(DEMO_ACCOUNTS) - len(allowed)


@pytest.mark.parametrize(
    ("form", "content_type", "begins"),
    [
        ("html", "text/html", b"<!DOCTYPE html>"),
        ("csv", "text/csv", b"table,row,count\n"),
        ("json", "application/json", b'{"period"'),
        ("pdf", "application/pdf", b"%PDF-"),
    ],
)
async def test_the_transparency_report_comes_in_each_form(
    site: Website, form: str, content_type: str, begins: bytes
) -> None:
    status, found, content = await asked(site, "GET", f"{TRANSPARENCY}&until=2026-11&format={form}", "auditor")
    assert (status, found) == (200, content_type)
    assert content.startswith(begins)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 422),
        ("?from=2026-11-01", 422),
        ("?from=2026-11&until=2026-10", 422),
        ("?from=2027-01", 422),
        ("?from=2026-11&format=docx", 422),
    ],
)
async def test_a_period_that_is_none_is_said(site: Website, query: str, status: int) -> None:
    assert (await asked(site, "GET", f"/reports/transparency{query}", "auditor"))[0] == status


async def test_a_packet_is_a_zip_that_is_whole(site: Website) -> None:
    lead_id = await build_life(site.kit).released()
    path = f"/leads/{lead_id}/discovery-packet"
    status, content_type, content = await asked(site, "POST", path, "administrator", PACKET)
    assert (status, content_type) == (200, "application/zip")
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        assert packed.testzip() is None
        assert f"discovery-lead-{lead_id}/README.txt" in packed.namelist()
    for unfit in ({}, {"reason": PACKET["reason"]}, {**PACKET, "handedTo": {"office": "public defender", "name": ""}}):
        assert (await asked(site, "POST", path, "administrator", unfit))[0] == 422, unfit
    assert (await asked(site, "POST", f"/leads/{'x' * 22}/discovery-packet", "administrator", PACKET))[0] == 404


async def test_a_server_that_cannot_make_pdfs_says_so(site: Website, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    status, _, content = await asked(site, "GET", f"{TRANSPARENCY}&format=pdf", "auditor")
    assert status == 503
    assert b"The making of PDFs is not set up on this server" in content


async def test_a_key_that_others_may_read_signs_nothing(site: Website, tmp_path: Path) -> None:
    lead_id = await build_life(site.kit).released()
    (tmp_path / "packet.key").write_text("a key")
    (tmp_path / "packet.key").chmod(0o644)
    path = f"/leads/{lead_id}/discovery-packet"
    status, _, content = await asked(site, "POST", path, "administrator", PACKET)
    assert status == 503
    assert b"The signing of packets is not set up" in content
    assert await site.kit.audited("lead.discovery_packet") == []


async def test_a_person_nobody_knows_has_no_log(site: Website) -> None:
    assert (await asked(site, "POST", "/reports/access-log", "auditor", ACCESS))[0] == 404


async def test_the_page_s_one_style_is_let_in_by_its_hash_and_none_else(site: Website) -> None:
    """It is kept as one file, so the style stands in it; the policy of all other answers lets no such style in."""
    async with site.client.get(f"/api/v1{TRANSPARENCY}", headers=acting("auditor")) as answer:
        page, policy = await answer.text(), answer.headers["Content-Security-Policy"]
    [style] = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    assert "font-family" in style
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    directives = dict(one.strip().split(" ", 1) for one in policy.split(";"))
    assert directives["style-src"] == f"'sha256-{digest}'"
    assert not re.search(r"\sstyle=|<script|\son[a-z]+=", page)
    rest = SECURITY_HEADERS["Content-Security-Policy"].replace("style-src 'self'", "")
    assert policy.replace(f"style-src {directives['style-src']}", "") == rest
    async with site.client.get(f"/api/v1{TRANSPARENCY}&format=json", headers=acting("auditor")) as answer:
        assert answer.headers["Content-Security-Policy"] == SECURITY_HEADERS["Content-Security-Policy"]


async def test_an_access_log_comes_in_pages(site: Website, monkeypatch: pytest.MonkeyPatch) -> None:
    await build_life(site.kit).enrol("person")
    monkeypatch.setattr(access_log, "ENTRIES_AT_ONCE", 1)
    status, _, content = await asked(site, "POST", "/reports/access-log", "auditor", ACCESS)
    page = json.loads(content)
    assert (status, len(page["items"])) == (200, 1)
    status, _, content = await asked(site, "POST", "/reports/access-log", "auditor", {**ACCESS, "after": page["next"]})
    assert (status, [one["action"] for one in json.loads(content)["items"]]) == (200, [])
    unknown = {**ACCESS, "after": "0" * 64}
    assert (await asked(site, "POST", "/reports/access-log", "auditor", unknown))[0] == 422
