"""P19: a lead can be taken back at any time, with a reason; a ledger knows everybody who has had it."""

import io
import json
import zipfile
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rtcc_bridge.errors import ConflictError, InvalidInputError, NotFoundError, PolicyRefusalError
from rtcc_bridge.leads.ledger import Receiver, ReceiverKind
from rtcc_bridge.leads.receiver_watch import LONG, ReceiverWatch
from rtcc_bridge.policy.accounts import Account, Role
from rtcc_bridge.publishing.lead_offsets import ENDING_EVENTS
from rtcc_bridge.reports.discovery import HandedTo, PacketOrder
from rtcc_bridge.storage import tables
from tests.life_kit import ADMINISTRATOR, AUDITOR, FIRST, FLOOR, PEER, REQUESTOR, SUPERVISOR, LifeKit
from tests.probe_kit import FORM
from tests.report_kit import DEFENSE, report_desks

JPEG = b"\xff\xd8"
Reach = Callable[[LifeKit], Awaitable[str]]


async def inconclusive(life: LifeKit) -> str:
    lead_id = await life.taken()
    await life.conclude(lead_id, inconclusive=(0,))
    await life.review(lead_id, PEER, inconclusive=(0,))
    assert await life.state(lead_id) == "inconclusive"
    return lead_id


@pytest.mark.parametrize(
    "reach",
    [LifeKit.lead, LifeKit.taken, LifeKit.agreed, inconclusive, LifeKit.released],
    ids=["found", "taken", "agreed", "inconclusive", "released"],
)
@pytest.mark.parametrize("account", [FIRST, SUPERVISOR, ADMINISTRATOR], ids=lambda account: account.name)
async def test_a_lead_is_taken_back_at_any_time(life: LifeKit, reach: Reach, account: Account) -> None:
    lead_id = await reach(life)
    await life.life.withdrawal.withdraw(lead_id, account, "the still was of another camera")
    [event] = await life.kit.events("lead.withdrawn")
    assert (event["reviewState"], event["candidates"]) == ("withdrawn", [])
    assert event["withdrawal"] == {"cause": "no_longer_supported"}
    assert "camera" not in str([row["event"] for row in await life.kit.rows(tables.outbox)])
    [entry] = await life.kit.audited("lead.withdrawn")
    assert entry["actor"] == account.name
    assert entry["entry"]["details"]["reason"] == "the still was of another camera"


async def test_an_expungement_and_a_persons_withdrawal_look_alike_from_outside(life: LifeKit) -> None:
    taken_back, expunged = await life.lead(), await life.lead()
    await life.life.withdrawal.withdraw(taken_back, SUPERVISOR, "a reason")
    [row, *_] = await life.kit.rows(tables.lead_candidates, lead_id=expunged)
    async with life.kit.database.write() as tx:
        await life.leads.withdraw_for_subject(tx, row["subject_id"], "court order", "administrator")
    first, second = await life.kit.events("lead.withdrawn")
    for data in (first, second):
        for name in ("leadId", "probeId", "auditLeaf"):
            data.pop(name)
    assert first == second


@pytest.mark.parametrize("reason", ["", "   ", "x" * 1025])
async def test_not_without_a_reason(life: LifeKit, reason: str) -> None:
    lead_id = await life.released()
    with pytest.raises(InvalidInputError):
        await life.life.withdrawal.withdraw(lead_id, SUPERVISOR, reason)
    assert await life.state(lead_id) == "released"


@pytest.mark.parametrize("account", [FLOOR, REQUESTOR, AUDITOR])
async def test_not_by_just_anybody(life: LifeKit, account: Account) -> None:
    lead_id = await life.released()
    with pytest.raises(PolicyRefusalError) as caught:
        await life.life.withdrawal.withdraw(lead_id, account, "a reason")
    assert caught.value.rule == "P10"
    assert await life.state(lead_id) == "released"


async def test_not_twice(life: LifeKit) -> None:
    lead_id = await life.released()
    await life.life.withdrawal.withdraw(lead_id, SUPERVISOR, "a reason")
    with pytest.raises(ConflictError):
        await life.life.withdrawal.withdraw(lead_id, SUPERVISOR, "a reason")


async def test_the_ledger_knows_the_requestor_at_once_and_whoever_looked_later(life: LifeKit) -> None:
    lead_id = await life.released()
    assert [one.account for one in await life.life.withdrawal.receivers(lead_id, AUDITOR)] == ["requestor"]
    life.kit.clock.advance(5)
    await life.life.release.received(lead_id, SUPERVISOR)
    await life.life.release.received(lead_id, REQUESTOR)
    ledger = await life.life.withdrawal.receivers(lead_id, ADMINISTRATOR)
    assert [one.account for one in ledger] == ["requestor", "supervisor"]
    for account in (FLOOR, REQUESTOR, FIRST):
        with pytest.raises(PolicyRefusalError):
            await life.life.withdrawal.receivers(lead_id, account)


async def test_a_receiver_is_one_person_under_every_spelling(life: LifeKit) -> None:
    """The requestor is named by hand, and signs in under an id that the provider spells."""
    lead_id = await life.released()
    spelt = replace(REQUESTOR, name=f" {REQUESTOR.name.upper()} ")
    await life.life.release.received(lead_id, spelt)
    assert len(await life.life.release.all_received(spelt)) == 1
    await life.life.withdrawal.withdraw(lead_id, FIRST, "a reason")
    await life.life.withdrawal.acknowledge(lead_id, spelt)
    [one] = await life.life.withdrawal.receivers(lead_id, AUDITOR)
    assert (one.account, one.withdrawal_acknowledged_at) == (REQUESTOR.name, life.kit.clock.now())


async def test_each_receiver_acknowledges_the_withdrawal(life: LifeKit) -> None:
    lead_id = await life.released()
    await life.life.release.received(lead_id, SUPERVISOR)
    with pytest.raises(ConflictError, match="not taken back"):
        await life.life.withdrawal.acknowledge(lead_id, REQUESTOR)
    await life.life.withdrawal.withdraw(lead_id, FIRST, "a reason")
    ledger = await life.life.withdrawal.receivers(lead_id, AUDITOR)
    assert [one.withdrawal_acknowledged_at for one in ledger] == [None, None]
    life.kit.clock.advance(60)
    await life.life.withdrawal.acknowledge(lead_id, REQUESTOR)
    await life.life.withdrawal.acknowledge(lead_id, REQUESTOR)
    first, second = await life.life.withdrawal.receivers(lead_id, AUDITOR)
    assert (first.account, first.withdrawal_acknowledged_at) == ("requestor", life.kit.clock.now())
    assert second.withdrawal_acknowledged_at is None
    assert len(await life.kit.audited("lead.acknowledge_withdrawal")) == 1


async def test_who_never_had_the_lead_has_nothing_to_acknowledge(life: LifeKit) -> None:
    lead_id = await life.released()
    await life.life.withdrawal.withdraw(lead_id, FIRST, "a reason")
    with pytest.raises(NotFoundError):
        await life.life.withdrawal.acknowledge(lead_id, SUPERVISOR)


async def test_what_was_taken_back_is_seen_by_nobody_any_more(life: LifeKit) -> None:
    lead_id = await life.released()
    received = await life.life.release.received(lead_id, REQUESTOR)
    await life.life.withdrawal.withdraw(lead_id, FIRST, "a reason")
    ref = received.release.findings["candidates"][0]["candidateRef"]
    for call in (
        life.life.release.received(lead_id, REQUESTOR),
        life.life.pictures.released_candidate(lead_id, REQUESTOR, ref, 1),
    ):
        with pytest.raises(ConflictError, match="taken back"):
            await call
    [shown] = await life.life.release.all_received(REQUESTOR)
    assert (shown.lead.review_state, shown.receiver.withdrawal_acknowledged_at) == ("withdrawn", None)


async def withdrawn(life: LifeKit, lead_id: str) -> None:
    await life.life.withdrawal.withdraw(lead_id, SUPERVISOR, "a reason")


async def refused(life: LifeKit, lead_id: str) -> None:
    [lead] = await life.kit.rows(tables.leads, lead_id=lead_id)
    await life.kit.desk.refuse(lead["probe_id"], SUPERVISOR, "no grounds")


async def lapsed(life: LifeKit, _lead_id: str) -> None:
    life.kit.clock.advance(3600)
    await life.kit.reconciler.sweep()


async def expired(life: LifeKit, lead_id: str) -> None:
    [lead] = await life.kit.rows(tables.leads, lead_id=lead_id)
    await life.kit.desk.approve(lead["probe_id"], SUPERVISOR)
    life.kit.clock.advance(720 * 3600)
    await life.kit.reconciler.sweep()


@pytest.mark.parametrize("ends", [withdrawn, refused, lapsed, expired], ids=lambda ends: ends.__name__)
async def test_examiners_see_nobody_of_a_lead_that_has_ended(
    life: LifeKit, ends: Callable[[LifeKit, str], Awaitable[None]]
) -> None:
    """Neither who has concluded, nor who has not; what they noted themselves stays theirs to read."""
    lead_id = await life.taken(imminent=True)
    listed = await life.listed(lead_id)
    [review] = await life.kit.rows(tables.examinations, lead_id=lead_id, round=2)
    review_id, pictures = review["examination_id"], life.life.pictures
    own = (await life.life.review.take(review_id, PEER)).examination.refs
    await life.conclude(lead_id, (0,))
    before = set(await life.types(lead_id))
    await ends(life, lead_id)
    assert await life.state(lead_id) in {"withdrawn", "expired"}
    last = (await life.types(lead_id))[-1]
    assert last in ENDING_EVENTS, "by it a reader of the topic is known to know"
    assert before.isdisjoint(ENDING_EVENTS)
    for call in (
        pictures.examined_still(lead_id, FIRST),
        pictures.examined_candidate(lead_id, FIRST, listed[0], 1),
        pictures.reviewed_still(review_id, PEER),
        pictures.reviewed_candidate(review_id, PEER, own[0], 1),
    ):
        with pytest.raises(ConflictError, match="shown to nobody"):
            await call
    assert {entry["outcome"] for entry in await life.kit.audited("examination.picture")} == set()
    sheets = (await life.life.examination.view(lead_id, FIRST), await life.life.review.view(review_id, PEER))
    assert [await pictures.dates(sheet.examination) for sheet in sheets] == [{}, {}]
    assert [one.candidate_ref for one in sheets[0].opinion.compared] == [listed[0]]


async def test_what_ended_with_a_result_is_still_theirs_to_look_at(life: LifeKit) -> None:
    lead_id = await life.released()
    assert (await life.life.pictures.examined_candidate(lead_id, FIRST, (await life.listed(lead_id))[0], 1))[:2] == JPEG


async def test_an_expired_lead_is_acknowledged_like_a_withdrawn_one(life: LifeKit) -> None:
    lead_id = await life.released()
    life.kit.clock.advance(720 * 3600)
    await life.kit.reconciler.sweep()
    await life.life.withdrawal.acknowledge(lead_id, REQUESTOR)
    [one] = await life.life.withdrawal.receivers(lead_id, AUDITOR)
    assert one.withdrawal_acknowledged_at is not None


MOTION = PacketOrder(reason="motion of the defense", handed_to=DEFENSE)


async def handed_over(life: LifeKit, lead_id: str, folder: Path, order: PacketOrder = MOTION) -> dict[str, bytes]:
    """The files of a packet, by their names in its folder."""
    made = await report_desks(life.kit, folder).discovery.of_lead(ADMINISTRATOR, lead_id, order)
    with zipfile.ZipFile(io.BytesIO(made.data)) as packed:
        return {name.split("/", 1)[1]: packed.read(name) for name in packed.namelist()}


async def of_packets(life: LifeKit, lead_id: str) -> list[Receiver]:
    found = await life.life.withdrawal.receivers(lead_id, AUDITOR)
    return [one for one in found if one.kind is ReceiverKind.PACKET]


async def waits_for(life: LifeKit) -> list[str]:
    found = await life.life.withdrawal.outstanding(AUDITOR)
    return [str(one.receiver.account or one.receiver.name) for one in found.people]


async def test_whom_a_packet_is_handed_to_has_had_the_lead(life: LifeKit, tmp_path: Path) -> None:
    lead_id = await life.released()
    files = await handed_over(life, lead_id, tmp_path)
    [one] = await of_packets(life, lead_id)
    assert (one.office, one.name, one.handed_over_by) == (DEFENSE.office, DEFENSE.name, "administrator")
    assert (one.received_at, one.withdrawal_acknowledged_at) == (life.kit.clock.now(), None)
    assert json.loads(files["packet.json"])["handedTo"] == {"office": DEFENSE.office, "name": DEFENSE.name}
    [told] = json.loads(files["lead-1/facts.json"])["receiversOutside"]
    assert (told["name"], told["handedOverBy"], told["knowsOfWithdrawalSince"]) == (DEFENSE.name, "administrator", None)
    for name in ("README.txt", "lead-1/packet.txt", "lead-1/packet.html"):
        assert DEFENSE.name in files[name].decode(), name
    [entry] = await life.kit.audited("lead.discovery_packet")
    assert entry["entry"]["details"]["receiver"] == one.receiver_id
    assert entry["entry"]["details"]["handedTo"] == {"office": DEFENSE.office}
    assert "receiver" in entry["entry"]["names"], "the name is a commitment"
    assert DEFENSE.name not in json.dumps([row["entry"] for row in await life.kit.rows(tables.audit_entries)])


async def test_a_name_is_one_line_whatever_was_typed(life: LifeKit, tmp_path: Path) -> None:
    """Else it could write a part of the README that is not there."""
    lead_id = await life.released()
    order = replace(MOTION, handed_to=HandedTo(" public\n\ndefender", "matter\n\nIS IT WHOLE?\n"))
    files = await handed_over(life, lead_id, tmp_path, order)
    assert "\nmatter IS IT WHOLE?, public defender." in files["README.txt"].decode()


async def test_a_second_packet_tells_of_the_first(life: LifeKit, tmp_path: Path) -> None:
    lead_id = await life.released()
    await handed_over(life, lead_id, tmp_path)
    other = replace(MOTION, handed_to=HandedTo("county attorney", "matter 7"))
    files = await handed_over(life, lead_id, tmp_path, other)
    facts = json.loads(files["lead-1/facts.json"])
    assert [one["name"] for one in facts["receiversOutside"]] == [DEFENSE.name, "matter 7"]
    assert [one["account"] for one in facts["release"]["receivers"]] == ["requestor"]


async def test_of_a_case_they_have_had_every_lead(life: LifeKit, tmp_path: Path) -> None:
    first = await life.released()
    life.kit.clock.advance(60)
    second = await life.released()
    await report_desks(life.kit, tmp_path).discovery.of_case(ADMINISTRATOR, str(FORM.case_number), MOTION)
    for lead_id in (first, second):
        assert [one.name for one in await of_packets(life, lead_id)] == [DEFENSE.name]


@pytest.mark.parametrize("office", ["", "   ", "x" * 257])
async def test_no_packet_is_made_for_nobody(life: LifeKit, tmp_path: Path, office: str) -> None:
    lead_id = await life.released()
    for handed_to in (HandedTo(office, "matter"), HandedTo("office", office)):
        with pytest.raises(InvalidInputError):
            await handed_over(life, lead_id, tmp_path, replace(MOTION, handed_to=handed_to))
    assert await of_packets(life, lead_id) == []


async def test_a_withdrawal_waits_until_whoever_handed_it_over_has_told_them(life: LifeKit, tmp_path: Path) -> None:
    lead_id = await life.released()
    await handed_over(life, lead_id, tmp_path)
    [one] = await of_packets(life, lead_id)
    desk, receiver_id, how = life.life.withdrawal, str(one.receiver_id), "by letter, returned signed"
    with pytest.raises(ConflictError, match="not taken back"):
        await desk.answer_for(lead_id, receiver_id, ADMINISTRATOR, life.kit.clock.now(), how)
    assert await waits_for(life) == []
    await desk.withdraw(lead_id, FIRST, "a reason")
    assert sorted(await waits_for(life)) == [DEFENSE.name, "requestor"]
    ended_at = life.kit.clock.now()
    life.kit.clock.advance(3600)
    for told_at in (one.received_at.replace(year=2020), life.kit.clock.now().replace(year=2040)):
        with pytest.raises(InvalidInputError, match="after the lead ended"):
            await desk.answer_for(lead_id, receiver_id, ADMINISTRATOR, told_at, how)
    with pytest.raises(InvalidInputError, match="State how they were told"):
        await desk.answer_for(lead_id, receiver_id, ADMINISTRATOR, ended_at, " ")
    for _ in range(2):
        await desk.answer_for(lead_id, receiver_id, ADMINISTRATOR, ended_at, how)
    [one] = await of_packets(life, lead_id)
    assert (one.withdrawal_acknowledged_at, one.told_at) == (life.kit.clock.now(), ended_at)
    assert (one.acknowledged_by, one.told_how) == ("administrator", how)
    assert await waits_for(life) == ["requestor"]
    [entry] = await life.kit.audited("lead.answer_for_receiver")
    assert entry["entry"]["details"]["receiver"] == receiver_id
    await desk.acknowledge(lead_id, REQUESTOR)
    assert await waits_for(life) == []


async def test_only_who_handed_it_over_or_an_administrator_says_so(life: LifeKit, tmp_path: Path) -> None:
    lead_id, other = await life.released(), await life.released()
    await handed_over(life, lead_id, tmp_path)
    await life.life.withdrawal.withdraw(lead_id, FIRST, "a reason")
    [one] = await of_packets(life, lead_id)
    receiver_id, now = str(one.receiver_id), life.kit.clock.now()
    for account in (SUPERVISOR, AUDITOR, REQUESTOR, FIRST):
        with pytest.raises(PolicyRefusalError) as caught:
            await life.life.withdrawal.answer_for(lead_id, receiver_id, account, now, "by letter")
        assert caught.value.rule == "P10", account
    with pytest.raises(NotFoundError):
        await life.life.withdrawal.answer_for(other, receiver_id, ADMINISTRATOR, now, "by letter")
    moved = Account(f" {ADMINISTRATOR.name.upper()}", frozenset({Role.SUPERVISOR}))
    await life.life.withdrawal.answer_for(lead_id, receiver_id, moved, now, "by letter")
    assert [one.acknowledged_by for one in await of_packets(life, lead_id)] == ["administrator"]


async def test_a_packet_of_an_ended_lead_tells_that_itself(life: LifeKit, tmp_path: Path) -> None:
    lead_id = await life.released()
    await life.life.withdrawal.withdraw(lead_id, FIRST, "a reason")
    files = await handed_over(life, lead_id, tmp_path)
    assert "nobody may act on it" in files["lead-1/packet.txt"].decode()
    [one] = await of_packets(life, lead_id)
    assert (one.withdrawal_acknowledged_at, one.told_how) == (
        life.kit.clock.now(), "The packet says that the lead had ended.",
    )  # fmt: skip
    assert await waits_for(life) == ["requestor"]


async def test_what_is_outstanding_for_long_is_counted_and_named_to_nobody(life: LifeKit, tmp_path: Path) -> None:
    lead_id = await life.released()
    await handed_over(life, lead_id, tmp_path)
    await life.life.withdrawal.withdraw(lead_id, FIRST, "a reason")
    watch = ReceiverWatch(life.kit.database, life.kit.clock, life.kit.metrics)

    async def counted() -> dict[str, float]:
        await watch.look()
        return {kind: life.kit.count("withdrawals_unacknowledged", receiver=kind) for kind in ("account", "packet")}

    assert await counted() == {"account": 0, "packet": 0}
    life.kit.clock.advance(LONG.total_seconds())
    assert await counted() == {"account": 1, "packet": 1}
    await life.life.withdrawal.acknowledge(lead_id, REQUESTOR)
    assert await counted() == {"account": 0, "packet": 1}


async def test_a_look_at_who_has_not_confirmed_is_audited_where_it_names_somebody(life: LifeKit) -> None:
    lead_id = await life.released()
    assert await waits_for(life) == []
    assert await life.kit.audited("lead.outstanding") == []
    await life.life.withdrawal.withdraw(lead_id, FIRST, "a reason")
    assert await waits_for(life) == ["requestor"]
    assert [entry["actor"] for entry in await life.kit.audited("lead.outstanding")] == [AUDITOR.name]
    for account in (FLOOR, REQUESTOR, FIRST):
        with pytest.raises(PolicyRefusalError):
            await life.life.withdrawal.outstanding(account)
