"""The pages of people, galleries and oversight over HTTP: who sees what, and what looks and acts leave in the log."""

import html
import json
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import FormData

from rtcc_bridge.audit.note import VerifierKey
from rtcc_bridge.audit.receipts import read_receipt
from rtcc_bridge.errors import PolicyRefusalError
from rtcc_bridge.gallery.additions import GalleryAdditions
from rtcc_bridge.gallery.identity import GalleryKind
from rtcc_bridge.gallery.sent_enrolment import SentPictureEnroller
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.people.signed_in import SignedIn, Voucher
from rtcc_bridge.policy.accounts import DEMO_ACCOUNTS, Account, Role
from rtcc_bridge.policy.certificates import Certificate
from rtcc_bridge.policy.policy_parts import CertificateKind
from rtcc_bridge.reports.act_counter import ActCounter
from rtcc_bridge.storage import audit_tree, tables
from rtcc_bridge.storage.audit_search import EntryQuery
from rtcc_bridge.storage.engine import Database
from tests.doubles import ManualClock
from tests.gallery_kit import PACK, word_templates
from tests.life_kit import AUDITOR, PEER, THIRD, build_life
from tests.probe_kit import POLICY_FILE, Gallery, face_search, gallery_parts, record_of, search_handler
from tests.report_kit import sign_log
from tests.website import Website, acting, picture_form, running_site


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
    later = await site.attach("INC-1")
    await site.post(f"/probes/{later['probeId']}/face", "analyst", {"number": 1})
    await site.post(f"/probes/{later['probeId']}/refuse", "supervisor", {"reason": "the basis is too thin"})
    assert "The search is refused the basis is too thin" in await shown(site, "/activity", "supervisor")
    assert "Nothing in this time." in await shown(site, "/activity", "auditor")
    hold = {"caseNumber": "26-000999", "reason": "litigation"}  # which no page asks for
    async with site.client.post("/api/v1/retention/holds", json=hold, headers=acting("administrator")) as answer:
        assert answer.status == 403, await answer.text()
    administrators = await shown(site, "/activity")
    assert "Refused by P24 Nothing that was searched for this case is kept" in administrators
    assert "the list of purges tells what was destroyed and when" in administrators


async def test_p28_that_no_model_may_search_the_gallery_is_read_in_the_log_with_the_reason(site: Website) -> None:
    await site.report("INC-1")
    probe = await site.attach("INC-1")
    await site.post(f"/probes/{probe['probeId']}/face", "analyst", {"number": 1})
    await site.post(f"/probes/{probe['probeId']}/approve", "supervisor")
    search = face_search(Gallery(kind="live"))
    async with search.batcher:
        for row in await site.kit.requests():
            await search_handler(site.kit, search).handle(record_of(row))
    assert "Refused by P28" in await shown(site, "/oversight/audit?refused=true", "auditor")
    [entry] = await site.kit.rows(tables.audit_entries, outcome="refused")
    page = await shown(site, f"/oversight/audit/{entry['entry_id']}", "auditor")
    assert "A live gallery needs a model pack with a signed evaluation that is in date" in page


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
    assert f"holds until {now - timedelta(days=360) + timedelta(days=366):%Y-%m-%d} Ends soon" in careful, "noon"
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
    assert (item["images"], item["removalsWithoutSecondReceipt"]) == (0, 1)
    text = await shown(site, "/gallery/demo", "auditor")
    assert "1 person, 1 image court order 7 Waits" in text
    assert subject["subject_ref"] not in text
    assert "Remove a person for good" not in text
    assert "Remove a person for good" in await shown(site, "/gallery/demo")
    assert "1 removal waits for the second receipt" in await shown(site, "/gallery")
    await shown(site, "/gallery/none", status=404)


async def entries(site: Website, asked: str, account: str = "auditor") -> list[str]:
    """Actions of what the log is asked for, the newest first."""
    return [one["entry"]["action"] for one in (await site.get(f"/audit?{asked}", account))["items"]]


async def test_a_picture_is_sent_and_enrolled_and_the_page_says_what_became_of_each(site: Website) -> None:
    parts = gallery_parts(site.kit)
    await GalleryAdditions(parts, PACK).open_gallery("city", GalleryKind.TRAINING, "somebody")
    path = "/api/v1/galleries/city/pictures"

    async def sent(form: FormData, account: str = "administrator") -> tuple[int, dict[str, Any]]:
        async with site.client.post(path, data=form, headers=acting(account)) as answer:
            return answer.status, await answer.json()

    status, waiting = await sent(picture_form("ann-1"))
    assert (status, waiting["state"], waiting["version"]) == (201, "waiting", None)
    assert (await sent(picture_form("ann-1")))[1]["pictureId"] == waiting["pictureId"]
    status, left_out = await sent(picture_form("ann bob"))
    assert (status, left_out["state"], left_out["reason"]) == (201, "left_out", "several_faces")
    status, problem = await sent(picture_form("ann-2", provenance=" "))
    assert (status, problem["type"].rpartition(":")[2]) == (422, "no-provenance")
    assert (await sent(picture_form("ann-2", attestedAdult="false")))[1]["type"].endswith(":not-adult")
    for account in ("auditor", "analyst", "supervisor"):
        assert (await sent(picture_form("ann-2"), account))[0] == 403
    await SentPictureEnroller(parts, PACK, word_templates).enroll_some()
    items = (await site.get("/galleries/city/pictures", "administrator"))["items"]
    assert {one["words"] for one in items} == {
        "Searched from version 1 on.",
        "2 faces were found: cut out the one that is meant.",
    }
    assert "ann" not in json.dumps(items), "nobody is named"
    text = await shown(site, "/gallery/city")
    assert "Enrolled Searched from version 1 on." in text
    assert "Not enrolled 2 faces were found" in text
    assert "Ann" not in text
    assert "cut out the one that is meant" not in await shown(site, "/gallery/city", "auditor")


async def test_where_no_page_adds_to_a_gallery_it_says_why(
    database: Database, clock: ManualClock, metrics: Metrics, tmp_path: Path
) -> None:
    async with running_site(database, clock, metrics, tmp_path, fed_gallery="fed") as site:
        additions = GalleryAdditions(gallery_parts(site.kit), PACK)
        for name, kind in (("fed", GalleryKind.DEMO), ("live", GalleryKind.LIVE)):
            await additions.open_gallery(name, kind, "somebody")
            async with site.client.post(
                f"/api/v1/galleries/{name}/pictures", data=picture_form("ann-1"), headers=acting("administrator")
            ) as answer:
                assert (answer.status, (await answer.json())["rule"]) == (403, "P06")
        assert "This gallery follows the record system" in await shown(site, "/gallery/fed")
        assert "No page adds to a live gallery" in await shown(site, "/gallery/live")
        assert await site.kit.rows(tables.sent_pictures) == []


async def test_entries_are_found_by_kind_actor_matter_and_day(site: Website) -> None:
    await site.report("INC-1")
    lead = (await site.lead("INC-1"))["data"]
    await site.post(f"/leads/{lead['leadId']}/acknowledge", "analyst")
    await site.post(f"/leads/{lead['leadId']}/withdraw", "supervisor", {"reason": "the wrong still"})
    about = await entries(site, f"about={lead['leadId']}")
    assert {"probe.attach", "probe.approve", "lead.candidates", "lead.acknowledged", "lead.withdrawn"} <= set(about)
    assert await entries(site, f"about={lead['probeId']}") == about, "its search is the same matter"
    assert set(await entries(site, "kind=lead")) == {"lead.candidates", "lead.acknowledged", "lead.withdrawn"}
    assert set(await entries(site, "actor=supervisor")) == {"probe.approve", "lead.withdrawn"}
    yesterday = (site.kit.clock.now() - timedelta(days=1)).date()
    assert await entries(site, f"until={yesterday}") == []
    async with site.client.get("/api/v1/audit", headers=acting("analyst")) as answer:
        assert answer.status == 403
    assert await entries(site, "refused=true") == ["audit.view"]
    looks = await audited(site, "audit.view")
    assert {"kind": "lead"}.items() <= next(one["details"] for one in looks if one["details"].get("kind")).items()
    for bad in ("from=2026-11-20&until=2026-11-19", "from=2020-01-01", "kind=nothing", "from=soon", "behind=nothing"):
        async with site.client.get(f"/api/v1/audit?{bad}", headers=acting("auditor")) as answer:
            assert answer.status == 422, bad


async def test_p12_whoever_may_have_to_examine_does_not_look_at_the_log_nor_at_the_figures(site: Website) -> None:
    both = Account("e-9", frozenset({Role.ANALYST, Role.AUDITOR}))
    reports = site.services.reports
    now = site.kit.clock.now()
    query = EntryQuery(since=now - timedelta(days=1), before=now)
    for call in (reports.audit.search(both, query), reports.audit.entry(both, "none"), reports.figures.look(both, 7)):
        with pytest.raises(PolicyRefusalError) as refused:
            await call
        assert refused.value.rule == "P12"


async def test_pages_of_the_log_go_on_where_the_one_before_ended(
    site: Website, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rtcc_bridge.reports.audit_explorer.ENTRIES_AT_ONCE", 2)
    await site.report("INC-1")
    for _ in range(3):
        await site.attach("INC-1")
        site.kit.clock.advance(1)
    first = await site.get("/audit?kind=probe", "auditor")
    rest = await site.get(f"/audit?kind=probe&behind={first['next']}", "auditor")
    assert (len(first["items"]), len(rest["items"]), rest["next"]) == (2, 1, None)
    assert len({one["entryId"] for one in (*first["items"], *rest["items"])}) == 3
    async with site.client.get("/oversight/audit?kind=probe", headers=acting("auditor")) as answer:
        [link] = re.findall(r'rel="next" href="([^"]+)"', await answer.text())
    assert f"behind={first['next']}" in link
    assert "kind=probe" in link


async def test_an_entry_is_proved_to_a_stranger_as_soon_as_a_checkpoint_covers_it(
    site: Website, tmp_path: Path
) -> None:
    await site.report("INC-1")
    await site.attach("INC-1")
    [entry] = await audited(site, "probe.attach")
    path = f"/oversight/audit/{entry['entry_id']}"
    assert "No checkpoint covers it yet." in await shown(site, path, "auditor")
    async with site.client.get(f"/api/v1/audit/{entry['entry_id']}/receipt", headers=acting("auditor")) as answer:
        assert answer.status == 404
    await sign_log(site.kit)
    text = await shown(site, path, "auditor")
    assert "Checked here" in text
    assert entry["leaf_hash"] in text
    assert "No place outside has acknowledged" in text
    async with site.client.get(f"/api/v1/audit/{entry['entry_id']}/receipt", headers=acting("auditor")) as answer:
        assert answer.headers["Content-Disposition"].endswith(f'receipt-{entry["entry_id"]}.json"')
        receipt = read_receipt(await answer.text())
    async with site.kit.database.read() as tx:
        log = await audit_tree.log(tx)
    assert log is not None
    assert "1 entries about" in receipt.verify(VerifierKey.read(log.public_key))
    await shown(site, f"/oversight/audit/{'A' * 22}", "auditor", status=404)


async def test_the_figures_are_for_those_who_oversee_and_a_look_is_entered(site: Website) -> None:
    await site.report("INC-1")
    await site.lead("INC-1")
    async with site.client.get("/api/v1/audit", headers=acting("analyst")) as answer:
        assert answer.status == 403
    text = await shown(site, "/oversight", "auditor")
    assert "Violent offense 1" in text
    assert "P10, role or certificate 1" in text
    assert "Read what was refused to whom" in text
    assert re.search(r"2\d{3}-\d\d-\d\d 2\d{3}-\d\d-\d\d Searches a day", text), "the bars say of which days they are"
    assert "Looked for in everybody's searches, approvals and reviews: the same still again," in await shown(
        site, "/oversight/misuse"
    )
    assert "Searches by purpose" not in await shown(site, "/oversight", "supervisor")
    assert [entry["actor"] for entry in await audited(site, "oversight.figures")] == ["auditor"]
    await sign_log(site.kit)
    await ActCounter(site.kit.database).count_all()
    await site.lead("INC-1")
    text = await shown(site, "/oversight", "auditor")
    assert "Violent offense 2" in text, "one is counted already, and one is not"
    assert "P10, role or certificate 1" in text
    async with site.client.get("/oversight?days=91", headers=acting("auditor")) as answer:
        assert answer.status == 422


async def test_p10_who_may_not_oversee_is_told_that_and_not_of_a_part_of_it(site: Website) -> None:
    told = "Only an account with the role administrator, auditor or supervisor may see the pages of oversight"
    assert told in await shown(site, "/oversight", "analyst", status=403)
    assert [(entry["actor"], entry["outcome"]) for entry in await audited(site, "oversight.view")] == [
        ("analyst", "refused")
    ]
    assert await audited(site, "deferral.view") == []
    assert "See the pages of oversight" in await shown(site, "/activity", "analyst")


async def test_p12_a_review_counts_when_everybody_has_concluded_on_its_lead(site: Website) -> None:
    """On the imminent lane the reviewer may be first: that they have filed says nothing to anybody yet."""
    life, figures = build_life(site.kit), site.services.reports.figures
    lead_id = await life.taken(imminent=True)
    site.kit.clock.advance(600)
    await life.review(lead_id, PEER, (0,))
    assert (await figures.look(AUDITOR, 7)).reviews.filed == 0
    await life.conclude(lead_id, (1,))  # they differ: a third examiner is asked
    assert (await figures.look(AUDITOR, 7)).reviews.filed == 0
    await life.review(lead_id, THIRD, (0,))
    reviews = (await figures.look(AUDITOR, 7)).reviews
    assert (reviews.filed, reviews.differing, reviews.median) == (1, 1, 10.0)


async def test_a_policy_file_is_compared_with_the_one_in_force(site: Website) -> None:
    text = POLICY_FILE.read_text(encoding="utf-8")
    assert site.services.policy.title in await shown(site, "/oversight/policy", "auditor")
    path = "/policy/compare"
    same = await site.post(path, "auditor", {"text": text, "isEarlier": False})
    assert (same["isInForce"], same["lines"], same["policyHash"]) == (True, [], site.services.policy.hash)
    longer = text.replace("valid_hours: 24", "valid_hours: 12")
    assert longer != text
    [line] = (await site.post(path, "auditor", {"text": longer, "isEarlier": False}))["lines"]
    assert line.startswith("approval.valid_hours: from 24 to 12")
    [line] = (await site.post(path, "auditor", {"text": longer, "isEarlier": True}))["lines"]
    assert line.startswith("approval.valid_hours: from 12 to 24")
    async with site.client.post(
        f"/api/v1{path}", json={"text": "title: [", "isEarlier": False}, headers=acting("auditor")
    ) as answer:
        assert (answer.status, "That is no policy" in (await answer.json())["detail"]) == (422, True)
    async with site.client.post(
        f"/api/v1{path}", json={"text": "title: alone", "isEarlier": False}, headers=acting("auditor")
    ) as answer:
        told = (await answer.json())["detail"]
    assert told.count("Field required") > 1
    assert told.count("Correct the policy file") == 1
    async with site.client.post(
        f"/api/v1{path}", json={"text": text, "isEarlier": False}, headers=acting("supervisor")
    ) as answer:
        assert answer.status == 403
