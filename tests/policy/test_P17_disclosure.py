"""P17: whom two examiners did not agree on is identified for a court on an order that two people gave, once."""

import asyncio
import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rtcc_bridge.errors import ConflictError, InvalidInputError, NotFoundError, PolicyRefusalError
from rtcc_bridge.policy.accounts import Account, Role
from rtcc_bridge.reports.desks import ReportDesks
from rtcc_bridge.reports.discovery import PacketOrder
from rtcc_bridge.storage import tables
from rtcc_bridge.storage.orders import DISCLOSURE_ORDERS
from tests.life_kit import ADMINISTRATOR, AUDITOR, SUPERVISOR, LifeKit
from tests.probe_kit import FORM
from tests.report_kit import COURT_ORDER, DEFENSE, ordered, report_desks

AGAIN = Account(" Administrator ", frozenset({Role.SUPERVISOR}), login="the other account")
"""The same person by another account."""
ALONE = PacketOrder(reason="motion of the defense", handed_to=DEFENSE)
DAY = 24 * 3600


@pytest.fixture
def desks(life: LifeKit, tmp_path: Path) -> ReportDesks:
    return report_desks(life.kit, tmp_path)


async def withdrawn(life: LifeKit) -> str:
    """A lead on which nobody has concluded, and which one administrator has taken back alone."""
    lead_id = await life.lead()
    await life.life.withdrawal.withdraw(lead_id, ADMINISTRATOR, "a reason")
    return lead_id


def contents(data: bytes) -> dict[str, bytes]:
    """By its name in the packet's folder."""
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        return {name.split("/", 1)[1]: packed.read(name) for name in packed.namelist()}


async def packet(desks: ReportDesks, lead_id: str, order: PacketOrder) -> dict[str, bytes]:
    return contents((await desks.discovery.of_lead(ADMINISTRATOR, lead_id, order)).data)


def named(files: dict[str, bytes], folder: str = "lead-1") -> set[str]:
    """Who is identified in it, by the agency's reference; whoever is not has no picture there either."""
    facts = json.loads(files[f"{folder}/facts.json"])
    persons = {one["person"] for one in facts["candidates"] if one["person"] is not None}
    assert bool(persons) == any(f"{folder}/pictures/candidate-" in name for name in files)
    return persons


async def refused(desks: ReportDesks, lead_id: str, order_id: str) -> str:
    with pytest.raises(PolicyRefusalError) as caught:
        await desks.discovery.of_lead(ADMINISTRATOR, lead_id, replace(ALONE, disclosure=order_id))
    assert caught.value.rule == "P17"
    return str(caught.value)


async def test_nobody_alone_learns_who_is_on_a_list(life: LifeKit, desks: ReportDesks) -> None:
    lead_id = await withdrawn(life)
    assert named(await packet(desks, lead_id, ALONE)) == set()
    order = await desks.disclosures.ask(ADMINISTRATOR, COURT_ORDER, lead_id=lead_id)
    assert "another person" in await refused(desks, lead_id, order.order_id)
    for same in (ADMINISTRATOR, AGAIN, replace(AGAIN, name="ADMINISTRATOR")):
        with pytest.raises(PolicyRefusalError) as caught:
            await desks.disclosures.approve(same, order.order_id)
        assert caught.value.rule == "P17"
    assert "another person" in await refused(desks, lead_id, order.order_id)
    assert [one["outcome"] for one in await life.kit.audited("lead.approve_disclosure")] == ["refused"] * 3


async def test_two_people_have_everybody_identified_and_are_named(life: LifeKit, desks: ReportDesks) -> None:
    lead_id = await withdrawn(life)
    wanted = await ordered(life.kit, lead_id)
    files = await packet(desks, lead_id, wanted)
    assert named(files) == {row["subject_ref"] for row in await life.kit.rows(tables.subjects)}
    by = {"order": wanted.disclosure, "askedBy": "administrator", "approvedBy": "supervisor"}
    about = json.loads(files["packet.json"])
    assert (about["courtOrder"], about["disclosureOrder"]) == (COURT_ORDER, by)
    assert "Every candidate of the lists" in files["README.txt"].decode()
    facts = json.loads(files["lead-1/facts.json"])
    assert {"lead.ask_disclosure", "lead.approve_disclosure"} <= {step["action"] for step in facts["timeline"]}
    [entry] = await life.kit.audited("lead.discovery_packet")
    details = entry["entry"]["details"]
    assert (details["identified"], details["courtOrder"], details["disclosureOrder"]) == ("all", COURT_ORDER, by)


async def test_one_order_is_one_packet(life: LifeKit, desks: ReportDesks) -> None:
    lead_id = await withdrawn(life)
    wanted = await ordered(life.kit, lead_id)
    await packet(desks, lead_id, wanted)
    assert "one order, one packet" in await refused(desks, lead_id, str(wanted.disclosure))
    at_once = await ordered(life.kit, lead_id)
    both = await asyncio.gather(*(packet(desks, lead_id, at_once) for _ in range(2)), return_exceptions=True)
    assert [type(one) for one in both if not isinstance(one, dict)] == [PolicyRefusalError]


async def test_it_is_for_the_leads_that_were_approved(life: LifeKit, desks: ReportDesks) -> None:
    lead_id = await withdrawn(life)
    life.kit.clock.advance(60)
    other = await withdrawn(life)
    assert "other leads" in await refused(desks, other, str((await ordered(life.kit, lead_id)).disclosure))
    of_case = await ordered(life.kit, case_number=f" {FORM.case_number}")
    assert "other leads" in await refused(desks, lead_id, str(of_case.disclosure))
    life.kit.clock.advance(60)
    await withdrawn(life)
    made = await desks.discovery.of_case(ADMINISTRATOR, str(FORM.case_number), of_case)
    files = contents(made.data)
    assert [len(named(files, f"lead-{number}")) for number in (1, 2, 3)] == [3, 3, 0], "the third came later"
    assert "the list in lead-1, lead-2, by an order" in files["README.txt"].decode()
    entries = await life.kit.audited("lead.discovery_packet")
    assert [one["entry"]["details"]["identified"] for one in entries if one["outcome"] == "made"] == [
        "all", "all", "released",
    ]  # fmt: skip


async def test_it_does_not_last(life: LifeKit, desks: ReportDesks) -> None:
    lead_id = await withdrawn(life)
    approved = await ordered(life.kit, lead_id)
    waiting = await desks.disclosures.ask(ADMINISTRATOR, COURT_ORDER, lead_id=lead_id)
    life.kit.clock.advance(DAY)
    assert "time" in await refused(desks, lead_id, str(approved.disclosure))
    with pytest.raises(PolicyRefusalError, match="time") as caught:
        await desks.disclosures.approve(SUPERVISOR, waiting.order_id)
    assert caught.value.rule == "P17"


async def test_what_is_asked_for_is_there_and_is_approved_once(life: LifeKit, desks: ReportDesks) -> None:
    lead_id = await withdrawn(life)
    ask = desks.disclosures.ask
    neither: dict[str, Any] = {}
    for words, what in ((COURT_ORDER, neither), (COURT_ORDER, {"lead_id": lead_id, "case_number": "26-1"})):
        with pytest.raises(InvalidInputError):
            await ask(ADMINISTRATOR, words, **what)
    with pytest.raises(InvalidInputError, match="order of the court"):
        await ask(ADMINISTRATOR, " ", lead_id=lead_id)
    for missing in ({"lead_id": "x" * 22}, {"case_number": "another case"}):
        with pytest.raises(NotFoundError):
            await ask(ADMINISTRATOR, COURT_ORDER, **missing)
    order = await ordered(life.kit, lead_id)
    with pytest.raises(ConflictError):
        await desks.disclosures.approve(SUPERVISOR, str(order.disclosure))
    for made_up in (
        desks.disclosures.approve(SUPERVISOR, "made up"),
        desks.discovery.of_lead(ADMINISTRATOR, lead_id, replace(ALONE, disclosure="made up")),
    ):
        with pytest.raises(NotFoundError):
            await made_up


async def test_no_examiner_asks_approves_or_sees_them(life: LifeKit, desks: ReportDesks) -> None:
    lead_id = await withdrawn(life)
    order = await desks.disclosures.ask(ADMINISTRATOR, COURT_ORDER, lead_id=lead_id)
    both = Account("both", frozenset({Role.ADMINISTRATOR, Role.SUPERVISOR, Role.ANALYST}))
    for call in (
        desks.disclosures.ask(both, COURT_ORDER, lead_id=lead_id),
        desks.disclosures.approve(both, order.order_id),
        desks.disclosures.every(both),
    ):
        with pytest.raises(PolicyRefusalError) as caught:
            await call
        assert caught.value.rule == "P12"


async def test_an_auditor_sees_who_ordered_what_and_the_look_is_audited(life: LifeKit, desks: ReportDesks) -> None:
    lead_id = await withdrawn(life)
    order = await ordered(life.kit, lead_id)
    [found] = await desks.disclosures.every(AUDITOR)
    assert (found.order_id, list(found.lead_ids), found.court_order) == (order.disclosure, [lead_id], COURT_ORDER)
    assert (found.asked_by, found.approved_by, found.made_at) == ("administrator", "supervisor", None)
    assert len(await life.kit.audited("lead.see_disclosures")) == 1


async def test_those_that_are_not_used_end_with_a_restoration(life: LifeKit, desks: ReportDesks) -> None:
    """`Restore` does this: of one that was used after the backup nobody knows any more."""
    lead_id = await withdrawn(life)
    used, approved = await ordered(life.kit, lead_id), await ordered(life.kit, lead_id)
    await packet(desks, lead_id, used)
    async with life.kit.database.write() as tx:
        assert await DISCLOSURE_ORDERS.remove_unused(tx) == 1
    assert [one.order_id for one in await desks.disclosures.every(AUDITOR)] == [used.disclosure]
    with pytest.raises(NotFoundError):
        await packet(desks, lead_id, approved)
