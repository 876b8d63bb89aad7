"""The pages of people, galleries and oversight over HTTP: who sees what, and what looks and acts leave in the log."""

import html
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rtcc_bridge.metrics import Metrics
from rtcc_bridge.people.signed_in import SignedIn, Voucher
from rtcc_bridge.policy.accounts import DEMO_ACCOUNTS, Account, Role
from rtcc_bridge.policy.certificates import Certificate
from rtcc_bridge.policy.policy_parts import CertificateKind
from rtcc_bridge.storage import tables
from rtcc_bridge.storage.engine import Database
from tests.doubles import ManualClock
from tests.website import Website, acting, running_site


@pytest.fixture
async def site(database: Database, clock: ManualClock, metrics: Metrics, tmp_path: Path) -> AsyncIterator[Website]:
    async with running_site(database, clock, metrics, tmp_path) as running:
        yield running


async def shown(site: Website, path: str, account: str = "administrator", status: int = 200) -> str:
    """The text of a page, without its markup."""
    async with site.client.get(path, headers={**acting(account), "Accept": "text/html"}) as answer:
        text = await answer.text()
        assert answer.status == status, text
    main = text[text.index("<main") : text.index("</main>")]
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", main)).split())


async def audited(site: Website, action: str) -> list[dict[str, Any]]:
    rows = await site.kit.rows(tables.audit_entries, action=action)
    return [{**row, **row["entry"]} for row in rows]


async def test_everybody_sees_their_own_acts_and_refusals_and_nobody_elses(site: Website) -> None:
    await site.report("INC-1")
    probe = await site.attach("INC-1")
    await site.post(f"/probes/{probe['probeId']}/face", "analyst", {"number": 1})
    async with site.client.post(f"/api/v1/probes/{probe['probeId']}/approve", headers=acting("analyst")) as answer:
        assert answer.status == 403
    await site.post(f"/probes/{probe['probeId']}/approve", "supervisor")
    own = await shown(site, "/activity", "analyst")
    assert "Attach a still" in own
    assert "Refused by P10 Only an account with the role supervisor" in own
    assert "Violent offense: Homicide" in own
    assert '"actor": "supervisor"' not in own
    supervisors = await shown(site, "/activity", "supervisor")
    assert "Searches that you decided on Violent offense: Homicide" in supervisors
    assert "Attach a still" not in supervisors
    assert "Nothing in this time." in await shown(site, "/activity", "auditor")


async def test_acts_come_in_pages_of_the_time_that_is_asked_for(site: Website, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtcc_bridge.reports.activity.MOST_ACTS", 2)
    await site.report("INC-1")
    for hours in (24 * 9, 1, 1, 1):  # before each, so that the first is of nine days before the others
        await site.attach("INC-1")
        site.kit.clock.advance(3600 * hours)
    async with site.client.get("/activity?days=7", headers=acting("analyst")) as answer:
        first = await answer.text()
    assert first.count("As the log holds it") == 2
    [rest] = re.findall(r'href="(/activity\?days=7&amp;behind=[^"]+)"', first)
    async with site.client.get(html.unescape(rest), headers=acting("analyst")) as answer:
        second = await answer.text()
    assert second.count("As the log holds it") == 1
    assert "Earlier ones" not in second
    for bad in ("days=0", "days=91", "behind=nothing"):
        async with site.client.get(f"/activity?{bad}", headers=acting("analyst")) as answer:
            assert answer.status == 422


def analyst(name: str, now: Any, refresher_days_ago: int | None) -> Account:
    """An analyst whose courses are fresh but for the yearly refresher; None: without it."""
    held = {kind.value: Certificate(now - timedelta(days=10)) for kind in CertificateKind}
    del held[CertificateKind.YEARLY_REFRESHER]
    if refresher_days_ago is not None:
        held[CertificateKind.YEARLY_REFRESHER] = Certificate(now - timedelta(days=refresher_days_ago))
    return Account(name, frozenset({Role.ANALYST}), held, f"login-of-{name}")


async def test_whose_certificates_end_stands_on_top_by_their_end(site: Website) -> None:
    now = site.kit.clock.now()
    for name, days in (("fresh", 5), ("ends-soon", 340), ("ends-first", 360), ("without", None), ("over", 400)):
        person = SignedIn(voucher=Voucher.LOCAL, account=analyst(name, now, days))
        await site.services.people.sessions.begin(person)
    text = await shown(site, "/people")
    careful, others = text.split("Everybody else")
    places = [careful.index(name) for name in ("over", "without", "ends-first", "ends-soon")]
    assert places == sorted(places)
    assert "fresh" in others
    assert "analyst" in others, "the demo's accounts, which nobody signs in with"
    assert f"holds until {now - timedelta(days=360) + timedelta(days=366):%Y-%m-%d} Ends soon" in careful
    assert "Yearly refresher Missing" in careful
    assert "Not in date" in careful
    assert [entry["outcome"] for entry in await audited(site, "people.view")] == ["shown"]


async def test_somebody_is_signed_out_everywhere_and_is_told_so(site: Website) -> None:
    account = analyst("e-7", site.kit.clock.now(), 5)
    secrets = [
        await site.services.people.sessions.begin(SignedIn(voucher=Voucher.LOCAL, account=account)) for _ in range(2)
    ]
    other = await site.services.people.sessions.begin(
        SignedIn(voucher=Voucher.LOCAL, account=analyst("e-8", site.kit.clock.now(), 5))
    )
    assert "Reason, to sign e-7 out" in await shown(site, "/people")
    assert "Reason, to sign" not in await shown(site, "/people", "auditor")
    done = await site.post("/people/e-7/sign-out", "administrator", {"reason": "left a machine open"})
    assert done == {"person": "e-7", "sessionsEnded": 2}
    [left] = await site.kit.rows(tables.sessions)
    assert left["person"] == "e-8"
    assert other not in secrets
    [entry] = await audited(site, "people.end_sessions")
    assert (entry["actor"], entry["subject"], entry["details"]["reason"]) == (
        "administrator",
        "e-7",
        "left a machine open",
    )
    ends = await audited(site, "session.end")
    assert [(one["actor"], one["outcome"]) for one in ends] == [("administrator", "ended_by_administrator")] * 2
    [person] = await site.kit.rows(tables.people, person="e-7")
    assert person["unvouched_since"] is not None, "nobody asks them to be a third examiner"
    found = await site.services.reports.activity.of(account, 7)
    assert [one.action for one in found.about] == ["people.end_sessions"]
    async with site.client.post(
        "/api/v1/people/e-7/sign-out", json={"reason": "again"}, headers=acting("administrator")
    ) as answer:
        assert answer.status == 404
    assert (await site.services.reports.activity.of(DEMO_ACCOUNTS["analyst"], 7)).about == []


async def test_a_person_is_removed_with_a_receipt_and_their_live_leads_are_withdrawn(site: Website) -> None:
    await site.report("INC-1")
    lead = await site.lead("INC-1")
    [subject] = await site.kit.rows(tables.subjects)
    path, body = "/galleries/demo/expunge", {"person": subject["subject_ref"], "reason": "court order 7"}
    for account in ("auditor", "supervisor"):
        async with site.client.post(f"/api/v1{path}", json=body, headers=acting(account)) as answer:
            assert answer.status == 403
    receipt = await site.post(path, "administrator", body)
    assert (receipt["imagesRemoved"], receipt["leadsWithdrawn"], receipt["version"]) == (1, 1, 2)
    [entry] = await audited(site, "gallery.expunged")
    assert (entry["leaf_hash"], entry["actor"]) == (receipt["auditLeaf"], "administrator")
    assert (await site.get(f"/leads/{lead['data']['leadId']}"))["data"]["reviewState"] == "withdrawn"
    for wrong, status in ((body, 409), ({**body, "person": "nobody"}, 404), ({**body, "reason": ""}, 422)):
        async with site.client.post(f"/api/v1{path}", json=wrong, headers=acting("administrator")) as answer:
            assert answer.status == status
    [item] = (await site.get("/galleries", "auditor"))["items"]
    assert (item["images"], item["removalsWithoutSecondReceipt"]) == (0, 2)
    text = await shown(site, "/gallery/demo", "auditor")
    assert "1 person, 1 image court order 7 Waits" in text
    assert subject["subject_ref"] not in text
    assert "Remove a person for good" not in text
    assert "Remove a person for good" in await shown(site, "/gallery/demo")
    assert "2 removals wait for the second receipt" in await shown(site, "/gallery")
    await shown(site, "/gallery/none", status=404)
