"""P29: accounts lock after failed sign-ins, sessions when idle and after a day's work."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from rtcc_bridge.errors import PolicyRefusalError
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.people.local_accounts import LocalAccounts
from rtcc_bridge.people.passwords import Passwords
from rtcc_bridge.policy.accounts import DEMO_ACCOUNTS, Role
from rtcc_bridge.storage import tables
from rtcc_bridge.storage.engine import Database
from tests.doubles import ManualClock
from tests.website import Website, running_site

PASSWORD = "correct horse battery"
ADMINISTRATOR = DEMO_ACCOUNTS["administrator"]
OWN_PAGE = {"Sec-Fetch-Site": "same-origin"}
LOADS_ITSELF = {**OWN_PAGE, "Sec-Fetch-Mode": "cors"}


@pytest.fixture
async def site(
    database: Database, clock: ManualClock, metrics: Metrics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Website]:
    """Its passwords take no third of a second of a core each."""
    quick = partial(PasswordHasher, time_cost=1, memory_cost=64, parallelism=1)
    monkeypatch.setattr("rtcc_bridge.people.passwords.PasswordHasher", quick)
    async with running_site(database, clock, metrics, tmp_path, identity={"role_switch": False}) as running:
        await accounts_of(running).add(ADMINISTRATOR, "boris", [Role.SUPERVISOR], PASSWORD)
        yield running


def accounts_of(site: Website) -> LocalAccounts:
    assert site.services.people.accounts is not None
    return site.services.people.accounts


async def sign_in(site: Website, login: str = "boris", password: str = PASSWORD) -> str | None:
    """The session's cookie; None when the person was not let in."""
    fields = {"login": login, "password": password}
    async with site.client.post("/sign-in", data=fields, headers=OWN_PAGE, allow_redirects=False) as answer:
        text = await answer.text()
        assert password not in text
        if answer.status == 303:
            return answer.cookies["rtcc_session"].value
        assert (answer.status, "do not fit together" in text) == (403, True)
        return None


async def status(site: Website, cookie: str, headers: dict[str, str] | None = None) -> int:
    sent = {**(headers or OWN_PAGE), "Cookie": f"rtcc_session={cookie}"}
    async with site.client.get("/api/v1/probes", headers=sent) as answer:
        return answer.status


async def test_a_person_signs_in_with_name_and_password(site: Website) -> None:
    cookie = await sign_in(site, " Boris ")
    assert cookie is not None
    assert await status(site, cookie) == 200
    assert await status(site, cookie[:-1] + "x") == 401


@pytest.mark.parametrize("login", ["boris", "nobody-of-that-name", "", "x" * 300, "'; --"])
async def test_a_wrong_password_lets_nobody_in_and_tells_nothing(site: Website, login: str) -> None:
    assert await sign_in(site, login, "wrong password of somebody") is None
    assert await site.kit.rows(tables.sessions) == []
    [entry] = await site.kit.rows(tables.audit_entries, action="session.begin")
    assert (entry["outcome"], entry["entry"]["details"]["rule"]) == ("refused", "P29")
    assert "wrong password" not in str(entry)


async def test_five_failures_lock_the_account_also_for_the_right_password(site: Website) -> None:
    for _ in range(5):
        assert await sign_in(site, password="wrong password of boris") is None
    assert await sign_in(site) is None
    site.kit.clock.advance(14 * 60)
    assert await sign_in(site) is None
    site.kit.clock.advance(61)
    assert await sign_in(site) is not None


async def test_many_guesses_at_once_do_not_get_past_the_limit(site: Website) -> None:
    wrong = [sign_in(site, password=f"wrong password {number}") for number in range(8)]
    assert await asyncio.gather(*wrong) == [None] * 8
    [row] = await site.kit.rows(tables.local_accounts)
    assert row["failed_sign_ins"] == 5
    assert await sign_in(site) is None


async def test_a_right_password_starts_the_count_again(site: Website) -> None:
    for _ in range(2):
        for _ in range(4):
            assert await sign_in(site, password="wrong password of boris") is None
        assert await sign_in(site) is not None


async def test_a_new_password_unlocks_the_account_and_ends_its_sessions(site: Website) -> None:
    cookie = await sign_in(site)
    assert cookie is not None
    for _ in range(5):
        await sign_in(site, password="wrong password of boris")
    assert await accounts_of(site).set_password(ADMINISTRATOR, "boris", "another horse battery") == 1
    assert await status(site, cookie) == 401
    assert await sign_in(site) is None
    assert await sign_in(site, password="another horse battery") is not None


async def test_a_disabled_account_is_out_with_the_next_request(site: Website) -> None:
    cookie = await sign_in(site)
    assert cookie is not None
    await accounts_of(site).disable(ADMINISTRATOR, "boris")
    assert await status(site, cookie) == 401
    assert await sign_in(site) is None


async def test_whose_account_is_disabled_is_asked_to_examine_nothing(site: Website) -> None:
    assert await sign_in(site) is not None
    await accounts_of(site).set_password(ADMINISTRATOR, "boris", "another horse battery")
    [person] = await site.kit.rows(tables.people)
    assert person["unvouched_since"] is None
    await accounts_of(site).disable(ADMINISTRATOR, "boris")
    [person] = await site.kit.rows(tables.people)
    assert person["unvouched_since"] == site.kit.clock.now()


@pytest.mark.parametrize(("login", "person"), [("system", None), ("nobody", None), ("boris.two", "Administrator ")])
async def test_no_account_is_of_one_of_our_own_actors(site: Website, login: str, person: str | None) -> None:
    with pytest.raises(PolicyRefusalError, match="uses for itself") as caught:
        await accounts_of(site).add(ADMINISTRATOR, login, [Role.SUPERVISOR], PASSWORD, person=person)
    assert caught.value.rule == "P29"
    assert len(await site.kit.rows(tables.local_accounts)) == 1


async def test_a_role_that_is_taken_from_a_local_account_is_gone_with_the_next_request(site: Website) -> None:
    cookie = await sign_in(site)
    assert cookie is not None
    async with site.kit.database.write() as tx:
        await tx.execute(tables.local_accounts.update().values(roles=["floor"]))
    assert await status(site, cookie) == 403


async def test_a_session_locks_after_half_an_hour_in_which_the_person_did_nothing(site: Website) -> None:
    cookie = await sign_in(site)
    assert cookie is not None
    for _ in range(3):
        site.kit.clock.advance(29 * 60)
        assert await status(site, cookie) == 200
    site.kit.clock.advance(30 * 60)
    assert await status(site, cookie) == 401
    [entry] = await site.kit.audited("session.lock")
    assert entry["actor"] == "boris"


async def test_a_page_that_loads_itself_does_not_keep_a_session_open(site: Website) -> None:
    cookie = await sign_in(site)
    assert cookie is not None
    for _ in range(6):
        site.kit.clock.advance(299)
        assert await status(site, cookie, LOADS_ITSELF) == 200
    site.kit.clock.advance(10)
    assert await status(site, cookie, LOADS_ITSELF) == 401


async def test_a_session_ends_after_a_day_s_work_whatever_is_done_in_it(site: Website) -> None:
    cookie = await sign_in(site)
    assert cookie is not None
    for _ in range(12 * 3 - 1):
        site.kit.clock.advance(20 * 60)
        assert await status(site, cookie) == 200
    site.kit.clock.advance(20 * 60)
    assert await status(site, cookie) == 401


async def test_a_clock_that_is_set_back_locks_rather_than_prolongs(site: Website) -> None:
    cookie = await sign_in(site)
    assert cookie is not None
    site.kit.clock.advance(-3600)
    assert await status(site, cookie) == 401


async def test_signing_in_ends_the_session_that_the_browser_had(site: Website) -> None:
    first = await sign_in(site)
    fields = {"login": "boris", "password": PASSWORD}
    headers = {**OWN_PAGE, "Cookie": f"rtcc_session={first}"}
    async with site.client.post("/sign-in", data=fields, headers=headers, allow_redirects=False) as answer:
        second = answer.cookies["rtcc_session"].value
    assert first is not None
    assert (await status(site, first), await status(site, second)) == (401, 200)


async def test_signing_out_ends_the_session(site: Website) -> None:
    cookie = await sign_in(site)
    assert cookie is not None
    headers = {**OWN_PAGE, "Cookie": f"rtcc_session={cookie}"}
    async with site.client.post("/sign-out", headers=headers, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, "/sign-in")
    assert await status(site, cookie) == 401


async def test_another_site_s_page_signs_nobody_in_or_out(site: Website) -> None:
    cookie = await sign_in(site)
    assert cookie is not None
    foreign = {"Sec-Fetch-Site": "cross-site", "Cookie": f"rtcc_session={cookie}"}
    fields = {"login": "boris", "password": PASSWORD}
    for path, data in (("/sign-out", None), ("/sign-in", fields)):
        async with site.client.post(path, data=data, headers=foreign, allow_redirects=False) as answer:
            assert answer.status == 403
    assert await status(site, cookie) == 200


async def test_a_password_is_hashed_as_rfc_9106_has_it_for_machines_with_little_memory() -> None:
    assert (await Passwords().hash(PASSWORD)).startswith("$argon2id$v=19$m=65536,t=3,p=4$")


async def test_passwords_are_kept_as_argon2id_and_nowhere_else(site: Website) -> None:
    await sign_in(site)
    [row] = await site.kit.rows(tables.local_accounts)
    assert row["password_hash"].startswith("$argon2id$")
    everything = [str(await site.kit.rows(table)) for table in tables.metadata.sorted_tables]
    assert not any(PASSWORD in text for text in everything)
