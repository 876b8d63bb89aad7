"""P12: what oversees the examinations tells nobody of them who may be asked to examine one, whatever else they are."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rtcc_bridge.errors import PolicyRefusalError
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.policy.accounts import DEMO_ACCOUNTS, Account, Role
from rtcc_bridge.reports.desks import ReportDesks
from rtcc_bridge.reports.discovery import PacketOrder
from rtcc_bridge.retention.holds import HoldOrder
from rtcc_bridge.storage.audit_search import EntryQuery
from rtcc_bridge.storage.engine import Database
from tests.doubles import ManualClock
from tests.life_kit import ADMINISTRATOR, LifeKit, build_life
from tests.probe_kit import CERTIFIED, FORM
from tests.report_kit import DEFENSE, ordered, report_desks
from tests.retention_kit import RetentionKit
from tests.website import Website, acting, running_site

NOT_ALONE = tuple(
    Account(f"{role}-who-examines", frozenset({role, Role.ANALYST}), CERTIFIED)
    for role in (Role.ADMINISTRATOR, Role.AUDITOR)
)
ORDER = PacketOrder(reason="motion of the defense", handed_to=DEFENSE)
PACKET = {"reason": ORDER.reason, "handedTo": {"office": DEFENSE.office, "name": DEFENSE.name}}
ADMINISTRATORS_ALONE = ("packet of a lead", "packet of a case", "signs of misuse")

Call = Callable[[], Awaitable[Any]]


def calls(desks: ReportDesks, account: Account, life: LifeKit, lead_id: str, entry: str) -> dict[str, tuple[str, Call]]:
    """By a name for it: the action under which the log has the call, and the call."""
    now = life.kit.clock.now()
    query = EntryQuery(since=now - timedelta(days=1), before=now + timedelta(days=1))
    return {
        "access log": (
            "record.access_log",
            lambda: desks.access_log.make(account, "demo", "person", "asked for"),
        ),
        "audit log": ("audit.view", lambda: desks.audit.search(account, query)),
        "entry": ("audit.view", lambda: desks.audit.entry(account, entry)),
        "proof": ("audit.view", lambda: desks.audit.receipt(account, entry)),
        "figures": ("oversight.figures", lambda: desks.figures.look(account, 7)),
        "legal holds": ("retention.holds", lambda: RetentionKit(life).desk.holds.every(account)),
        "signs of misuse": ("misuse.view", lambda: desks.misuse.look(account)),
        "packet of a lead": (
            "lead.discovery_packet",
            lambda: desks.discovery.of_lead(account, lead_id, ORDER),
        ),
        "orders to identify everybody": (
            "lead.see_disclosures",
            lambda: desks.disclosures.every(account),
        ),
        "packet of a case": (
            "lead.discovery_packet",
            lambda: desks.discovery.of_case(account, str(FORM.case_number), ORDER),
        ),
    }


async def overseen(life: LifeKit) -> tuple[str, str]:
    """A lead that was released, and an entry of the log: whoever may look finds something at each of the calls."""
    await life.enrol("person")
    lead_id = await life.released()
    await ordered(life.kit, lead_id)
    [entry] = await life.kit.audited("lead.released")
    return lead_id, str(entry["entry_id"])


async def test_whoever_examines_as_well_is_told_nothing(life: LifeKit, tmp_path: Path) -> None:
    lead_id, entry = await overseen(life)
    desks = report_desks(life.kit, tmp_path)
    await RetentionKit(life).desk.holds.place(ADMINISTRATOR, HoldOrder(lead_id=lead_id), "a letter of the court")
    for account in NOT_ALONE:
        for name, (action, call) in calls(desks, account, life, lead_id, entry).items():
            if name in ADMINISTRATORS_ALONE and Role.ADMINISTRATOR not in account.roles:
                continue  # P10 refuses it already
            before = await life.kit.audited(action)
            with pytest.raises(PolicyRefusalError, match="no analyst") as caught:
                await call()
            assert caught.value.rule == "P12", name
            [told] = [one for one in await life.kit.audited(action) if one not in before]
            assert (told["actor"], told["outcome"]) == (account.name, "refused"), name
    for name, (_, call) in calls(desks, ADMINISTRATOR, life, lead_id, entry).items():
        if name != "proof":  # which waits for a checkpoint
            assert await call(), f"it is for the examining alone that they were refused: {name}"


@pytest.fixture
async def site(
    database: Database, clock: ManualClock, metrics: Metrics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Website]:
    """With accounts that bear two roles, as the provider of an agency may give them."""
    accounts = dict(DEMO_ACCOUNTS) | {account.name: account for account in NOT_ALONE}
    monkeypatch.setattr("rtcc_bridge.policy.accounts.DEMO_ACCOUNTS", accounts)
    async with running_site(database, clock, metrics, tmp_path) as running:
        yield running


async def test_neither_is_it_by_the_api_or_a_page(site: Website) -> None:
    lead_id, entry = await overseen(build_life(site.kit))
    asked = {"gallery": "demo", "person": "person", "reason": "asked for"}
    addresses: list[tuple[str, str, dict[str, Any] | None]] = [
        ("POST", "/api/v1/reports/access-log", asked),
        ("GET", "/api/v1/audit", None),
        ("GET", f"/api/v1/audit/{entry}/receipt", None),
        ("GET", "/oversight/audit", None),
        ("GET", f"/oversight/audit/{entry}", None),
        ("GET", "/api/v1/retention/holds", None),
        ("GET", "/api/v1/reports/misuse", None),
        ("GET", "/oversight/misuse", None),
        ("POST", f"/api/v1/leads/{lead_id}/discovery-packet", PACKET),
        ("GET", "/api/v1/disclosure-orders", None),
    ]
    [administrator, auditor] = [account.name for account in NOT_ALONE]
    tried = 0
    for method, path, body in addresses:
        for account in (administrator,) if re.search("packet|misuse", path) else (administrator, auditor):
            async with site.client.request(method, path, json=body, headers=acting(account)) as answer:
                content = await answer.text()
            assert answer.status == 403, (path, account, content)
            assert "P12" in content
            assert "lead.released" not in content
            tried += 1
    assert site.kit.count("policy_refusals_total", rule="P12") == tried
    async with site.client.get("/oversight", headers=acting(administrator)) as answer:
        assert answer.status == 200
        page = await answer.text()
    assert "/oversight/audit" not in page
    assert "/oversight/misuse" not in page
    assert await site.kit.audited("oversight.figures") == [], "what it shows is without the figures"
