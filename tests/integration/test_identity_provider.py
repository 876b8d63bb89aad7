"""Signing in with a real OpenID Connect provider, outside the demo, behind a proxy that ends TLS (P10, P11, P29)."""

import hashlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from rtcc_bridge.metrics import Metrics
from rtcc_bridge.people.departures import Departure
from rtcc_bridge.policy.policy_parts import CertificateKind
from rtcc_bridge.storage import tables
from rtcc_bridge.storage.engine import Database
from tests.doubles import ManualClock
from tests.node_provider import NodeProvider, node_provider
from tests.ports import free_port
from tests.sign_in_kit import HOME, LOADS_ITSELF, Browser, browser, hidden_field, ingress, query_of
from tests.website import Website, running_site, still_form

TRAINED = [f"{kind}={datetime.now(UTC).date()}" for kind in CertificateKind]
ANNA = {"preferred_username": "anna", "employee": "E-1", "groups": ["fusion-analysts", "choir"], "training": TRAINED}
BORIS = {"preferred_username": "boris", "employee": "E-2", "groups": ["watch-commanders"]}
FLOOR = {"preferred_username": "desk", "employee": "E-9", "groups": ["floor"]}


@dataclass
class Town:
    """The site, the provider, and a browser in which nobody has signed in yet."""

    site: Website
    provider: NodeProvider
    browser: Browser

    async def person(self, name: str, claims: dict[str, Any]) -> Browser:
        """Signs the person in; it is the one browser of the town."""
        await self.provider.knows(name, **claims)
        answer = await self.provider.sign_in(self.browser, name)
        assert (answer.status, answer.headers["Location"]) == (303, "/"), await answer.text()
        return self.browser

    async def audited(self, action: str) -> list[tuple[str, str]]:
        """Who, and with which outcome."""
        rows = await self.site.kit.audited(action)
        return [(row["actor"], row["outcome"]) for row in sorted(rows, key=lambda row: str(row["at"]))]

    async def rows(self) -> list[dict[str, Any]]:
        return await self.site.kit.rows(tables.sessions)


@pytest.fixture
async def town(database: Database, metrics: Metrics, tmp_path: Path, provider_nursery: str) -> AsyncIterator[Town]:
    clock = ManualClock(datetime.now(UTC))
    port = free_port()
    async with node_provider(provider_nursery, f"http://127.0.0.1:{port}/sign-in/back-channel-logout") as provider:
        web = {"public_url": HOME}
        identity = provider.identity()
        async with (
            running_site(
                database, clock, metrics, tmp_path, web_settings=web, profile="production", identity=identity
            ) as site,
            ingress(port, site.address),
            browser(site) as anybodys,
        ):
            yield Town(site, provider, anybodys)


async def test_a_person_signs_in_and_acts_under_their_own_id(town: Town) -> None:
    await town.site.report("INC-1")
    anna = await town.person("anna", ANNA)
    answer = await anna.post("/api/v1/incidents/INC-1/probes", None)
    assert answer.status == 415  # the right is there: what is missing is the still
    async with anna.http.post(
        f"{anna.site}/api/v1/incidents/INC-1/probes",
        data=still_form(),
        headers={"Host": "rtcc.example.org", "X-Forwarded-Proto": "https", "Origin": HOME,
                 "Cookie": f"__Host-rtcc_session={anna.session}"},
    ) as attached:  # fmt: skip
        assert attached.status == 201, await attached.text()
    [probe] = await town.site.kit.rows(tables.probes)
    assert probe["analyst"] == "e-1"
    assert await town.audited("session.begin") == [("e-1", "signed_in")]
    [entry] = await town.site.kit.audited("session.begin")
    assert (entry["entry"]["from"]["place"], entry["entry"]["details"]["login"]) == ("203.0.113.9", "anna")


async def test_the_session_s_cookie_is_for_this_host_alone_and_the_database_cannot_use_it(town: Town) -> None:
    anna = await town.person("anna", ANNA)
    [cookie] = [one["__Host-rtcc_session"] for one in anna.seen if "__Host-rtcc_session" in one]
    assert (cookie["secure"], cookie["httponly"], cookie["samesite"], cookie["path"], cookie["domain"]) == (
        True, True, "Lax", "/", "",
    )  # fmt: skip
    assert anna.session is not None
    [row] = await town.rows()
    assert row["session_id"] == hashlib.sha256(anna.session.encode()).hexdigest()
    assert row["refresh_token"] is not None
    everything = str(await town.site.kit.rows(tables.sessions)) + str(await town.site.kit.rows(tables.audit_entries))
    assert anna.session not in everything
    assert "__Host-rtcc_sign_in" not in anna.cookies["ours"]


async def test_a_link_leads_through_sign_in_to_the_page_that_was_wanted(town: Town) -> None:
    await town.site.report("INC-1")
    answer = await town.browser.ask("/incidents/INC-1")
    assert answer.status == 303
    sign_in = answer.headers["Location"]
    assert sign_in.startswith("/sign-in?back=")
    page = await (await town.browser.ask(sign_in)).text()
    link = re.search(r'href="(/sign-in/provider\?back=[^"]+)"', page)
    assert link is not None
    await town.provider.knows("anna", **ANNA)
    answer = await town.provider.sign_in(town.browser, "anna", back=query_of(link[1])["back"])
    assert answer.headers["Location"] == "/incidents/INC-1"


@pytest.mark.parametrize("back", ["//evil.example", "https://evil.example/", "/\\evil.example"])
async def test_sign_in_leads_to_no_other_site(town: Town, back: str) -> None:
    await town.provider.knows("anna", **ANNA)
    answer = await town.provider.sign_in(town.browser, "anna", back=quote(back, safe=""))
    assert answer.headers["Location"] == "/"


async def test_p29_a_person_without_a_second_factor_is_not_let_in(town: Town) -> None:
    await town.provider.knows("anna", **ANNA)
    answer = await town.provider.sign_in(town.browser, "anna", amr="pwd")
    assert answer.status == 401
    assert "second factor" in await answer.text()
    assert await town.rows() == []
    assert await town.audited("session.begin") == [("nobody", "refused")]


async def test_a_person_without_a_role_may_nothing(town: Town) -> None:
    nobody = await town.person("zoe", {"preferred_username": "zoe", "employee": "E-7", "groups": ["choir"]})
    answer = await nobody.api("/incidents")
    assert (answer.status, (await answer.json(content_type=None))["rule"]) == (403, "P10")


async def test_an_answer_that_another_browser_brings_is_refused(town: Town) -> None:
    """Login CSRF: somebody signs a victim's browser in under their own account."""
    await town.provider.knows("anna", **ANNA)
    answer = await town.browser.ask("/sign-in/provider")
    begun = answer.headers["Location"]
    async with browser(town.site) as victim:
        address = begun
        while not address.startswith(HOME):
            if "/interaction/" in address:
                address += "?account=anna"
            full = address if address.startswith("http") else f"{town.provider.issuer}{address}"
            address = (await town.browser.ask(full)).headers["Location"]
        assert (await victim.ask(address)).status == 401
        await victim.ask("/sign-in/provider")  # one that has begun a sign-in of its own
        assert (await victim.ask(address)).status == 401
        assert victim.session is None
    assert await town.rows() == []
    assert (await town.browser.ask(address)).status == 303  # it is the answer of the browser that began


async def test_an_answer_is_good_once_and_for_ten_minutes(town: Town) -> None:
    await town.provider.knows("anna", **ANNA)
    answers: list[str] = []
    original = town.browser.ask

    async def noting(address: str, *arguments: Any, **named: Any) -> Any:
        answers.append(address)
        return await original(address, *arguments, **named)

    town.browser.ask = noting  # type: ignore[method-assign]  # the browser as it is, and written down
    await town.provider.sign_in(town.browser, "anna")
    kept = next(one["__Host-rtcc_sign_in"].value for one in town.browser.seen if "__Host-rtcc_sign_in" in one)
    for cookies in ({}, {"__Host-rtcc_sign_in": kept}):
        town.browser.cookies["ours"] |= cookies
        assert (await original(answers[-1])).status == 401
    town.site.kit.clock.advance(61)
    assert (await town.browser.api("/incidents")).status == 200, "the provider was not told of a code that came twice"
    answer = await original("/sign-in/provider")
    town.site.kit.clock.advance(601)
    state = query_of(answer.headers["Location"])["state"]
    late = await original(f"/sign-in/callback?code=x&state={state}&iss={quote(town.provider.issuer, safe='')}")
    assert late.status == 401


async def test_p29_strangers_who_begin_sign_ins_fill_nothing_that_others_need(town: Town) -> None:
    # But for the refusal's entry, and the site's own sign of life.
    everything = [one for one in tables.metadata.sorted_tables if one.name not in {"audit_entries", "processes"}]
    before = [await town.site.kit.rows(table) for table in everything]
    async with browser(town.site) as stranger:
        for _ in range(50):
            assert (await stranger.ask("/sign-in/provider")).status == 303
        begun = Departure.read(stranger.cookies["ours"]["__Host-rtcc_sign_in"])
        assert begun is not None
        issuer = quote(town.provider.issuer, safe="")
        forged = await stranger.ask(f"/sign-in/callback?code=forged&state={begun.state}&iss={issuer}")
        assert forged.status == 401, "the provider knows no such code"
    assert [await town.site.kit.rows(table) for table in everything] == before
    await town.person("anna", ANNA)
    assert len(await town.site.kit.rows(tables.used_sign_ins)) == 1
    town.site.kit.clock.advance(700)
    await town.provider.sign_in(town.browser, "anna")
    assert len(await town.site.kit.rows(tables.used_sign_ins)) == 1, "what is over is forgotten"


@pytest.mark.parametrize("query", ["", "?code=x", "?state=y&code=x", "?error=access_denied", "?state=" + "a" * 43])
async def test_an_answer_that_nobody_asked_for_is_refused(town: Town, query: str) -> None:
    assert (await town.browser.ask(f"/sign-in/callback{query}")).status == 401
    assert await town.rows() == []


async def test_p10_a_role_that_is_taken_away_is_gone_when_the_provider_was_asked_again(town: Town) -> None:
    boris = await town.person("boris", BORIS)
    assert (await boris.api("/probes")).status == 200
    await town.provider.knows("boris", **{**BORIS, "groups": ["floor"]})
    assert (await boris.api("/probes")).status == 200  # what the provider said is not a minute old
    town.site.kit.clock.advance(60)
    assert (await boris.api("/probes")).status == 403
    assert (await boris.api("/incidents")).status == 200
    assert await town.audited("session.roles") == [("e-2", "changed")]


async def test_each_refresh_brings_another_refresh_token_and_the_next_one_works(town: Town) -> None:
    boris = await town.person("boris", BORIS)
    sealed = {(await town.rows())[0]["refresh_token"]}
    for _ in range(3):
        town.site.kit.clock.advance(61)
        assert (await boris.api("/probes")).status == 200
        sealed.add((await town.rows())[0]["refresh_token"])
    assert len(sealed) == 4


async def test_whoever_is_no_longer_known_to_the_provider_is_signed_out(town: Town) -> None:
    boris = await town.person("boris", BORIS)
    await town.provider.forgets("boris")
    town.site.kit.clock.advance(61)
    answer = await boris.api("/probes")
    assert (answer.status, (await answer.json(content_type=None))["signIn"]) == (401, "/sign-in")
    assert await town.rows() == []
    assert await town.audited("session.end") == [("e-2", "taken_back")]


async def test_another_person_under_the_same_account_is_not_let_on(town: Town) -> None:
    boris = await town.person("boris", BORIS)
    await town.provider.knows("boris", **{**BORIS, "employee": "E-1"})
    town.site.kit.clock.advance(61)
    assert (await boris.api("/probes")).status == 401


async def test_an_outage_of_the_provider_is_lived_through_for_a_while(town: Town) -> None:
    boris = await town.person("boris", BORIS)
    await town.provider.stop()
    town.site.kit.clock.advance(61)
    assert (await boris.api("/probes")).status == 200
    town.site.kit.clock.advance(600)
    assert (await boris.api("/probes")).status == 401


async def test_when_the_provider_ends_its_session_ours_ends_at_once(town: Town) -> None:
    """Back-channel logout, from the provider's own page to the next call here."""
    boris = await town.person("boris", BORIS)
    assert (await boris.api("/probes")).status == 200
    page = await (await boris.ask(f"{town.provider.issuer}/session/end")).text()
    form = {"xsrf": hidden_field(page, "xsrf"), "logout": "yes"}
    await boris.ask(f"{town.provider.issuer}/session/end/confirm", "POST", data=form)
    answer = await boris.api("/probes")
    assert (answer.status, await town.rows()) == (401, [])
    assert await town.audited("session.end") == [("e-2", "ended_by_provider")]


async def test_signing_out_ends_the_session_here_and_leads_to_the_provider_s_own_end(town: Town) -> None:
    boris = await town.person("boris", BORIS)
    secret = boris.session
    answer = await boris.post("/sign-out")
    link = re.search(r'href="([^"]+/session/end[^"]*)"', await answer.text())
    assert link is not None
    address = unescape(link[1])
    assert address.startswith(f"{town.provider.issuer}/session/end?")
    assert (await boris.ask(address)).status == 200
    assert boris.session is None
    boris.cookies["ours"]["__Host-rtcc_session"] = str(secret)  # whoever kept the cookie has nothing
    assert (await boris.api("/probes")).status == 401


async def test_p29_a_session_locks_when_the_person_does_nothing_though_the_page_loads_itself(town: Town) -> None:
    boris = await town.person("boris", BORIS)
    for _ in range(10):
        town.site.kit.clock.advance(170)
        assert (await boris.ask("/", headers=LOADS_ITSELF)).status == 200
    town.site.kit.clock.advance(170)
    locked = await boris.ask("/", headers=LOADS_ITSELF)
    assert (locked.status, "has locked" in await locked.text()) == (401, True)
    assert await town.audited("session.lock") == [("e-2", "locked")]


async def test_p11_two_accounts_of_one_person_are_one_person(town: Town) -> None:
    """An analyst who is a supervisor under another account does not approve their own search."""
    await town.site.report("INC-1")
    await town.person("anna", ANNA)
    async with town.browser.http.post(
        f"{town.site.address}/api/v1/incidents/INC-1/probes",
        data=still_form(),
        headers={"Host": "rtcc.example.org", "X-Forwarded-Proto": "https", "Origin": HOME,
                 "Cookie": f"__Host-rtcc_session={town.browser.session}"},
    ) as attached:  # fmt: skip
        probe = (await attached.json())["probeId"]
    assert (await town.browser.post(f"/api/v1/probes/{probe}/face", {"number": 1})).status == 200
    async with browser(town.site) as second:
        town.browser = second
        admin = await town.person("anna-admin", {**BORIS, "preferred_username": "anna-admin", "employee": " e-1 "})
        answer = await admin.post(f"/api/v1/probes/{probe}/approve", {})
        assert (answer.status, (await answer.json(content_type=None))["rule"]) == (403, "P01")
    async with browser(town.site) as third:
        town.browser = third
        boris = await town.person("boris", BORIS)
        assert (await boris.post(f"/api/v1/probes/{probe}/approve", {})).status == 200


async def test_p10_an_analyst_whose_certificate_has_ended_begins_nothing_new(town: Town) -> None:
    await town.site.report("INC-1")
    training = [*TRAINED[1:], f"{CertificateKind.FACIAL_COMPARISON}=2020-01-01/2099-12-31"]
    await town.person("anna", {**ANNA, "training": training})
    async with town.browser.http.post(
        f"{town.site.address}/api/v1/incidents/INC-1/probes",
        data=still_form(),
        headers={"Host": "rtcc.example.org", "X-Forwarded-Proto": "https", "Origin": HOME,
                 "Cookie": f"__Host-rtcc_session={town.browser.session}"},
    ) as refused:  # fmt: skip
        problem = await refused.json(content_type=None)
    assert (refused.status, problem["rule"]) == (403, "P10")
    assert CertificateKind.FACIAL_COMPARISON in problem["detail"]


async def test_outside_the_demo_no_header_and_no_cookie_takes_an_account(town: Town) -> None:
    for headers in ({"X-Demo-Account": "administrator"}, {}):
        town.browser.cookies["ours"] = {"rtcc_demo_account": "administrator", "rtcc_session": "a" * 43}
        assert (await town.browser.api("/incidents", **headers)).status == 401
    assert (await town.browser.post("/demo/account", account="analyst")).status == 404
    assert (await town.browser.post("/sign-in", login="anna", password="correct horse battery")).status == 404


async def test_a_wall_of_an_ended_session_hears_nothing_more(town: Town) -> None:
    """The feed is one long call: whoever may not have it any more is not sent what comes after."""
    desk = await town.person("desk", FLOOR)
    headers = {
        "Host": "rtcc.example.org",
        "X-Forwarded-Proto": "https",
        "Cookie": f"__Host-rtcc_session={desk.session}",
    }
    async with desk.http.get(f"{desk.site}/api/v1/feed", headers=headers) as feed:
        assert feed.status == 200
        await feed.content.readuntil(b"\n\n")
        await town.site.services.people.sessions.end_of_provider("desk", None)
        rest = await feed.content.read()
    assert b"data:" not in rest
