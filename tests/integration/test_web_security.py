"""Who is served, from where, and what every answer carries."""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rtcc_bridge.metrics import Metrics
from rtcc_bridge.storage import tables
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.web.accounts import session_cookie
from tests.doubles import ManualClock
from tests.outages import Outages
from tests.website import Website, acting, running_site

OWN = "http://127.0.0.1"
PERSON = {"Accept": "text/html", "Sec-Fetch-Site": "same-origin"}


@pytest.fixture
async def site(database: Database, clock: ManualClock, metrics: Metrics, tmp_path: Path) -> AsyncIterator[Website]:
    async with running_site(database, clock, metrics, tmp_path) as running:
        yield running


@pytest.mark.parametrize(
    "path",
    ["/", "/api/v1/incidents", "/api/v1/nothing", "/healthz", "/readyz", "/metrics", "/static/page.css", "/nothing"],
)
async def test_every_answer_carries_the_security_headers(site: Website, path: str) -> None:
    async with site.client.get(path) as answer:
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert answer.headers["Cache-Control"] == ("no-cache" if path.startswith("/static/") else "no-store")


@pytest.mark.parametrize("path", ["/", "/incidents/INC-1"])
async def test_pages_hold_no_inline_script_or_style_and_no_outside_address(site: Website, path: str) -> None:
    await site.report("INC-1")
    async with site.client.get(path, headers=acting("analyst")) as answer:
        page = await answer.text()
    assert "<style" not in page
    assert " style=" not in page
    assert page.count("<script") == page.count('<script type="module" src="/static/')
    assert "://" not in page.replace(site.address, "")


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "10.0.0.1", "[::2]", ""]
)
async def test_a_name_that_is_not_this_machine_is_refused(site: Website, host: str) -> None:
    """Against DNS rebinding."""
    async with site.client.get("/api/v1/incidents", headers={"Host": host}) as answer:
        problem = await answer.json(content_type="application/problem+json")
    assert (answer.status, problem["type"]) == (403, "urn:rtcc-bridge:problem:foreign-request")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:9000", "[::1]:8080", "LOCALHOST:1"])
async def test_names_of_this_machine_are_served(site: Website, host: str) -> None:
    async with site.client.get("/api/v1/incidents", headers={"Host": host}) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
async def test_a_request_through_a_proxy_is_refused(site: Website, header: str) -> None:
    async with site.client.get("/healthz", headers={header: "10.1.2.3"}) as answer:
        assert answer.status == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),  # a cookie acts, and nothing says which page asked
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://evil.example"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 409),
        ({"Origin": "{own}"}, 409),
    ],
)
async def test_a_change_is_made_for_the_daemons_own_pages_only(
    site: Website, headers: dict[str, str], status: int
) -> None:
    """Against CSRF. 409 is the desk's own answer: the request was admitted."""
    await site.report()
    probe = await site.attach()
    sent = {name: value.format(own=site.address) for name, value in headers.items()}
    async with site.client.post(
        f"/api/v1/probes/{probe['probeId']}/approve",
        json={},
        headers=sent,
        cookies={"rtcc_demo_account": "supervisor"},
    ) as answer:
        assert answer.status == status


async def test_a_foreign_page_cannot_act_even_with_the_header(site: Website) -> None:
    headers = {**acting("supervisor"), "Origin": "http://evil.example"}
    async with site.client.post("/api/v1/probes/x/approve", json={}, headers=headers) as answer:
        assert answer.status == 403


async def test_the_role_switch_sets_a_cookie_that_scripts_and_other_sites_cannot_use(site: Website) -> None:
    for back, target in (
        ("/incidents/a?b=c", "/incidents/a?b=c"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("http://evil.example", "/"),
        ("/a\r\nSet-Cookie: b", "/"),
    ):
        form = {"account": "analyst", "back": back}
        headers = {"Sec-Fetch-Site": "same-origin"}
        async with site.client.post("/demo/account", data=form, headers=headers, allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (303, target)
            cookie = answer.cookies["rtcc_demo_account"]
            assert (cookie.value, cookie["httponly"], cookie["samesite"]) == ("analyst", True, "Strict")


async def test_an_unknown_account_is_refused_by_the_switch_and_a_stale_cookie_only_watches(site: Website) -> None:
    headers = {"Sec-Fetch-Site": "same-origin"}
    async with site.client.post("/demo/account", data={"account": "root"}, headers=headers) as answer:
        assert answer.status == 403
    async with site.client.get("/api/v1/probes", cookies={"rtcc_demo_account": "root"}) as answer:
        assert (answer.status, (await answer.json(content_type=None))["rule"]) == (403, "P10")


async def test_errors_are_pages_for_people_and_documents_for_programs(site: Website) -> None:
    for accept, path, kind in (
        ("text/html", "/incidents/unknown", "text/html"),
        ("*/*", "/incidents/unknown", "application/problem+json"),
        ("text/html", "/api/v1/incidents/unknown", "application/problem+json"),
        ("text/html", "/nothing", "text/html"),
    ):
        async with site.client.get(path, headers={"Accept": accept}) as answer:
            assert (answer.status, answer.content_type) == (404, kind)


async def test_a_page_that_has_to_wait_tries_again_and_says_for_operations_what_does_not_answer(
    site: Website, outages: Outages
) -> None:
    """Where a form led to it there may be no page to load anew."""
    person = PERSON | {"Cookie": f"{session_cookie(site.services.settings)}={secrets.token_urlsafe(32)}"}
    async with outages.away("sessions"):
        async with site.client.get("/incidents/INC-1", headers=person) as answer:
            status, again, page = answer.status, answer.headers["Retry-After"], await answer.text()
        async with site.client.post("/sign-out", headers=person) as answer:
            after_form = await answer.text()
    assert (status, again) == (503, "5")
    assert '<meta http-equiv="refresh" content="5">' in page
    assert "For operations: the database" in page
    assert "http-equiv" not in after_form
    assert "Go back, and try again in a moment." in after_form


async def test_a_problem_leads_back_to_the_pages_that_it_belongs_to(site: Website) -> None:
    for account, leads_back in (("reviewer", True), ("floor", False)):
        async with site.client.get(f"/review/{secrets.token_urlsafe(16)}", headers=PERSON | acting(account)) as answer:
            page = await answer.text()
        assert ('<a href="/review">Back to Review</a>' in page) == leads_back


async def test_p12_p16_notes_and_case_number_are_on_no_board_and_a_look_is_audited(site: Website) -> None:
    await site.report("INC-1", notes=["the caller names somebody"], caseNumber="26-77-secret")
    probe = await site.attach("INC-1", caseNumber=None, legalBasis="basis-secret", requestor="requestor-secret")
    await site.post(f"/probes/{probe['probeId']}/face", "analyst", {"number": 1})
    await site.post(f"/probes/{probe['probeId']}/approve", "supervisor")
    await site.search_all([await site.kit.enrol("subject-secret")])
    for account in ("floor", "analyst", "supervisor"):
        async with site.client.get("/", headers=acting(account)) as answer:
            page = await answer.text()
        assert "1 candidate to compare" in page
        assert "secret" not in page
        assert "somebody" not in page
    for account in ("floor", "analyst", "supervisor"):
        async with site.client.get("/incidents/INC-1", headers=acting(account)) as answer:
            page = await answer.text()
            assert "somebody" not in page
            assert "secret" not in page
    assert await site.kit.audited("incident.notes") == []
    for account, sees in (("floor", False), ("reviewer", False), ("analyst", True), ("supervisor", True)):
        async with site.client.get("/incidents/INC-1/notes", headers=acting(account)) as answer:
            page = await answer.text()
        assert ("the caller names somebody" in page, "26-77-secret" in page) == (sees, sees), account
    looks = {(row["actor"], row["outcome"]) for row in await site.kit.audited("incident.notes")}
    shown = {("analyst", "shown"), ("supervisor", "shown")}
    assert looks == {("floor", "refused"), ("reviewer", "refused"), *shown}


async def test_p10_a_look_at_a_still_by_the_floor_is_refused_and_audited(site: Website) -> None:
    await site.report()
    probe = await site.attach()
    async with site.client.get(f"/probes/{probe['probeId']}", headers=acting("floor")) as answer:
        assert answer.status == 403
    [entry] = await site.kit.rows(tables.audit_entries, outcome="refused")
    assert (entry["actor"], entry["action"], entry["subject"]) == ("floor", "probe.view", probe["probeId"])


async def test_a_merged_incident_leads_on_to_the_one_that_goes_on(site: Website) -> None:
    await site.report("INC-2")
    await site.report("INC-1", incidentStatusCommonRegistryText="merged", mergedInto="INC-2")
    async with site.client.get("/incidents/INC-1", headers=acting("analyst")) as answer:
        page = await answer.text()
    assert 'href="/incidents/INC-2"' in page
    assert 'id="attach"' not in page


async def test_a_merge_into_an_incident_that_is_not_known_yet_is_shown_too(site: Website) -> None:
    await site.report("INC-1", incidentStatusCommonRegistryText="merged", mergedInto="INC-9")
    async with site.client.get("/incidents/INC-1", headers=acting("analyst")) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("probe_id", ["x", "a" * 65, "semi;colon-semi;colon", "%2e" * 16])
async def test_an_id_that_nobody_made_is_not_found_and_not_written_down(site: Website, probe_id: str) -> None:
    async with site.client.get(f"/api/v1/probes/{probe_id}") as answer:
        assert answer.status == 404
    assert await site.kit.rows(tables.audit_entries, outcome="refused") == []
