"""A site outside the demo: which requests it lets in before it asks who it is, and that it is no demonstration."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from rtcc_bridge.metrics import Metrics
from rtcc_bridge.people.service_tokens import NewToken
from rtcc_bridge.people.signed_in import SignedIn, Voucher
from rtcc_bridge.policy.accounts import DEMO_ACCOUNTS, Account, Role
from rtcc_bridge.policy.certificates import Certificate
from rtcc_bridge.policy.permissions import Deed
from rtcc_bridge.policy.policy_parts import CertificateKind
from rtcc_bridge.storage import tables
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.web.access import STRANGERS_PER_MINUTE
from tests.doubles import ManualClock
from tests.sign_in_kit import FORWARDED, HOME, HOST, IDENTITY
from tests.website import Website, running_site, still_form

ISSUER = "https://identity.example.org"
STRANGERS = 2 * STRANGERS_PER_MINUTE + 20
"""More than are entered, also when a minute begins meanwhile."""


@pytest.fixture
async def site(database: Database, clock: ManualClock, metrics: Metrics, tmp_path: Path) -> AsyncIterator[Website]:
    web = {"public_url": HOME, "trusted_proxies": ["10.2.0.0/16"]}
    identity = {**IDENTITY, "issuer": ISSUER}
    async with running_site(
        database, clock, metrics, tmp_path, web_settings=web, profile="production", identity=identity
    ) as running:
        yield running


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Host": HOST},
        {"Host": HOST, "X-Forwarded-Proto": "http"},
        {"Host": HOST, "X-Forwarded-Proto": "https, http"},
        {"Host": "evil.example", "X-Forwarded-Proto": "https"},
        {"Host": f"{HOST}:8080", "X-Forwarded-Proto": "https"},
        {"Host": f"{HOST}.evil.example", "X-Forwarded-Proto": "https"},
        {**FORWARDED, "Sec-Fetch-Site": "cross-site"},
    ],
)
async def test_what_does_not_come_the_right_way_is_refused(site: Website, headers: dict[str, str]) -> None:
    async with site.client.get("/api/v1/incidents", headers=headers) as answer:
        problem = await answer.json(content_type=None)
    assert (answer.status, problem["type"]) == (403, "urn:rtcc-bridge:problem:foreign-request")


async def test_whoever_has_not_signed_in_is_told_where_to(site: Website) -> None:
    async with site.client.get("/api/v1/incidents", headers=FORWARDED) as answer:
        problem = await answer.json(content_type="application/problem+json")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert (answer.status, problem["rule"], problem["signIn"]) == (401, "P10", "/sign-in")
    [entry] = await site.kit.rows(tables.audit_entries, outcome="refused")
    assert (entry["actor"], entry["action"]) == ("nobody", "incident.list")
    assert entry["entry"]["from"] == {"way": "web", "place": "203.0.113.9"}
    assert site.kit.count("policy_refusals_total", rule="P10") == 1


async def test_strangers_do_not_fill_the_audit_log(site: Website) -> None:
    for _ in range(STRANGERS):
        async with site.client.get("/api/v1/incidents", headers=FORWARDED) as answer:
            assert answer.status == 401
    entries = await site.kit.rows(tables.audit_entries, outcome="refused")
    assert STRANGERS_PER_MINUTE <= len(entries) <= 2 * STRANGERS_PER_MINUTE < STRANGERS
    assert site.kit.count("policy_refusals_total", rule="P10") == STRANGERS


async def test_nor_do_those_who_bring_an_answer_of_the_provider_s_that_nobody_asked_for(site: Website) -> None:
    for _ in range(STRANGERS):
        async with site.client.get("/sign-in/callback?code=x", headers=FORWARDED) as answer:
            assert answer.status == 401
    entries = await site.kit.rows(tables.audit_entries, action="session.begin", outcome="refused")
    assert STRANGERS_PER_MINUTE <= len(entries) <= 2 * STRANGERS_PER_MINUTE < STRANGERS
    assert site.kit.count("policy_refusals_total", rule="P29") == STRANGERS


@pytest.mark.parametrize(
    ("path", "accept", "mode", "status"),
    [
        ("/", "text/html", "navigate", 303),
        ("/incidents/INC-1?a=b", "text/html", None, 303),
        ("/", "text/html", "cors", 401),
        ("/api/v1/incidents", "text/html", "navigate", 401),
        ("/metrics", "*/*", None, 401),
        ("/readyz", "*/*", None, 401),
        ("/healthz", "*/*", None, 200),
        ("/static/page.css", "*/*", None, 200),
        ("/sign-in", "text/html", "navigate", 200),
        ("/nothing", "text/html", "navigate", 404),
    ],
)
async def test_what_is_open_and_what_is_not(
    site: Website, path: str, accept: str, mode: str | None, status: int
) -> None:
    headers = {**FORWARDED, "Accept": accept} | ({} if mode is None else {"Sec-Fetch-Mode": mode})
    async with site.client.get(path, headers=headers, allow_redirects=False) as answer:
        assert answer.status == status, await answer.text()


@pytest.mark.parametrize("cookie", ["a" * 43, "short", "x" * 5000, "'; DROP TABLE sessions; --"])
async def test_a_cookie_that_nobody_was_given_lets_nobody_in(site: Website, cookie: str) -> None:
    headers = {**FORWARDED, "Cookie": f"__Host-rtcc_session={cookie}"}
    async with site.client.get("/api/v1/incidents", headers=headers) as answer:
        assert answer.status == 401


async def wall_token(site: Website, deed: Deed) -> NewToken:
    until = site.kit.clock.now() + timedelta(days=1)
    return await site.services.people.tokens.create(DEMO_ACCOUNTS["administrator"], "the wall", [deed], until)


async def test_a_walls_token_opens_the_wall_and_nothing_else_and_ends_when_it_is_revoked(site: Website) -> None:
    token = await wall_token(site, Deed.WATCH_FLOOR)
    shown = {**FORWARDED, "Origin": HOME}
    async with site.client.post(
        "/wall/token", data={"token": f" {token.text}\n"}, headers=shown, allow_redirects=False
    ) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, "/wall")
        cookie = answer.cookies["__Secure-rtcc_wall"]
    assert (cookie["path"], cookie["samesite"], cookie["secure"], cookie["httponly"]) == ("/wall", "Strict", True, True)
    kept = {**FORWARDED, "Cookie": f"__Secure-rtcc_wall={cookie.value}"}
    for path, status in (
        ("/wall", 200),
        ("/wall/floor", 200),
        ("/", 401),
        ("/api/v1/incidents", 401),
        ("/wallet", 404),
    ):
        async with site.client.get(path, headers=kept) as answer:
            assert answer.status == status, path
    async with site.client.post("/api/v1/leads/x/acknowledge", headers={**kept, "Origin": HOME}) as answer:
        assert answer.status in {401, 404}
    await site.services.people.tokens.revoke(DEMO_ACCOUNTS["administrator"], token.record.token_id)
    async with site.client.get("/wall", headers=kept) as answer:
        assert answer.status == 401


@pytest.mark.parametrize("token", ["", "rtcc_0123456789abcdef_" + "A" * 43, "' or 1=1"])
async def test_what_is_no_walls_token_is_refused_and_entered(site: Website, token: str) -> None:
    async with site.client.post("/wall/token", data={"token": token}, headers={**FORWARDED, "Origin": HOME}) as answer:
        assert (answer.status, "Set-Cookie" in answer.headers) == (401, False)
        assert "does not hold" in await answer.text()
    [entry] = await site.kit.rows(tables.audit_entries, outcome="refused")
    assert (entry["actor"], entry["action"]) == ("nobody", "wall.open")


async def test_a_token_for_something_else_opens_no_wall(site: Website) -> None:
    token = await wall_token(site, Deed.SEE_HEALTH)
    shown = {**FORWARDED, "Origin": HOME}
    async with site.client.post("/wall/token", data={"token": token.text}, headers=shown) as answer:
        assert (answer.status, "Set-Cookie" in answer.headers) == (401, False)
        assert "made for watch-floor" in await answer.text()


async def signed_in(site: Website, *roles: Role) -> dict[str, str]:
    """What the browser of somebody trained with these roles sends."""
    trained = {kind.value: Certificate(site.kit.clock.now()) for kind in CertificateKind}
    account = Account("e-1041", frozenset(roles), trained, login="e-1041@example.org")
    secret = await site.services.people.sessions.begin(SignedIn(voucher=Voucher.PROVIDER, account=account))
    return {**FORWARDED, "Origin": HOME, "Cookie": f"__Host-rtcc_session={secret}"}


async def test_no_page_gives_advice_that_is_for_a_demonstration(site: Website) -> None:
    everybody = await signed_in(site, *Role)
    empty = ["/", "/board/changes?with-leads=1", "/wall", "/review", "/released", "/gallery", "/people", "/oversight"]
    await site_is_real(site, everybody, empty)
    await site.report("INC-1")
    image = still_form()
    async with site.client.post("/api/v1/incidents/INC-1/probes", data=image, headers=everybody) as answer:
        assert answer.status == 201, await answer.text()
        probe = f"/probes/{(await answer.json())['probeId']}"
    async with site.client.post(f"/api/v1{probe}/face", json={"number": 1}, headers=everybody) as answer:
        assert (await answer.json())["state"] == "awaiting_approval"
    of_the_case = ["/incidents/INC-1", "/approvals", f"/approvals{probe.removeprefix('/probes')}", "/activity"]
    await site_is_real(site, everybody, of_the_case)
    await site_is_real(site, await signed_in(site, Role.ANALYST), [probe])
    await site_is_real(site, await signed_in(site, Role.FLOOR), ["/incidents/INC-1"])


async def site_is_real(site: Website, browser: dict[str, str], paths: list[str]) -> None:
    for path in paths:
        async with site.client.get(path, headers=browser) as answer:
            page = (await answer.text()).lower()
        assert (answer.status, [word for word in ("demonstration", "simulate") if word in page]) == (200, []), path
