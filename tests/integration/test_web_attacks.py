"""The rules attacked over the API, where no other test does: docs/policy.md names each."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from rtcc_bridge.errors import InvalidInputError
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.storage import tables
from rtcc_bridge.storage.engine import Database
from tests.audit_kit import full
from tests.doubles import ManualClock
from tests.life_kit import FIRST, build_life
from tests.website import Json, Website, acting, running_site, still_form


@pytest.fixture
async def site(database: Database, clock: ManualClock, metrics: Metrics, tmp_path: Path) -> AsyncIterator[Website]:
    async with running_site(database, clock, metrics, tmp_path) as running:
        yield running


async def answered(site: Website, method: str, path: str, account: str, body: Any = None) -> tuple[int, str | None]:
    """The status, and the rule that refused; a problem's type names the rule as well."""
    async with site.client.request(method, f"/api/v1{path}", headers=acting(account), json=body) as answer:
        problem = await answer.json(content_type=None)
    rule = problem.get("rule")
    assert rule is None or problem["type"] == f"urn:rtcc-bridge:problem:policy.{rule}"
    return answer.status, rule


async def attached(site: Website, incident_id: str = "INC-1", **changes: str | None) -> tuple[int, str | None]:
    address = f"/api/v1/incidents/{incident_id}/probes"
    async with site.client.post(address, data=still_form(changes), headers=acting("analyst")) as answer:
        return answer.status, (await answer.json()).get("rule")


async def chosen(site: Website, requestor: str = "the requestor") -> str:
    probe: Json = await site.attach("INC-1", requestor=requestor)
    await site.post(f"/probes/{probe['probeId']}/face", "analyst", {"number": 1})
    return str(probe["probeId"])


async def test_p01_a_supervisor_does_not_approve_what_they_asked_for(site: Website) -> None:
    await site.report()
    probe_id = await chosen(site, requestor=" SUPERVISOR ")
    assert await answered(site, "POST", f"/probes/{probe_id}/approve", "supervisor", {}) == (403, "P01")
    assert await site.kit.requests() == []


async def test_p03_a_moving_picture_is_no_still(site: Website) -> None:
    await site.report()
    site.kit.workers.error = InvalidInputError("the picture moves", "animated")
    assert await attached(site) == (403, "P03")
    assert site.kit.object_files() == []


async def test_p04_another_analyst_chooses_no_face(site: Website) -> None:
    await site.report()
    probe = await site.attach()
    status, rule = await answered(site, "POST", f"/probes/{probe['probeId']}/face", "reviewer", {"number": 1})
    assert (status, rule) == (403, "P04")
    assert await site.kit.requests() == []


async def test_p07_an_exercise_is_searched_in_no_live_gallery(site: Website) -> None:
    await site.report(exercise=True)
    assert await attached(site) == (403, "P07")


@pytest.mark.parametrize("field", ["lane", "imminent", "gallery", "modelPack", "analyst", "approval"])
async def test_p14_p28_nobody_chooses_the_lane_the_gallery_or_the_model(site: Website, field: str) -> None:
    """There is no such field: an upload that brings it is refused as a whole."""
    await site.report()
    assert await attached(site, **{field: "imminent"}) == (422, None)
    assert await site.kit.rows(tables.probes) == []


async def test_p14_an_approval_that_comes_too_late_is_none(site: Website) -> None:
    await site.report()
    await site.alert("INC-1")
    probe_id = await chosen(site)
    site.kit.clock.advance(3600)
    assert await answered(site, "POST", f"/probes/{probe_id}/approve", "supervisor", {}) == (403, "P14")


async def test_p15_no_caller_sets_a_constant(site: Website) -> None:
    life = build_life(site.kit)
    lead_id = await life.agreed((0,))
    body = {"candidates": [], "positiveIdentification": True}
    assert await answered(site, "POST", f"/leads/{lead_id}/release", "analyst", body) == (422, None)
    lead = (await site.get(f"/leads/{lead_id}"))["data"]
    assert (lead["positiveIdentification"], lead["probableCause"], lead["corroborationRequired"]) == (
        False,
        False,
        True,
    )


async def test_p17_not_more_than_two_are_released(site: Website) -> None:
    life = build_life(site.kit)
    lead_id = await life.agreed((0, 1, 2))
    listed = await life.listed(lead_id)
    path = f"/leads/{lead_id}/release"
    assert await answered(site, "POST", path, "analyst", {"candidates": listed}) == (403, "P17")
    assert await answered(site, "POST", path, "analyst", {}) == (403, "P17")
    assert await site.kit.events("lead.released") == []


async def test_p18_without_an_item_nothing_is_corroborated(site: Website) -> None:
    life = build_life(site.kit)
    lead_id = await life.agreed((0,))
    await life.life.release.release(lead_id, FIRST, ())
    path, said = f"/leads/{lead_id}/corroboration", {"outcome": "corroborated", "investigator": "badge 4711"}
    assert await answered(site, "POST", path, "requestor", said) == (403, "P18")
    assert await answered(site, "POST", path, "analyst", said) == (403, "P10")
    assert await site.kit.events("lead.corroborated") == []


async def test_p19_who_never_had_a_lead_neither_takes_it_back_nor_acknowledges_that(site: Website) -> None:
    lead_id = await build_life(site.kit).released()
    reason = {"reason": "it was somebody else"}
    for account in ("requestor", "floor", "auditor", "operations"):
        assert await answered(site, "POST", f"/leads/{lead_id}/withdraw", account, reason) == (403, "P10")
    assert await answered(site, "POST", f"/leads/{lead_id}/withdraw", "supervisor", {"reason": " "}) == (422, None)
    await site.post(f"/leads/{lead_id}/withdraw", "supervisor", reason)
    path = f"/leads/{lead_id}/withdrawal/acknowledge"
    assert (await answered(site, "POST", path, "supervisor"))[0] in {404, 409}
    assert (await answered(site, "POST", path, "requestor"))[0] == 200


async def test_p19_nobody_says_of_a_packet_s_receiver_that_they_know_but_who_answers_for_them(site: Website) -> None:
    lead_id = await build_life(site.kit).released()
    handed_to = {"office": "public defender", "name": "matter 26-118"}
    packet = {"reason": "motion of the defense", "handedTo": handed_to}
    address = f"/api/v1/leads/{lead_id}/discovery-packet"
    async with site.client.post(address, json=packet, headers=acting("administrator")) as answer:
        assert answer.status == 200, await answer.text()
    [_, receiver] = (await site.get(f"/leads/{lead_id}/receivers", "auditor"))["items"]
    assert {name: receiver[name] for name in handed_to} == handed_to
    path = f"/leads/{lead_id}/receivers/{receiver['receiverId']}/acknowledge"
    told = {"toldAt": site.kit.clock.now().isoformat(), "how": "by letter"}
    assert await answered(site, "POST", path, "administrator", told) == (409, None)
    await site.post(f"/leads/{lead_id}/withdraw", "supervisor", {"reason": "it was somebody else"})
    for account in ("requestor", "analyst", "auditor", "supervisor"):
        assert await answered(site, "POST", path, account, told) == (403, "P10"), account
    for unfit in ({"how": "by letter"}, {**told, "how": " "}, {**told, "toldAt": "2019-01-01T00:00:00Z"}):
        assert await answered(site, "POST", path, "administrator", unfit) == (422, None), unfit
    nobody = f"/leads/{lead_id}/receivers/{'x' * 22}/acknowledge"
    assert await answered(site, "POST", nobody, "administrator", told) == (404, None)
    outstanding = (await site.get("/withdrawals/outstanding", "auditor"))["items"]
    assert [one["receiver"]["name"] or one["receiver"]["account"] for one in outstanding] == [
        "requestor", handed_to["name"],
    ]  # fmt: skip
    for address, account, may_answer in (
        ("/oversight", "administrator", True),
        ("/oversight", "auditor", False),
        (f"/leads/{lead_id}", "supervisor", False),
    ):
        async with site.client.get(address, headers=acting(account)) as answer:
            page = await answer.text()
        assert handed_to["name"] in page, (address, account)
        assert (f'data-action="/api/v1{path}"' in page) is may_answer, (address, account)
    assert await answered(site, "POST", path, "administrator", told) == (200, None)
    [left] = (await site.get("/withdrawals/outstanding", "auditor"))["items"]
    assert left["receiver"]["account"] == "requestor"


async def test_p23_what_cannot_be_audited_does_not_happen(site: Website) -> None:
    await site.report()
    probe_id = await chosen(site)
    async with full(site.kit.database):
        assert (await attached(site))[0] >= 500
        assert (await answered(site, "POST", f"/probes/{probe_id}/approve", "supervisor", {}))[0] >= 500
    assert [row["state"] for row in await site.kit.rows(tables.probes)] == ["awaiting_approval"]
    assert await site.kit.requests() == []


async def test_p30_two_signed_in_people_order_an_export(site: Website) -> None:
    await site.kit.enrol("somebody")
    body = {"gallery": "demo", "withPictures": True, "reason": "the system is replaced"}
    path = "/galleries/exports"
    assert await answered(site, "POST", path, "supervisor", body) == (403, "P10")
    assert await answered(site, "POST", path, "administrator", {**body, "approvedBy": "supervisor"}) == (422, None)
    assert await answered(site, "POST", path, "administrator", {**body, "gallery": "nowhere"}) == (404, None)
    async with site.client.post(f"/api/v1{path}", json=body, headers=acting("administrator")) as answer:
        assert answer.status == 201, await answer.text()
        order = await answer.json()
    approve = f"{path}/{order['orderId']}/approve"
    assert await answered(site, "POST", approve, "administrator") == (403, "P30")
    approved = await site.post(approve, "supervisor")
    assert (approved["askedBy"], approved["approvedBy"]) == ("administrator", "supervisor")
    assert await answered(site, "POST", approve, "supervisor") == (409, None)
    [listed] = (await site.get(path, "auditor"))["items"]
    assert listed == approved
    acts = {(row["action"], row["actor"], row["outcome"]) for row in await site.kit.rows(tables.audit_entries)}
    assert acts >= {
        ("gallery.ask_export", "supervisor", "refused"),
        ("gallery.ask_export", "administrator", "asked"),
        ("gallery.approve_export", "administrator", "refused"),
        ("gallery.approve_export", "supervisor", "approved"),
        ("gallery.see_exports", "auditor", "shown"),
    }


async def test_p17_two_signed_in_people_have_everybody_on_a_list_identified(site: Website) -> None:
    lead_id = await build_life(site.kit).released(people=3)
    body, path = {"leadId": lead_id, "courtOrder": "order 26-7"}, "/disclosure-orders"
    packet = f"/leads/{lead_id}/discovery-packet"
    assert await answered(site, "POST", path, "supervisor", body) == (403, "P10")
    assert await answered(site, "POST", path, "administrator", {**body, "approvedBy": "supervisor"}) == (422, None)
    assert await answered(site, "POST", path, "administrator", {"courtOrder": "order 26-7"}) == (422, None)
    assert await answered(site, "POST", path, "administrator", {**body, "leadId": "x" * 22}) == (404, None)
    handed_to = {"office": "public defender", "name": "matter 26-118"}
    alone = {"reason": "motion of the defense", "handedTo": handed_to, "courtOrder": "order 26-7"}
    assert await answered(site, "POST", packet, "administrator", alone) == (422, None), "words are no second person"
    async with site.client.post(f"/api/v1{path}", json=body, headers=acting("administrator")) as answer:
        assert answer.status == 201, await answer.text()
        order = await answer.json()
    wanted = {"reason": "motion of the defense", "handedTo": handed_to, "disclosureOrder": order["orderId"]}
    assert await answered(site, "POST", packet, "administrator", wanted) == (403, "P17")
    approve = f"{path}/{order['orderId']}/approve"
    assert await answered(site, "POST", approve, "administrator") == (403, "P17")
    approved = await site.post(approve, "supervisor")
    assert (approved["leadIds"], approved["askedBy"], approved["approvedBy"]) == (
        [lead_id], "administrator", "supervisor",
    )  # fmt: skip
    assert await answered(site, "POST", approve, "supervisor") == (409, None)
    async with site.client.post(f"/api/v1{packet}", json=wanted, headers=acting("administrator")) as answer:
        assert answer.status == 200, await answer.text()
    assert await answered(site, "POST", packet, "administrator", wanted) == (403, "P17")
    [listed] = (await site.get(path, "auditor"))["items"]
    assert listed["madeAt"] is not None


@pytest.mark.parametrize(
    ("method", "path", "account"),
    [
        ("GET", "/incidents/a%00b", "analyst"),
        ("POST", "/incidents/a%00b/disposition", "supervisor"),
        ("GET", "/galleries/a%00b/pictures", "administrator"),
        ("POST", "/disclosure-orders/a%00b/approve", "supervisor"),
        ("POST", "/retention/holds/a%00b/lift", "administrator"),
    ],
)
async def test_nothing_has_a_name_that_no_database_takes(site: Website, method: str, path: str, account: str) -> None:
    """PostgreSQL refuses a text with a zero in it: that would be an error of the server's."""
    status, _ = await answered(site, method, path, account, None if method == "GET" else {})
    assert status == 404


async def test_what_no_database_takes_is_told_to_whoever_sends_it(site: Website) -> None:
    await site.report()
    for path in ("/board/changes?incident=a%00b", "/oversight/audit?actor=a%00b"):
        async with site.client.get(path, headers=acting("auditor")) as answer:
            assert answer.status == 422, path
    told = await answered(site, "POST", "/incidents/INC-1/imminent", "supervisor", {"reason": "a\0b"})
    assert told == (422, None)
    assert (await attached(site, caseNumber="a\0b"))[0] == 422
    assert await site.kit.rows(tables.probes) == []
