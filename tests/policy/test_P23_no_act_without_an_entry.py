"""P23: when the log takes no entry, nothing happens but what only makes things safer; that is entered later."""

import base64
import hashlib
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from rtcc_bridge.audit.commitments import Commitments
from rtcc_bridge.audit.entries import leaf_hash
from rtcc_bridge.audit.journal import AuditJournal
from rtcc_bridge.audit.journal_merge import ASIDE_ACTION, MERGED_ACTION, UNKNOWN_AFTER_SECONDS, JournalMerge
from rtcc_bridge.errors import PolicyRefusalError, UnavailableError
from rtcc_bridge.identity_settings import IdentitySettings
from rtcc_bridge.people.service_tokens import ServiceTokens
from rtcc_bridge.people.sessions import Sessions
from rtcc_bridge.people.signed_in import SignedIn, Voucher
from rtcc_bridge.policy.permissions import Deed
from rtcc_bridge.probes.refusals import RefusalLog
from rtcc_bridge.retention.holds import HoldOrder
from rtcc_bridge.settings import DatabaseSettings
from rtcc_bridge.storage import tables
from rtcc_bridge.storage.engine import Database
from tests.audit_kit import AuditKit, full, locked
from tests.life_kit import LifeKit
from tests.probe_kit import (
    ADMINISTRATOR,
    ANALYST,
    FLOOR,
    SUPERVISOR,
    Gallery,
    ProbeKit,
    face_search,
    form,
    record_of,
    search_handler,
    upload,
)
from tests.retention_kit import CASE, RetentionKit

ENDED = "the incident is cancelled"


Hindrance = Callable[[Database], AbstractAsyncContextManager[None]]
HINDERED = pytest.mark.parametrize("hindered", [full, pytest.param(locked, marks=pytest.mark.postgresql)])


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """One that does not wait long for a lock."""
    opened = Database(DatabaseSettings(url=SecretStr(database_url), busy_timeout_seconds=0.2))
    yield opened
    await opened.close()


@pytest.fixture
def journal(kit: ProbeKit) -> AuditJournal:
    return AuditJournal(kit.objects.parent / "journal")


@pytest.fixture
def merge(kit: ProbeKit, journal: AuditJournal) -> JournalMerge:
    return JournalMerge(kit.database, kit.parts.audit, journal, kit.metrics)


def _noted(journal: AuditJournal) -> list[dict[str, Any]]:
    return [json.loads(one.content) for one in journal.waiting()]


def _counted(kit: ProbeKit) -> float | None:
    return kit.metrics.registry.get_sample_value("rtcc_bridge_audit_journal_entries")


async def _attach(kit: ProbeKit) -> object:
    return await kit.desk.attach("incident-1", form(), ANALYST, upload())


async def _choose(kit: ProbeKit) -> object:
    (probe,) = await kit.rows(tables.probes, state="faces_found")
    return await kit.desk.choose_face(probe["probe_id"], 1, ANALYST)


async def _approve(kit: ProbeKit) -> object:
    (probe,) = await kit.rows(tables.probes, state="awaiting_approval")
    return await kit.desk.approve(probe["probe_id"], SUPERVISOR)


async def _look(kit: ProbeKit) -> object:
    (probe,) = await kit.rows(tables.probes, state="faces_found")
    return await kit.desk.preview(probe["probe_id"], ANALYST)


async def _open_again(kit: ProbeKit) -> object:
    (probe,) = await kit.rows(tables.probes, state="faces_found")
    return await kit.desk.open(probe["probe_id"], ANALYST)


@HINDERED
@pytest.mark.parametrize("act", [_attach, _choose, _approve, _look, _open_again])
async def test_no_act_happens_without_its_entry(
    kit: ProbeKit, act: Callable[[ProbeKit], Awaitable[object]], hindered: Hindrance
) -> None:
    await kit.desk.open((await kit.attached()).probe_id, ANALYST)
    await kit.chosen()
    before = {name: await kit.rows(getattr(tables, name)) for name in ("probes", "leads", "outbox", "audit_entries")}
    async with hindered(kit.database):
        with pytest.raises(Exception, match=r"full|extend|lock"):
            await act(kit)
    assert before == {name: await kit.rows(getattr(tables, name)) for name in before}


@HINDERED
async def test_a_search_that_cannot_be_entered_leaves_no_lead(kit: ProbeKit, hindered: Hindrance) -> None:
    """The request stays on its topic, or is made again, and the search is made when the log takes its entry."""
    await kit.authorized()
    (request,) = await kit.requests()
    search = face_search(Gallery())
    async with search.batcher:
        handler = search_handler(kit, search)
        async with hindered(kit.database):
            with pytest.raises(Exception, match=r"full|extend|lock"):
                await handler.handle(record_of(request))
        assert await kit.rows(tables.leads) == []
        assert await kit.events("lead.no_candidate") == []
        await handler.handle(record_of(request))
    assert len(await kit.events("lead.no_candidate")) == 1


@HINDERED
async def test_what_only_makes_things_safer_goes_on_and_is_entered_later(
    kit: ProbeKit, journal: AuditJournal, merge: JournalMerge, hindered: Hindrance
) -> None:
    waiting = await kit.chosen()
    refused = await kit.chosen("incident-2")
    async with hindered(kit.database):
        async with kit.database.write() as tx:
            assert await kit.approvals.withdraw_for_incident(tx, "incident-1", ENDED) == 1
        await kit.desk.refuse(refused.probe_id, SUPERVISOR, "no grounds")
        assert (await kit.desk.find(waiting.probe_id)).state == "withdrawn"
        assert (await kit.desk.find(refused.probe_id)).state == "refused"
        assert await kit.audited("probe.withdraw") == []
    noted = _noted(journal)
    assert [one["action"] for one in noted] == ["probe.withdraw", "probe.refuse"]
    assert all(one.is_done for one in journal.waiting())
    assert await merge.merge() == 2
    for one in noted:
        (row,) = await kit.rows(tables.audit_entries, entry_id=one["entryId"])
        assert row["entry"] == one
        assert row["leaf_hash"] == leaf_hash(one)
    (merged,) = await kit.audited(MERGED_ACTION)
    assert (merged["entry"]["details"]["ofUnknownEnd"], merged["entry"]["details"]["altered"]) == ([], [])
    assert journal.waiting() == []
    assert await merge.merge() == 0


async def test_a_session_ends_and_a_token_is_revoked_all_the_same(
    kit: ProbeKit, journal: AuditJournal, merge: JournalMerge
) -> None:
    audit = kit.parts.audit
    sessions = Sessions(kit.database, audit, kit.clock, IdentitySettings(), None, has_local_accounts=True)
    tokens = ServiceTokens(kit.database, audit, kit.clock, RefusalLog(kit.database, audit, kit.metrics))
    person = SignedIn(voucher=Voucher.LOCAL, account=ANALYST)
    secret = await sessions.begin(person)
    token = await tokens.create(ADMINISTRATOR, "the wall", [Deed.WATCH_FLOOR], kit.clock.now() + timedelta(days=1))
    async with full(kit.database):
        assert await sessions.end(secret) is not None
        await tokens.revoke(ADMINISTRATOR, token.record.token_id)
        with pytest.raises(Exception, match=r"full|extend"):
            await sessions.begin(person)
    assert await kit.rows(tables.sessions) == []
    assert {one["action"] for one in _noted(journal)} == {"session.end", "token.revoke"}
    assert await merge.merge() == 2


@HINDERED
async def test_a_legal_hold_is_placed_all_the_same(
    life: LifeKit, journal: AuditJournal, merge: JournalMerge, hindered: Hindrance
) -> None:
    """It keeps what may free somebody from the next purge; lifting it does not, and waits for the log."""
    retention = RetentionKit(life)
    await life.kit.attached()
    async with hindered(life.kit.database):
        hold = await retention.desk.holds.place(ADMINISTRATOR, HoldOrder(case_number=CASE), "a letter of the court")
        with pytest.raises(Exception, match=r"full|extend|lock"):
            await retention.desk.holds.lift(ADMINISTRATOR, hold.hold_id, "over")
    [row] = await life.kit.rows(tables.legal_holds)
    assert (row["hold_id"], row["lifted_at"]) == (hold.hold_id, None)
    assert await life.kit.audited("retention.hold") == []
    assert await merge.merge() == 1
    [entry] = await life.kit.audited("retention.hold")
    assert (entry["subject"], entry["outcome"]) == (hold.hold_id, "held")


async def test_nor_does_a_hold_wait_for_the_key_of_a_name(life: LifeKit, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log commits to the case's number with a key that the key service wraps, which may be away."""
    retention = RetentionKit(life)
    await life.kit.attached()
    async with life.kit.database.write() as tx:
        await tx.execute(tables.audit_commitments.delete())

    async def away(*_arguments: object) -> None:
        raise UnavailableError("the key service does not answer")

    monkeypatch.setattr(Commitments, "prepare", away)
    hold = await retention.desk.holds.place(ADMINISTRATOR, HoldOrder(case_number=CASE), "a letter of the court")
    [entry] = await life.kit.audited("retention.hold")
    assert (entry["subject"], "names" in entry["entry"]) == (hold.hold_id, False)


async def test_an_attempt_that_is_refused_is_entered_later_too(
    kit: ProbeKit, journal: AuditJournal, merge: JournalMerge
) -> None:
    probe = await kit.attached()
    async with full(kit.database):
        with pytest.raises(Exception, match="role"):
            await kit.desk.preview(probe.probe_id, FLOOR)
        with pytest.raises(Exception, match=r"disk is full|could not extend file"):
            await merge.merge()
        assert _counted(kit) == 1
    assert await merge.merge() == 1
    assert _counted(kit) == 0
    (entry,) = await kit.audited("probe.preview")
    assert entry["outcome"] == "refused"


async def test_an_entry_whose_act_did_not_commit_is_named_as_one_of_unknown_end(
    kit: ProbeKit, journal: AuditJournal, merge: JournalMerge
) -> None:
    await kit.chosen()

    async def withdraw_and_die() -> None:
        async with kit.database.write() as tx:
            await kit.approvals.withdraw_for_incident(tx, "incident-1", ENDED)
            raise LookupError

    async with full(kit.database):
        with pytest.raises(LookupError):
            await withdraw_and_die()
    assert await merge.merge() == 0, "it may still be under way"
    (noted,) = journal.waiting()
    earlier = noted.noted_at - UNKNOWN_AFTER_SECONDS - 1
    os.utime(noted.file, (earlier, earlier))
    assert await merge.merge() == 1
    (merged,) = await kit.audited(MERGED_ACTION)
    assert merged["entry"]["details"]["ofUnknownEnd"] == merged["entry"]["details"]["entries"]


async def test_what_is_no_act_that_goes_on_without_the_log_is_not_entered_late(
    kit: ProbeKit, journal: AuditJournal, merge: JournalMerge
) -> None:
    """Whoever writes to the folder cannot have an approval entered that nobody gave."""
    forged = {"entryId": "forged", "actor": "supervisor", "action": "probe.approve", "outcome": "granted"}
    await journal.note({**forged, "subject": "probe/1", "at": "2026-01-05T12:00:00Z"})
    journal.done("forged")
    assert await merge.merge() == 0
    assert await kit.audited("probe.approve") == []
    assert journal.waiting() == []
    [kept] = (kit.objects.parent / "journal").iterdir()
    assert json.loads(kept.read_text())["entryId"] == "forged"
    [told] = await kit.audited(ASIDE_ACTION)
    assert told["entry"]["details"]["sha256"] == hashlib.sha256(kept.read_bytes()).hexdigest()
    assert told["entry"]["details"]["cause"] == "no such act is entered late"


async def test_what_no_table_holds_is_entered_with_the_original_in_it(
    kit: ProbeKit, journal: AuditJournal, merge: JournalMerge
) -> None:
    """As earlier versions noted refused attempts at what somebody had named so: PostgreSQL takes no zero."""
    noted = {
        "version": 1, "entryId": "named-oddly", "at": "2026-01-05T12:00:00Z", "actor": "analyst",
        "action": "probe.approve", "subject": "probe/\0" + "9" * 300, "outcome": "refused", "authority": {},
        "details": {"rule": "P10", "reason": "the probe \0 is closed to you"},
    }  # fmt: skip
    await journal.note(noted)
    journal.done("named-oddly")
    probe = await kit.attached()
    async with full(kit.database):
        with pytest.raises(PolicyRefusalError):
            await kit.desk.preview(probe.probe_id, FLOOR)
    assert await merge.merge() == 2, "it holds up nothing"
    assert journal.waiting() == []
    [entered] = await kit.rows(tables.audit_entries, entry_id="named-oddly")
    assert entered["subject"] == entered["entry"]["subject"] == "probe/\N{REPLACEMENT CHARACTER}" + "9" * 249
    assert "\\u0000" not in json.dumps(entered["entry"])
    assert entered["leaf_hash"] == leaf_hash(entered["entry"])
    original = entered["entry"]["original"]
    assert json.loads(base64.b64decode(original["canonical"])) == noted
    assert original["leafHash"] == leaf_hash(noted)
    [merged] = await kit.audited(MERGED_ACTION)
    assert merged["entry"]["details"]["altered"] == ["named-oddly"]


async def test_what_is_no_entry_is_set_aside_told_and_counted(
    kit: ProbeKit, journal: AuditJournal, merge: JournalMerge
) -> None:
    """Whoever spoils a file of the folder neither stops what lies behind it nor does it unseen."""
    probe = await kit.attached()
    async with full(kit.database):
        with pytest.raises(PolicyRefusalError):
            await kit.desk.preview(probe.probe_id, FLOOR)
    spoiled = kit.objects.parent / "journal" / "spoiled.done.json"
    spoiled.write_bytes(b"{")
    os.utime(spoiled, (0, 0))
    async with full(kit.database):
        with pytest.raises(Exception, match=r"full|extend"):
            await merge.merge()
        assert spoiled.exists(), "nothing is set aside untold"
    assert await merge.merge() == 1
    [aside] = (kit.objects.parent / "journal").iterdir()
    assert (aside.suffix, aside.read_bytes()) == (".set-aside", b"{")
    aside.rename(spoiled)  # as if the process had died before it was renamed
    assert await merge.merge() == 0
    [told] = await kit.audited(ASIDE_ACTION)
    assert told["subject"] == f"journal/{hashlib.sha256(b'{').hexdigest()}"
    assert await merge.merge() == 0
    assert _counted(kit) == 1, "until somebody has taken the file away"
    aside.unlink()
    await merge.merge()
    assert _counted(kit) == 0


async def test_merging_twice_enters_nothing_twice(kit: ProbeKit, journal: AuditJournal, merge: JournalMerge) -> None:
    """As after a crash between the commit and the removal of the files, and by two processes of one machine."""
    await kit.chosen()
    async with full(kit.database), kit.database.write() as tx:
        await kit.approvals.withdraw_for_incident(tx, "incident-1", ENDED)
    (noted,) = _noted(journal)
    await merge.merge()
    await journal.note(noted)
    journal.done(noted["entryId"])
    assert await merge.merge() == 1
    assert len(await kit.audited("probe.withdraw")) == 1
    assert len(await kit.audited(MERGED_ACTION)) == 1


async def test_what_was_entered_later_has_its_place_in_the_tree(
    kit: ProbeKit, journal: AuditJournal, merge: JournalMerge
) -> None:
    await kit.chosen()
    log = AuditKit(kit.database, kit.clock, kit.metrics)
    await log.sign()
    async with full(kit.database), kit.database.write() as tx:
        await kit.approvals.withdraw_for_incident(tx, "incident-1", ENDED)
    (noted,) = _noted(journal)
    await merge.merge()
    await log.sign()
    receipt = await log.proofs.of_leaf(leaf_hash(noted))
    assert "are in the log" in receipt.verify(await log.key())


async def test_without_a_journal_that_can_be_written_nothing_goes_on(kit: ProbeKit, journal: AuditJournal) -> None:
    await kit.chosen()
    (kit.objects.parent / "journal").write_text("a file where the folder should be", encoding="utf-8")

    async def withdraw() -> None:
        async with kit.database.write() as tx:
            await kit.approvals.withdraw_for_incident(tx, "incident-1", ENDED)

    async with full(kit.database):
        with pytest.raises(UnavailableError, match="neither the audit log nor its journal"):
            await withdraw()
    assert await kit.rows(tables.probes, state="withdrawn") == []
