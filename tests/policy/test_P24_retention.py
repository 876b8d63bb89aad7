"""P24: what was never released goes at its time, what was released is held for its case, a hold keeps everything."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, insert, update

from rtcc_bridge.audit.commitments import Commitments, Name, NameKind, forget_unborne
from rtcc_bridge.commands.console import EXIT_REJECTED
from rtcc_bridge.errors import ConflictError, InvalidInputError, NotFoundError, PolicyRefusalError, UnavailableError
from rtcc_bridge.leads.comparison import Aid, AidUse
from rtcc_bridge.leads.corroboration import OutcomeReport
from rtcc_bridge.leads.lead import Outcome
from rtcc_bridge.policy.accounts import Account, Role
from rtcc_bridge.probes.stored_crop import open_crop
from rtcc_bridge.reports.discovery import HandedTo, PacketOrder
from rtcc_bridge.retention.dispositions import Disposition
from rtcc_bridge.retention.holds import HoldOrder
from rtcc_bridge.retention.replay import PurgeReplay
from rtcc_bridge.storage import outside_receivers, retention, tables
from rtcc_bridge.storage.removals_ledger import ProbePurge
from tests.command_kit import Command
from tests.doubles import ManualClock
from tests.integration.pipeline import until
from tests.life_kit import ADMINISTRATOR, AUDITOR, FIRST, FLOOR, REQUESTOR, SUPERVISOR, LifeKit, opinion
from tests.outages import Outages
from tests.probe_kit import Gallery, face_search, policy, record_of, search_handler
from tests.report_kit import DEFENSE, report_desks
from tests.retention_kit import CASE, DAY, ENDINGS, RetentionKit, withdrawn

SECOND = timedelta(seconds=1)


@pytest.fixture
def here(life: LifeKit) -> RetentionKit:
    return RetentionKit(life)


@pytest.mark.parametrize("how", ENDINGS)
async def test_what_was_never_released_goes_at_its_time_and_not_a_second_before(here: RetentionKit, how: str) -> None:
    end, outcome = ENDINGS[how]
    probe_id = await end(here)
    objects = await here.objects_of(probe_id)
    assert objects
    assert all(here.file_of(name).is_file() for name in objects)
    days = next(days for known, days in policy().retention.days.items() if known == outcome)
    here.pass_time(days * DAY - SECOND)
    assert await here.purge() == 0
    assert all([await here.has_key(name) for name in objects])
    here.pass_time(SECOND)
    assert await here.purge() == 1
    assert not any([await here.has_key(name) for name in objects])
    assert not any(here.file_of(name).exists() for name in objects)
    [purge] = await here.kit.rows(tables.purges, probe_id=probe_id)
    assert (purge["outcome"], purge["purged_at"]) == (outcome, here.kit.clock.now())
    assert purge["bytes_gone_at"] is not None
    assert await here.purge() == 0


async def test_nothing_of_a_purged_search_is_left_in_its_rows(here: RetentionKit) -> None:
    life, kit = here.life, here.kit
    lead_id = await life.taken()
    listed = await life.listed(lead_id)
    given = opinion(listed, support=listed[:1], note="the same notch in the left helix")
    await life.life.examination.keep(lead_id, FIRST, given)
    await life.life.examination.use_aid(lead_id, FIRST, AidUse(candidate_ref=listed[0], aid=Aid.BLINK))
    await life.life.examination.conclude(lead_id, FIRST, given)
    await life.life.withdrawal.withdraw(lead_id, SUPERVISOR, "another camera")
    probe = await here.probe(lead_id)
    here.pass_time(31 * DAY)
    assert await here.purge() == 1
    after = await here.probe(lead_id)
    kept = {"purpose", "lane", "analyst", "policy_hash", "created_at", "incident_id", "original_sha256", "approved_by"}
    assert all(after[name] == probe[name] for name in kept)
    rows = [after]
    for table in (tables.leads, tables.lead_candidates, tables.examinations, tables.releases, tables.corroborations):
        rows += await kit.rows(table, lead_id=lead_id)
    rows += await kit.rows(tables.opinions)
    written = str(rows)
    words = (CASE, "reasonable suspicion", "helix", "detectionScore")
    for gone in (*words, probe["original_object"], probe["crop_object"]):
        assert gone not in written
    assert await kit.rows(tables.lead_candidates, lead_id=lead_id) == []
    with pytest.raises(NotFoundError):
        await open_crop(kit.database, kit.vault, await kit.desk.find(probe["probe_id"]))
    with pytest.raises(NotFoundError):
        await kit.desk.preview(probe["probe_id"], FIRST)
    [row] = [row for row in await kit.rows(tables.opinions) if row["opinion"]["compared"]]
    assert row["opinion"]["compared"] == [{"candidateRef": listed[0], "conclusion": "support"}]
    assert row["aids"] is None


@pytest.mark.parametrize("reach", [LifeKit.lead, LifeKit.taken, LifeKit.agreed], ids=["found", "taken", "agreed"])
async def test_a_live_lead_is_never_purged(here: RetentionKit, reach: Callable[[LifeKit], Awaitable[str]]) -> None:
    lead_id = await reach(here.life)
    here.pass_time(3650 * DAY)
    assert await here.purge() == 0
    assert (await here.probe(lead_id))["purged_at"] is None


async def test_a_search_under_way_is_never_purged(here: RetentionKit) -> None:
    probe = await here.kit.authorized()
    here.pass_time(3650 * DAY)
    assert await here.purge() == 0
    assert await here.kit.read(probe.crop_object or "")


async def test_what_was_released_is_held_until_its_case_is_disposed_of(here: RetentionKit) -> None:
    lead_id = await here.life.released()
    here.pass_time(7300 * DAY)
    assert await here.purge() == 0
    await here.desk.dispositions.record(REQUESTOR, CASE, Disposition.ACQUITTAL, date(2027, 1, 1))
    period = policy().retention.after_disposition_days * DAY
    here.pass_time(period - SECOND)
    assert await here.purge() == 0
    here.pass_time(SECOND)
    assert await here.purge() == 1
    probe_id = (await here.probe(lead_id))["probe_id"]
    [purge] = await here.kit.rows(tables.purges, probe_id=probe_id)
    assert purge["outcome"] == "released"
    assert await here.kit.rows(tables.dispositions) == []
    [release] = await here.kit.rows(tables.releases, lead_id=lead_id)
    assert release["requestor"] == ""


async def test_nothing_of_a_purged_search_names_its_requestor(here: RetentionKit, tmp_path: Path) -> None:
    """Who had the lead, who vouched for what came of it and who wrote that down is one and the same person."""
    lead_id = await here.life.released()
    life = here.life.life
    await life.release.received(lead_id, REQUESTOR)
    await life.corroboration.report(
        lead_id, REQUESTOR, OutcomeReport(outcome=Outcome.UNRESOLVED, investigator=REQUESTOR.name)
    )
    await here.desk.dispositions.record(SUPERVISOR, CASE, Disposition.ACQUITTAL, date(2026, 1, 1))
    [received] = await here.kit.rows(tables.lead_receivers, lead_id=lead_id)
    assert received["account"] == REQUESTOR.name
    async with here.kit.database.write() as tx:
        other = {**received, "account": "another receiver", "received_at": received["received_at"] - SECOND}
        await tx.execute(insert(tables.lead_receivers).values(other))
    await report_desks(here.kit, tmp_path).discovery.of_lead(
        ADMINISTRATOR, lead_id, PacketOrder(reason="motion", handed_to=HandedTo("an office", REQUESTOR.name))
    )
    here.pass_time(policy().retention.after_disposition_days * DAY)
    assert await here.purge() == 1
    # The log holds who acted, which is what it is for (decision 35).
    tables_of_names = [table for table in tables.metadata.sorted_tables if table.name != "audit_entries"]
    for table in tables_of_names:
        for row in await here.kit.rows(table):
            assert REQUESTOR.name not in row.values(), table.name
    left = await here.kit.rows(tables.lead_receivers, lead_id=lead_id)
    assert {(row["account"], row["received_at"]) for row in left} == {
        (" purged 1", received["received_at"] - SECOND),
        (" purged 2", received["received_at"]),
    }
    [report] = await here.kit.rows(tables.corroborations, lead_id=lead_id)
    assert (report["reported_by"], report["investigator"], report["outcome"]) == ("", "", "unresolved")
    assert len(await life.withdrawal.receivers(lead_id, ADMINISTRATOR)) == 3, "that somebody had it is still told"
    [handed] = await here.kit.rows(tables.outside_receivers, lead_id=lead_id)
    assert (handed["office"], handed["name"], handed["handed_over_by"]) == ("", "", ADMINISTRATOR.name)
    await life.withdrawal.withdraw(lead_id, ADMINISTRATOR, "a reason")
    assert (await life.withdrawal.outstanding(ADMINISTRATOR)).people == [], (
        "nobody is known any more who could acknowledge it"
    )


async def test_a_packet_that_is_made_after_the_purge_leaves_no_name_behind(here: RetentionKit, tmp_path: Path) -> None:
    """No purge would come by once more to take it out."""
    lead_id = await here.life.released()
    await here.desk.dispositions.record(SUPERVISOR, CASE, Disposition.ACQUITTAL, date(2026, 1, 1))
    here.pass_time(policy().retention.after_disposition_days * DAY)
    assert await here.purge() == 1
    order = PacketOrder(reason="motion", handed_to=DEFENSE)
    await report_desks(here.kit, tmp_path).discovery.of_lead(ADMINISTRATOR, lead_id, order)
    [handed] = await here.kit.rows(tables.outside_receivers, lead_id=lead_id)
    assert (handed["office"], handed["name"], handed["handed_over_by"]) == ("", "", ADMINISTRATOR.name)
    async with here.kit.database.write() as tx:
        await forget_unborne(tx, here.kit.clock.now() + timedelta(days=1))
    assert await here.kit.rows(tables.audit_commitments, name=DEFENSE.name) == []


async def test_whom_a_packet_was_handed_to_is_named_while_another_lead_names_them(
    here: RetentionKit, tmp_path: Path
) -> None:
    first, second = await here.life.released(), await here.life.released()
    desk = report_desks(here.kit, tmp_path).discovery
    order = PacketOrder(reason="motion", handed_to=DEFENSE)
    for lead_id in (first, second):
        await desk.of_lead(ADMINISTRATOR, lead_id, order)

    async def is_committed_to() -> bool:
        async with here.kit.database.write() as tx:
            await forget_unborne(tx, here.kit.clock.now() + timedelta(days=1))
            is_kept = await retention.is_person_kept(tx, DEFENSE.name)
        is_committed = await here.kit.rows(tables.audit_commitments, name=DEFENSE.name) != []
        assert is_committed is is_kept
        return is_kept

    async with here.kit.database.write() as tx:
        await outside_receivers.forget(tx, first)
    assert await is_committed_to()
    async with here.kit.database.write() as tx:
        await outside_receivers.forget(tx, second)
    assert not await is_committed_to()


async def test_a_disposition_from_before_the_release_is_not_of_what_was_released(here: RetentionKit) -> None:
    """The case was taken up again: what went to the requestor then may be what frees somebody."""
    await here.life.released()
    await here.desk.dispositions.record(SUPERVISOR, CASE, Disposition.DISMISSAL, date(2026, 1, 1))
    period = policy().retention.after_disposition_days * DAY
    async with here.kit.database.write() as tx:
        before = here.kit.clock.now() - period - DAY
        await tx.execute(update(tables.dispositions).values(recorded_at=before))
    here.pass_time(2 * period)
    assert await here.purge() == 0
    await here.desk.dispositions.record(SUPERVISOR, CASE, Disposition.CONVICTION, date(2026, 1, 1))
    here.pass_time(period)
    assert await here.purge() == 1


async def test_a_release_that_only_its_topic_knows_after_a_restoration_counts_as_one(here: RetentionKit) -> None:
    lead_id = await here.life.released()
    await here.life.life.withdrawal.withdraw(lead_id, SUPERVISOR, "another camera")
    async with here.kit.database.write() as tx:
        await tx.execute(delete(tables.lead_receivers))
        await tx.execute(delete(tables.releases))
    here.pass_time(7300 * DAY)
    assert await here.purge() == 0


async def test_a_disposition_that_is_put_right_begins_the_period_anew(here: RetentionKit) -> None:
    await here.life.released()
    await here.desk.dispositions.record(SUPERVISOR, CASE, Disposition.DISMISSAL, date(2026, 11, 1))
    period = policy().retention.after_disposition_days * DAY
    here.pass_time(period - DAY)
    await here.desk.dispositions.record(SUPERVISOR, CASE, Disposition.CONVICTION, date(2026, 11, 1))
    here.pass_time(DAY)
    assert await here.purge() == 0


async def test_what_was_released_of_a_case_that_is_taken_up_again_is_held_again(here: RetentionKit) -> None:
    await here.life.released()
    period = policy().retention.after_disposition_days * DAY
    await here.desk.dispositions.record(SUPERVISOR, CASE, Disposition.CONVICTION, date(2026, 11, 1))
    here.pass_time(period - DAY)
    await here.desk.dispositions.record(SUPERVISOR, CASE, Disposition.REOPENED, date(2026, 11, 1))
    here.pass_time(2 * period)
    assert await here.purge() == 0
    await here.desk.dispositions.record(SUPERVISOR, CASE, Disposition.ACQUITTAL, date(2026, 11, 1))
    here.pass_time(period - DAY)
    assert await here.purge() == 0
    here.pass_time(DAY)
    assert await here.purge() == 1


async def test_that_a_case_was_taken_up_again_outlives_a_restoration(here: RetentionKit) -> None:
    """The restored database does not have the row, which is younger than its backup, and the ledger does."""
    await here.life.released()
    await here.desk.dispositions.record(SUPERVISOR, CASE, Disposition.CONVICTION, date(2026, 11, 1))
    here.pass_time(DAY)
    reopened = await here.desk.dispositions.record(SUPERVISOR, CASE, Disposition.REOPENED, date(2026, 11, 1))
    async with here.kit.database.write() as tx:
        rows = tables.dispositions
        await tx.execute(delete(rows).where(rows.c.disposition_id == reopened.disposition_id))
    here.pass_time(DAY)
    replay = PurgeReplay(here.parts)
    for _ in range(2):  # a restoration that is run again changes nothing
        await replay.carry_out_again([entry async for entry in here.kit.vault.ledger.entries()])
    [row] = await here.kit.rows(tables.dispositions, disposition_id=reopened.disposition_id)
    assert (row["case_number"], row["disposition"], row["recorded_at"]) == (CASE, "reopened", reopened.recorded_at)
    entries = await here.kit.audited("retention.disposition")
    assert [one["outcome"] for one in entries] == ["recorded", "recorded", "recorded_again"]
    here.pass_time(3650 * DAY)
    assert await here.purge() == 0


async def test_a_case_is_not_taken_up_again_while_the_ledger_is_away(here: RetentionKit) -> None:
    await here.life.released()
    await here.desk.dispositions.record(SUPERVISOR, CASE, Disposition.CONVICTION, date(2026, 11, 1))
    (here.kit.objects / "removals").write_text("in the way")
    with pytest.raises(UnavailableError):
        await here.desk.dispositions.record(SUPERVISOR, CASE, Disposition.REOPENED, date(2026, 11, 1))
    assert len(await here.kit.rows(tables.dispositions)) == 1


@pytest.mark.parametrize("what", ["case_number", "probe_id", "lead_id"])
async def test_a_legal_hold_keeps_what_is_due_until_it_is_lifted(here: RetentionKit, what: str) -> None:
    lead_id = await here.life.lead()
    await here.life.life.withdrawal.withdraw(lead_id, SUPERVISOR, "another camera")
    ids = {"case_number": CASE, "probe_id": (await here.probe(lead_id))["probe_id"], "lead_id": lead_id}
    hold = await here.desk.holds.place(SUPERVISOR, HoldOrder(**{what: ids[what]}), "preservation letter")
    here.pass_time(3650 * DAY)
    assert await here.purge() == 0
    assert await here.purger.purge(ids["probe_id"]) is None
    preview = await here.desk.overview.preview(AUDITOR, here.kit.clock.now())
    assert [(one.probe_id, one.standing.kept) for one in preview.listed] == [(ids["probe_id"], "held")]
    assert preview.due == 0
    assert [one.hold_id for one in await here.desk.holds.every(AUDITOR)] == [hold.hold_id]
    await here.desk.holds.lift(ADMINISTRATOR, hold.hold_id, "the appeal is decided")
    assert await here.desk.holds.every(AUDITOR) == []
    assert await here.purge() == 1
    [row] = await here.kit.rows(tables.legal_holds)
    assert (row["case_number"], row["reason"], row["lift_reason"]) == (None, "", "")


async def test_a_hold_on_a_case_keeps_what_is_attached_later_too(here: RetentionKit) -> None:
    await here.kit.attached()
    await here.desk.holds.place(SUPERVISOR, HoldOrder(case_number=CASE), "preservation letter")
    await here.kit.attached("incident-2")
    await here.kit.attached("incident-3", case_number="26-000999")
    here.pass_time(365 * DAY)
    assert await here.purge() == 1


@pytest.mark.parametrize("what", ["case_number", "probe_id", "lead_id"])
async def test_a_hold_on_what_was_purged_is_refused_in_words(here: RetentionKit, what: str) -> None:
    lead_id = await here.life.lead()
    await here.life.life.withdrawal.withdraw(lead_id, SUPERVISOR, "another camera")
    ids = {"case_number": CASE, "probe_id": (await here.probe(lead_id))["probe_id"], "lead_id": lead_id}
    here.pass_time(31 * DAY)
    assert await here.purge() == 1
    with pytest.raises(PolicyRefusalError, match="nothing left to hold") as refused:
        await here.desk.holds.place(ADMINISTRATOR, HoldOrder(**{what: ids[what]}), "preservation letter")
    assert refused.value.rule == "P24"
    assert CASE not in str(refused.value)
    [entry] = [row for row in await here.kit.audited("retention.hold") if row["outcome"] == "refused"]
    assert entry["entry"]["details"]["rule"] == "P24"
    assert await here.kit.rows(tables.legal_holds) == []


async def test_holds_that_cannot_be_placed_or_lifted_say_why(here: RetentionKit) -> None:
    holds, probe = here.desk.holds, await here.kit.attached()
    for order in (HoldOrder(), HoldOrder(case_number=" "), HoldOrder(case_number=CASE, probe_id=probe.probe_id)):
        with pytest.raises(InvalidInputError):
            await holds.place(ADMINISTRATOR, order, "preservation letter")
    with pytest.raises(InvalidInputError):
        await holds.place(ADMINISTRATOR, HoldOrder(case_number=CASE), "  ")
    for unknown in (HoldOrder(probe_id="none"), HoldOrder(lead_id="none")):
        with pytest.raises(NotFoundError):
            await holds.place(ADMINISTRATOR, unknown, "preservation letter")
    hold = await holds.place(ADMINISTRATOR, HoldOrder(case_number=f" {CASE} "), "preservation letter")
    with pytest.raises(ConflictError):
        await holds.place(SUPERVISOR, HoldOrder(case_number=CASE), "another letter")
    await holds.lift(ADMINISTRATOR, hold.hold_id, "over")
    with pytest.raises(ConflictError):
        await holds.lift(ADMINISTRATOR, hold.hold_id, "over")
    with pytest.raises(NotFoundError):
        await holds.lift(ADMINISTRATOR, "none", "over")


async def test_dispositions_that_cannot_be_say_why(here: RetentionKit) -> None:
    await here.kit.attached(requestor="somebody else")
    record, today = here.desk.dispositions.record, here.kit.clock.now().date()
    with pytest.raises(PolicyRefusalError, match="asked for a search"):
        await record(REQUESTOR, CASE, Disposition.ACQUITTAL, today)
    with pytest.raises(InvalidInputError):
        await record(SUPERVISOR, CASE, Disposition.ACQUITTAL, today + DAY)
    with pytest.raises(InvalidInputError):
        await record(SUPERVISOR, "  ", Disposition.ACQUITTAL, today)
    with pytest.raises(NotFoundError):
        await record(SUPERVISOR, "26-000999", Disposition.ACQUITTAL, today)
    assert await here.kit.rows(tables.dispositions) == []


async def test_by_command_nothing_goes_that_is_not_due_held_or_not_disposed_of(
    here: RetentionKit, command: Command
) -> None:
    """An insider who may purge: neither a search of yesterday, nor one on hold, nor what was released, goes by it."""
    released = await here.life.released()
    held, due = [await withdrawn(here) for _ in range(2)]
    await here.desk.holds.place(SUPERVISOR, HoldOrder(probe_id=held), "preservation letter")
    here.pass_time(29 * DAY)
    young = await withdrawn(here)
    here.pass_time(DAY)
    today = here.kit.clock.now().date()
    for day, code in ((today + DAY, EXIT_REJECTED), (today - 400 * DAY, 0)):  # to come; from before the release
        done = await command("retention", "dispose", CASE, "acquittal", "--on", day.isoformat())
        assert done.exit_code == code, done.output
    purged = await command("retention", "run", "--yes")
    assert (purged.exit_code, "\n1 searches purged" in purged.output) == (0, True), purged.output
    assert [row["probe_id"] for row in await here.kit.rows(tables.purges)] == [due]
    kept = {row["probe_id"] for row in await here.kit.rows(tables.probes) if await here.objects_of(row["probe_id"])}
    assert {held, young, (await here.probe(released))["probe_id"]} <= kept
    assert [entry["actor"] for entry in await here.kit.audited("retention.purged")] == [ADMINISTRATOR.name]
    for words in (("--probe", due, "--reason", "too late"), ("--probe", "none", "--reason", "a guess")):
        assert (await command("retention", "hold", *words)).exit_code == EXIT_REJECTED


CALLS: dict[str, tuple[frozenset[Role], Callable[[RetentionKit, Account, str], Awaitable[object]]]] = {
    "preview": (
        frozenset({Role.SUPERVISOR, Role.ADMINISTRATOR, Role.AUDITOR}),
        lambda here, account, _probe: here.desk.overview.preview(account, here.kit.clock.now()),
    ),
    "receipts": (
        frozenset({Role.SUPERVISOR, Role.ADMINISTRATOR, Role.AUDITOR}),
        lambda here, account, _probe: here.desk.overview.receipts(account),
    ),
    "run": (frozenset({Role.ADMINISTRATOR}), lambda here, account, _probe: here.keeper.purge_due(account)),
    "hold": (
        frozenset({Role.SUPERVISOR, Role.ADMINISTRATOR}),
        lambda here, account, probe: here.desk.holds.place(account, HoldOrder(probe_id=probe), "a letter"),
    ),
    "holds": (
        frozenset({Role.SUPERVISOR, Role.ADMINISTRATOR, Role.AUDITOR}),
        lambda here, account, _probe: here.desk.holds.every(account),
    ),
    "disposition": (
        frozenset({Role.REQUESTOR, Role.SUPERVISOR, Role.ADMINISTRATOR}),
        lambda here, account, _probe: here.desk.dispositions.record(
            account, CASE, Disposition.DISMISSAL, here.kit.clock.now().date()
        ),
    ),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("role", Role)
async def test_only_who_may_does_it_and_a_refusal_is_audited(here: RetentionKit, call: str, role: Role) -> None:
    permitted, act = CALLS[call]
    probe_id = await withdrawn(here)
    account = Account("requestor" if role is Role.REQUESTOR else "somebody", frozenset({role}))
    if role in permitted:
        await act(here, account, probe_id)
        return
    with pytest.raises(PolicyRefusalError) as refused:
        await act(here, account, probe_id)
    assert refused.value.rule == "P10"
    [entry] = [row for row in await here.kit.rows(tables.audit_entries) if row["outcome"] == "refused"]
    assert entry["actor"] == "somebody" or role is Role.REQUESTOR


@pytest.mark.parametrize("account", [SUPERVISOR, AUDITOR, FLOOR, FIRST, REQUESTOR], ids=lambda account: account.name)
async def test_only_the_administrator_lifts_a_hold(here: RetentionKit, account: Account) -> None:
    probe = await here.kit.attached()
    hold = await here.desk.holds.place(SUPERVISOR, HoldOrder(probe_id=probe.probe_id), "a letter")
    with pytest.raises(PolicyRefusalError):
        await here.desk.holds.lift(account, hold.hold_id, "not needed")
    here.pass_time(365 * DAY)
    assert await here.purge() == 0


async def test_the_receipt_names_what_was_destroyed_by_digest_and_no_name(here: RetentionKit) -> None:
    probe_id = await withdrawn(here)
    objects = await here.objects_of(probe_id)
    digests = {name: hashlib.sha256(here.file_of(name).read_bytes()).hexdigest() for name in objects}
    [probe] = await here.kit.rows(tables.probes, probe_id=probe_id)
    here.pass_time(31 * DAY)
    assert await here.purge() == 1
    [entry] = await here.kit.audited("retention.purged")
    details = entry["entry"]["details"]
    assert details["originalSha256"] == probe["original_sha256"]
    assert sorted(details["sealedSha256"].values()) == sorted(digests.values())
    assert (details["endedAs"], details["keysDestroyed"]) == ("withdrawn", 3)
    assert "names" not in entry["entry"]
    [purge] = await here.kit.rows(tables.purges)
    assert purge["audit_leaf"] == entry["leaf_hash"]
    assert {one["object"]: one["sha256"] for one in purge["objects"]} == digests
    [gone] = await here.kit.audited("retention.bytes_gone")
    assert gone["entry"]["details"]["purgeLeaf"] == entry["leaf_hash"]


async def test_the_log_proves_nothing_about_a_case_any_more_of_which_nothing_is_kept(here: RetentionKit) -> None:
    kit = here.kit
    commitments: Commitments = kit.parts.audit._commitments  # type: ignore[assignment]  # those of the database
    first = await withdrawn(here)
    here.pass_time(DAY)
    second = await kit.attached("incident-2")
    entry = (await kit.audited("probe.attach"))[0]["entry"]
    case = Name(NameKind.CASE, CASE)
    here.pass_time(30 * DAY)
    assert await here.purge() == 1
    assert (await kit.rows(tables.purges))[0]["probe_id"] == first
    assert await commitments.proves(case, entry["names"]["case"])
    here.pass_time(90 * DAY)
    assert await here.purge() == 1
    assert second.probe_id in {row["probe_id"] for row in await kit.rows(tables.purges)}
    for name in (case, Name(NameKind.PERSON, "requestor")):
        with pytest.raises(NotFoundError):
            await commitments.proves(name, entry["names"]["case"])


async def test_what_is_refused_about_a_purged_case_brings_its_name_not_back(here: RetentionKit) -> None:
    await withdrawn(here)
    here.pass_time(31 * DAY)
    assert await here.purge() == 1
    with pytest.raises(PolicyRefusalError):
        await here.desk.holds.place(SUPERVISOR, HoldOrder(case_number=CASE), "a letter")
    with pytest.raises(NotFoundError):
        await here.desk.dispositions.record(SUPERVISOR, CASE, Disposition.DISMISSAL, date(2026, 1, 1))
    assert [one for one in await here.kit.rows(tables.audit_commitments) if one["name"] == CASE] == []


async def test_a_name_that_was_noted_for_nothing_goes_with_the_next_purge(here: RetentionKit) -> None:
    """Of what was refused at the last moment, or purged while somebody was about to write of it."""
    await withdrawn(here)
    here.pass_time(31 * DAY)
    await here.kit.attached("incident-2", case_number="26-000777")
    noted = [Name(NameKind.CASE, "26-000888"), Name(NameKind.PERSON, "nobody's requestor")]
    await here.parts.audit.prepare(*noted)
    here.pass_time(timedelta(hours=1, seconds=1))
    await here.parts.audit.prepare(Name(NameKind.CASE, "26-000999"))  # of an act that is under way
    assert await here.purge() == 1
    names = {row["name"] for row in await here.kit.rows(tables.audit_commitments)}
    assert names == {"26-000777", "26-000999", "requestor"}


async def test_a_case_that_is_purged_while_its_disposition_is_recorded_has_none(
    here: RetentionKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    await withdrawn(here)
    here.pass_time(31 * DAY)
    prepare = here.parts.audit.prepare

    async def and_meanwhile(*names: Name) -> None:
        monkeypatch.undo()
        await prepare(*names)
        assert await here.purge() == 1

    monkeypatch.setattr(here.parts.audit, "prepare", and_meanwhile)
    with pytest.raises(NotFoundError):
        await here.desk.dispositions.record(SUPERVISOR, CASE, Disposition.DISMISSAL, date(2026, 1, 1))
    assert await here.kit.rows(tables.dispositions) == []
    assert [one for one in await here.kit.rows(tables.audit_commitments) if one["name"] == CASE] == []


async def test_a_case_number_that_looks_the_same_is_held_too(here: RetentionKit) -> None:
    await withdrawn(here)
    await here.desk.holds.place(SUPERVISOR, HoldOrder(case_number=f"{CASE}\N{ZERO WIDTH SPACE}"), "a letter")
    here.pass_time(3650 * DAY)
    assert await here.purge() == 0


async def test_a_purge_is_in_the_ledger_before_it_commits(here: RetentionKit, outages: Outages) -> None:
    """The database goes away in the middle of a purge: nothing is lost, and the next one does it."""
    probe_id = await withdrawn(here)
    objects = await here.objects_of(probe_id)
    here.pass_time(31 * DAY)
    async with outages.read_only():
        with pytest.raises(UnavailableError):
            await here.keeper.purge_due(ADMINISTRATOR)
    assert all([await here.has_key(name) for name in objects])
    assert all(here.file_of(name).is_file() for name in objects)
    async with outages.away("purges"):
        with pytest.raises(UnavailableError):
            await here.purger.purge(probe_id)
    assert all([await here.has_key(name) for name in objects])
    assert await here.purge() == 1
    entries = [entry async for entry in here.kit.vault.ledger.entries()]
    assert {entry.probe_id for entry in entries if isinstance(entry, ProbePurge)} == {probe_id}
    assert not any([await here.has_key(name) for name in objects])


async def test_bytes_that_could_not_be_deleted_go_later_and_have_a_receipt_of_their_own(
    here: RetentionKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe_id = await withdrawn(here)
    objects = await here.objects_of(probe_id)
    here.pass_time(31 * DAY)

    async def refuse(*_keys: str) -> None:
        raise UnavailableError("the store takes no deletions")

    with monkeypatch.context() as patched:
        patched.setattr(here.kit.vault, "delete", refuse)
        assert await here.purge() == 1
    assert all(here.file_of(name).is_file() for name in objects)
    assert not any([await here.has_key(name) for name in objects])
    assert await here.kit.audited("retention.bytes_gone") == []
    assert await here.purge() == 0
    assert not any(here.file_of(name).exists() for name in objects)
    assert len(await here.kit.audited("retention.bytes_gone")) == 1


async def test_two_purges_at_once_leave_one_receipt(here: RetentionKit) -> None:
    probe_id = await withdrawn(here)
    here.pass_time(31 * DAY)
    done = await asyncio.gather(*(here.purger.purge(probe_id) for _ in range(3)))
    assert sum(record is not None for record in done) == 1
    assert len(await here.kit.audited("retention.purged")) == 1


async def test_an_interrupted_purge_of_many_goes_on(here: RetentionKit) -> None:
    for number in range(5):
        await here.kit.attached(f"incident-{number}")
    here.pass_time(91 * DAY)
    done = []

    def after_two(_what: str, count: int, _total: int) -> None:
        done.append(count)
        if count == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await here.keeper.purge_due(ADMINISTRATOR, after_two)
    assert len(await here.kit.rows(tables.purges)) == 2
    assert await here.purge() == 3


async def test_a_request_for_a_search_that_was_purged_finds_nothing_to_do(here: RetentionKit) -> None:
    kit = here.kit
    probe = await kit.authorized()
    await kit.set_incident("incident-1", status="cancelled")
    async with kit.database.write() as tx:
        await kit.approvals.withdraw_for_incident(tx, "incident-1", "cancelled")
    [request] = await kit.requests()
    search = face_search(Gallery())
    async with search.batcher:
        handler = search_handler(kit, search)
        here.pass_time(timedelta(minutes=1))
        [row] = await kit.rows(tables.probes, probe_id=probe.probe_id)
        assert row["state"] == "withdrawn"
        purged = await _purge_whatever_its_age(here, probe.probe_id)
        await handler.handle(record_of(request))
    assert purged
    assert await kit.rows(tables.leads) == []


async def test_a_purge_while_the_search_runs_leaves_no_lead_and_no_list(here: RetentionKit) -> None:
    """The grounds end while the face is being compared, and everything of it goes at once: the result is dropped."""
    kit = here.kit
    probe = await kit.authorized()
    person = await kit.enrol("somebody")
    began, goes_on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def found(_crop: object) -> list[object]:
        loop.call_soon_threadsafe(began.set)
        asyncio.run_coroutine_threadsafe(goes_on.wait(), loop).result()
        return [person]

    search = face_search(Gallery(finds=found))  # type: ignore[arg-type]  # a crop in, candidates out
    async with search.batcher:
        [request] = await kit.requests()
        searching = asyncio.create_task(search_handler(kit, search).handle(record_of(request)))
        await began.wait()
        async with kit.database.write() as tx:
            await kit.approvals.withdraw_for_incident(tx, "incident-1", "cancelled")
        assert await _purge_whatever_its_age(here, probe.probe_id)
        goes_on.set()
        await searching
    assert await kit.rows(tables.leads) == []
    assert await kit.rows(tables.lead_candidates) == []
    assert kit.object_files() == [path for path in kit.object_files() if "removals" in path.parts]


async def _purge_whatever_its_age(here: RetentionKit, probe_id: str) -> bool:
    """As the clock of a process would have it that is far ahead of this one's."""
    clock = here.kit.clock
    seconds = (31 * DAY).total_seconds()
    clock.advance(seconds)
    try:
        return await here.purger.purge(probe_id) is not None
    finally:
        clock.advance(-seconds)


async def test_a_clock_that_goes_back_purges_nothing_early_and_nothing_twice(here: RetentionKit) -> None:
    probe_id = await withdrawn(here)
    await here.keeper.look()
    here.pass_time(29 * DAY)
    here.kit.clock.advance(-(20 * DAY).total_seconds())
    assert (await here.keeper.look()).purged == 0
    here.pass_time(20 * DAY)
    assert (await here.keeper.look()).purged == 0
    here.pass_time(DAY)
    assert (await here.keeper.look()).purged == 1
    here.kit.clock.advance(-(40 * DAY).total_seconds())
    assert (await here.keeper.look()).purged == 0
    [purge] = await here.kit.rows(tables.purges)
    assert purge["probe_id"] == probe_id


async def test_a_clock_that_leaps_ahead_purges_nothing_for_a_day(here: RetentionKit) -> None:
    await withdrawn(here)
    await here.keeper.look()
    here.kit.clock.advance((365 * DAY).total_seconds())
    assert (await here.keeper.look()).purged == 0
    here.pass_time(DAY / 2)
    assert (await here.keeper.look()).purged == 0
    here.kit.clock.advance(-(365 * DAY).total_seconds())
    here.pass_time(DAY)
    assert (await here.keeper.look()).purged == 0
    assert await here.kit.rows(tables.purges) == []


async def test_with_a_clock_ahead_of_the_databases_nothing_is_purged_whoever_asks(here: RetentionKit) -> None:
    await withdrawn(here)
    here.other_clock = ManualClock(here.kit.clock.now())
    await here.keeper.look()
    here.pass_time(400 * DAY)
    assert (await here.keeper.look()).purged == 0
    with pytest.raises(ConflictError, match="ahead of the database"):
        await here.keeper.purge_due(ADMINISTRATOR)
    assert await here.kit.rows(tables.purges) == []
    here.other_clock = None
    assert await here.purge() == 1


async def test_a_leap_is_known_to_the_next_process_whatever_was_entered_since(here: RetentionKit) -> None:
    await withdrawn(here)
    await here.keeper.look()
    here.kit.clock.advance((365 * DAY).total_seconds())
    for waits in (timedelta(0), DAY / 2):
        here.pass_time(waits)
        async with here.kit.database.write() as tx:
            await here.parts.note(tx, "web", "session.lock", "somebody", "locked", {})
        assert (await here.new_keeper().look()).purged == 0
    assert await here.kit.rows(tables.purges) == []


async def test_a_daemon_that_starts_after_a_long_silence_waits_a_day_too(here: RetentionKit) -> None:
    await withdrawn(here)
    here.pass_time(60 * DAY)
    keeper = here.new_keeper()
    assert (await keeper.look()).purged == 0
    here.pass_time(DAY)
    assert (await keeper.look()).purged == 1


async def test_how_long_the_oldest_has_waited_is_told_until_it_is_purged(here: RetentionKit) -> None:
    await withdrawn(here)
    due_after = next(days for known, days in policy().retention.days.items() if known == "withdrawn")
    here.pass_time((due_after + 5) * DAY)

    def told(name: str) -> float | None:
        return here.kit.metrics.registry.get_sample_value(f"rtcc_bridge_{name}")

    running = asyncio.create_task(here.new_keeper().run())  # after a long silence it purges nothing for a day
    await until(lambda: told("purges_due") == 1)
    running.cancel()
    assert told("purge_overdue_seconds") == 5 * DAY.total_seconds()
    assert await here.purge() == 1
    running = asyncio.create_task(here.new_keeper().run())
    await until(lambda: told("purges_due") == 0)
    running.cancel()
    assert told("purge_overdue_seconds") == 0


async def test_an_outcome_is_no_disposition(here: RetentionKit) -> None:
    """A lead that was refuted may still be what frees somebody."""
    lead_id = await here.life.released()
    report = OutcomeReport(outcome=Outcome.REFUTED, investigator="requestor")
    await here.life.life.corroboration.report(lead_id, REQUESTOR, report)
    here.pass_time(7300 * DAY)
    assert await here.purge() == 0
