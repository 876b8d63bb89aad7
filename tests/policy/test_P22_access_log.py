"""P22: who looked at a person's record, when and why, out of the log that every look is entered in."""

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, update

from rtcc_bridge.errors import InvalidInputError, NotFoundError, PolicyRefusalError
from rtcc_bridge.leads.proficiency import NewCase
from rtcc_bridge.policy.accounts import DEMO_ACCOUNTS, Account, Role
from rtcc_bridge.reports import access_log
from rtcc_bridge.reports.access_log import ACTION, CONTINUED, MADE, NOBODY, Access, comma_separated
from rtcc_bridge.reports.discovery import PacketOrder
from rtcc_bridge.storage import examinations, tables
from tests.life_kit import ADMINISTRATOR, AUDITOR, FIRST, PEER, REQUESTOR, THIRD, LifeKit
from tests.probe_kit import CERTIFIED, FORM
from tests.report_kit import DEFENSE, report_desks

WHY = "the person asked for it"


async def log_of(life: LifeKit, folder: Path, person: str, gallery: str = "demo") -> list[Access]:
    return list((await report_desks(life.kit, folder).access_log.make(AUDITOR, gallery, person, WHY)).items)


async def person_at(life: LifeKit, lead_id: str, place: int) -> str:
    """The reference of whoever stands at that place of the first examiner's list."""
    ref = (await life.listed(lead_id))[place]
    [row] = await life.kit.rows(tables.lead_candidates, candidate_ref=ref)
    [subject] = await life.kit.rows(tables.subjects, subject_id=row["subject_id"])
    return str(subject["subject_ref"])


async def test_every_look_is_in_it_with_who_when_and_why(life: LifeKit, tmp_path: Path) -> None:
    lead_id = await life.taken()
    person, other = await person_at(life, lead_id, 0), await person_at(life, lead_id, 1)
    ref = (await life.listed(lead_id))[0]
    await life.life.examination.view(lead_id, FIRST)
    life.kit.clock.advance(60)
    looked_at = life.kit.clock.now()
    await life.life.pictures.examined_candidate(lead_id, FIRST, ref, 1)
    life.kit.clock.advance(60)
    await life.conclude(lead_id, supported=(0,))
    await life.review(lead_id, PEER, supported=(0,))
    await life.life.release.release(lead_id, FIRST, ())
    await life.life.release.received(lead_id, REQUESTOR)
    await life.life.pictures.released_candidate(lead_id, REQUESTOR, ref, 1)
    await report_desks(life.kit, tmp_path).discovery.of_lead(
        ADMINISTRATOR, lead_id, PacketOrder(reason="motion", handed_to=DEFENSE)
    )
    found = await log_of(life, tmp_path, person)
    assert Counter(one.action for one in found) == {
        "lead.candidates": 1,
        "examination.view": 1,
        "examination.picture": 1,
        "review.take": 1,
        "lead.released": 1,
        "lead.receive": 2,  # to see the picture is to receive the lead
        "lead.picture": 1,
        "lead.discovery_packet": 1,
        ACTION: 1,
    }
    assert [one.at for one in found] == sorted(one.at for one in found)
    [picture] = [one for one in found if one.action == "examination.picture"]
    assert (picture.account, picture.at) == (FIRST.name, looked_at)
    assert (picture.purpose, picture.basis) == (FORM.purpose, FORM.legal_basis)
    assert len({one.audit_leaf for one in found}) == len(found)
    actions = {one.action for one in await log_of(life, tmp_path, other)}
    assert actions == {"lead.candidates", "examination.view", "review.take", "lead.discovery_packet", ACTION}


async def test_an_export_from_before_the_person_was_in_the_gallery_is_no_use_of_the_record(
    life: LifeKit, tmp_path: Path
) -> None:
    await life.enrol("early")
    life.kit.clock.advance(60)
    async with life.kit.database.write() as tx:
        await life.kit.parts.audit.append(
            tx,
            actor="administrator",
            action="gallery.exported",
            subject="gallery/demo",
            outcome="begun",
            authority={},
            details={},
        )
    life.kit.clock.advance(60)
    await life.enrol("late")
    assert [one.action for one in await log_of(life, tmp_path, "early")] == ["gallery.exported", ACTION]
    assert [one.action for one in await log_of(life, tmp_path, "late")] == [ACTION]


async def test_a_look_that_was_refused_was_none(life: LifeKit, tmp_path: Path) -> None:
    lead_id = await life.taken()
    with pytest.raises(PolicyRefusalError):
        await life.life.examination.view(lead_id, PEER)
    found = await log_of(life, tmp_path, await person_at(life, lead_id, 0))
    assert [one.account for one in found if one.action == "examination.view"] == []


async def test_it_holds_what_was_looked_at_for_proficiency(life: LifeKit, tmp_path: Path) -> None:
    await life.enrol("person", pictures=2)
    await life.enrol("other")
    await life.enrol("not in it")
    await life.life.proficiency.seed(
        ADMINISTRATOR, NewCase(gallery="demo", person="person", others=("other",), listed=True)
    )
    [waiting] = await life.life.review.queue(PEER)
    sheet = await life.life.review.take(waiting.examination_id, PEER)
    await life.life.pictures.reviewed_still(waiting.examination_id, PEER)
    for ref in sheet.examination.refs:
        await life.life.pictures.reviewed_candidate(waiting.examination_id, PEER, ref, 1)
    looked = {
        name: [one.action for one in await log_of(life, tmp_path, name)].count("examination.picture")
        for name in ("person", "other", "not in it")
    }
    assert looked == {"person": 2, "other": 1, "not in it": 0}


async def test_it_outlives_the_person(life: LifeKit, tmp_path: Path) -> None:
    lead_id = await life.taken()
    person = await person_at(life, lead_id, 0)
    async with life.kit.database.write() as tx:
        await tx.execute(update(tables.gallery_images).values(removed_version=9, removed_reason="order"))
    assert {one.action for one in await log_of(life, tmp_path, person)} == {"lead.candidates", ACTION}


async def test_its_own_making_is_in_the_log_without_the_agencys_reference(life: LifeKit, tmp_path: Path) -> None:
    candidate = await life.enrol("a name of somebody")
    await log_of(life, tmp_path, "a name of somebody")
    [entry] = await life.kit.audited(ACTION)
    assert entry["subject"] == f"gallery/demo/subject/{candidate.subject_id}"
    assert entry["entry"]["details"] == {"reason": WHY}
    assert "a name" not in str(entry["entry"])
    again = await log_of(life, tmp_path, "a name of somebody")
    assert [one.action for one in again] == [ACTION, ACTION]


@pytest.mark.parametrize("account", [one for one in DEMO_ACCOUNTS.values() if one not in {ADMINISTRATOR, AUDITOR}])
async def test_only_administrator_and_auditor_make_it(life: LifeKit, tmp_path: Path, account: Account) -> None:
    await life.enrol("person")
    with pytest.raises(PolicyRefusalError) as caught:
        await report_desks(life.kit, tmp_path).access_log.make(account, "demo", "person", WHY)
    assert caught.value.rule == "P10"
    [entry] = await life.kit.audited(ACTION)
    assert entry["outcome"] == "refused"


async def test_nor_does_an_auditor_who_examines_as_well(life: LifeKit, tmp_path: Path) -> None:
    """P12: the moments of their own looks would tell them who is on a list that they review blind."""
    both = Account("both", frozenset({Role.AUDITOR, Role.ANALYST}), CERTIFIED)
    with pytest.raises(PolicyRefusalError, match="no analyst") as caught:
        await report_desks(life.kit, tmp_path).access_log.make(both, "demo", "nobody", WHY)
    assert caught.value.rule == "P12"


async def test_not_of_nobody_and_not_without_a_reason(life: LifeKit, tmp_path: Path) -> None:
    await life.enrol("person")
    desk = report_desks(life.kit, tmp_path).access_log
    with pytest.raises(InvalidInputError):
        await desk.make(AUDITOR, "demo", "person", "  ")
    with pytest.raises(InvalidInputError):
        await desk.make(AUDITOR, "demo", "person", WHY, "0" * 64)
    assert await life.kit.audited(ACTION) == []


@pytest.mark.parametrize(("gallery", "person"), [("demo", "a name of nobody"), ("nowhere", "person")])
async def test_who_asks_for_somebody_unknown_is_in_the_log(
    life: LifeKit, tmp_path: Path, gallery: str, person: str
) -> None:
    """Whether somebody is in a gallery can be asked so too."""
    await life.enrol("person")
    with pytest.raises(NotFoundError):
        await report_desks(life.kit, tmp_path).access_log.make(AUDITOR, gallery, person, WHY)
    [entry] = await life.kit.audited(ACTION)
    assert (entry["actor"], entry["subject"], entry["outcome"]) == (AUDITOR.name, f"gallery/{gallery}", NOBODY)
    assert entry["entry"]["details"] == {"reason": WHY}
    assert "a name" not in str(entry["entry"])


async def test_the_log_of_somebody_on_many_lists_comes_in_pages(
    life: LifeKit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are, each page reads, and holds, so many entries and no more."""
    lead_id = await life.taken()
    person = await person_at(life, lead_id, 0)
    for _ in range(5):
        life.kit.clock.advance(60)
        await life.life.examination.view(lead_id, FIRST)
    monkeypatch.setattr(access_log, "ENTRIES_AT_ONCE", 3)
    desk = report_desks(life.kit, tmp_path).access_log
    page = await desk.make(AUDITOR, "demo", person, WHY)
    pages = [list(page.items)]
    while page.next is not None:
        page = await desk.make(AUDITOR, "demo", person, WHY, page.next)
        pages.append(list(page.items))
    assert max(map(len, pages)) <= 3
    found = [one for items in pages for one in items]
    assert Counter(one.action for one in found) == {"lead.candidates": 1, "examination.view": 5, ACTION: 1}
    assert [one.at for one in found] == sorted(one.at for one in found)
    assert len({one.audit_leaf for one in found}) == len(found)
    made = await life.kit.audited(ACTION)
    assert Counter(entry["outcome"] for entry in made) == {MADE: 1, CONTINUED: len(pages) - 1}, "each page is audited"


async def test_its_work_does_not_grow_with_lists_times_looks(life: LifeKit, tmp_path: Path) -> None:
    """The database is asked as often for one list as for many."""
    lead_id = await life.taken()
    person = await person_at(life, lead_id, 0)
    ref = (await life.listed(lead_id))[0]
    [listed] = await life.kit.rows(tables.lead_candidates, candidate_ref=ref)
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        statements.append(statement)

    engine = life.kit.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    asked = []
    for more in (0, 4):
        for _ in range(more):
            other = await life.taken()
            where = tables.lead_candidates.c.candidate_ref == (await life.listed(other))[0]
            async with life.kit.database.write() as tx:
                values = {"subject_id": listed["subject_id"]}
                await tx.execute(update(tables.lead_candidates).where(where).values(values))
        statements.clear()
        found = await log_of(life, tmp_path, person)
        assert [one.action for one in found].count("lead.candidates") == 1 + more
        asked.append(len(statements))
    event.remove(engine, "before_cursor_execute", note)
    assert asked[0] == asked[1]


async def test_looks_of_a_third_who_was_replaced_are_in_it(life: LifeKit, tmp_path: Path) -> None:
    lead_id = await life.taken()
    person = await person_at(life, lead_id, 0)
    await life.conclude(lead_id, (0,))
    await life.review(lead_id, PEER)
    [third] = await life.kit.rows(tables.examinations, lead_id=lead_id, round=3)
    await life.life.review.take(third["examination_id"], THIRD)
    own = {ref: mine for mine, ref in third["candidates"]}[(await life.listed(lead_id))[0]]
    await life.life.pictures.reviewed_candidate(third["examination_id"], THIRD, own, 1)
    async with life.kit.database.write() as tx:
        review = await examinations.find(tx, third["examination_id"], lock=True)
        assert review is not None
        await examinations.hand_over(tx, review, "may_not_examine", life.kit.clock.now())
    found = await log_of(life, tmp_path, person)
    theirs = [one for one in found if one.account == THIRD.name]
    assert sorted(one.action for one in theirs) == ["examination.picture", "review.take"], "both of one moment"
    assert {one.basis for one in theirs} == {FORM.legal_basis}


async def test_as_a_table_it_holds_no_formula(life: LifeKit, tmp_path: Path) -> None:
    lead_id = await life.taken()
    found = await log_of(life, tmp_path, await person_at(life, lead_id, 0))
    rows = list(csv.reader(comma_separated(found).splitlines()))
    assert rows[0] == ["at", "account", "what", "of", "purpose", "legal basis", "audit leaf"]
    assert len(rows) == len(found) + 1
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row)
