"""The sequencer on both databases: places in the order of commits, checkpoints when they are due, keys that change."""

import asyncio
import json
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import select

from rtcc_bridge.audit.canonical import canonical_json
from rtcc_bridge.audit.note import SignedCheckpoint, VerifierKey
from rtcc_bridge.audit.receipts import Receipt, read_receipt
from rtcc_bridge.audit.sequencer import KEY_ACTION, Sequencer
from rtcc_bridge.audit.tree import GrowingTree, leaf_hash
from rtcc_bridge.audit.verify import SpoiledLogError, verify_export
from rtcc_bridge.errors import ConflictError, IntegrityError, NotFoundError, UnavailableError
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.storage import audit_tree, tables
from rtcc_bridge.storage.engine import Database
from tests.audit_kit import OTHER_SEED, SEED, TOPIC, AuditKit, notes_of
from tests.doubles import ManualClock


@pytest.fixture
def kit(database: Database, clock: ManualClock, metrics: Metrics) -> AuditKit:
    return AuditKit(database, clock, metrics)


async def placed(database: Database) -> list[audit_tree.PlacedEntry]:
    async with database.read() as tx:
        return await audit_tree.entries_from(tx, 0, 10**9, 10**6)


async def test_every_entry_gets_one_place_without_gaps(kit: AuditKit) -> None:
    await asyncio.gather(*(kit.act(5) for _ in range(8)))
    assert await kit.sequencer.sequence_all() == 40
    assert await kit.sequencer.sequence_all() == 0
    assert [one.position for one in await placed(kit.database)] == list(range(40))


async def test_the_root_is_that_over_the_canonical_entries(kit: AuditKit) -> None:
    await kit.act(300)
    signed = await kit.sign()
    await kit.act(250)
    assert (await kit.sign()).checkpoint.size > signed.checkpoint.size
    tree, roots = GrowingTree(), {}
    for one in await placed(kit.database):
        tree.append(leaf_hash(canonical_json(one.entry)))
        roots[tree.size] = tree.root()
    assert signed.checkpoint.root == roots[signed.checkpoint.size]
    assert (await kit.proofs.newest()).checkpoint.root == tree.root()


async def test_an_entry_of_a_transaction_that_commits_late_comes_after_what_was_placed(kit: AuditKit) -> None:
    await kit.act(3)
    await kit.sequencer.sequence_all()
    async with kit.database.write() as tx:
        late = await kit.audit.append(
            tx, actor="a", action="b", subject="late", outcome="d", authority={}, details={"at": "the first moment"}
        )
    await kit.sequencer.sequence_all()
    async with kit.database.read() as tx:
        assert await audit_tree.position_of(tx, late) == 3


async def test_how_long_the_oldest_entry_has_waited_is_told(kit: AuditKit, monkeypatch: pytest.MonkeyPatch) -> None:
    def told() -> float | None:
        return kit.metrics.registry.get_sample_value("rtcc_bridge_audit_unsequenced_seconds")

    async def away(*_: object) -> None:
        raise UnavailableError("no place can be written")

    await kit.act(2)
    kit.clock.advance(40)
    with monkeypatch.context() as patched:
        patched.setattr(audit_tree, "place", away)
        with pytest.raises(UnavailableError):
            await kit.sequencer.sequence_all()
    assert told() == pytest.approx(40, abs=1)
    assert await kit.sequencer.sequence_all() == 2
    assert await kit.sequencer.sequence_all() == 0
    assert told() == 0


async def test_what_rolled_back_has_no_place(kit: AuditKit) -> None:
    await kit.act(2)
    with suppress(LookupError):
        async with kit.database.write() as tx:
            await kit.audit.append(tx, actor="a", action="b", subject="c", outcome="d", authority={}, details={})
            raise LookupError
    assert await kit.sequencer.sequence_all() == 2


async def test_two_sequencers_at_once_place_nothing_twice(kit: AuditKit, database: Database) -> None:
    """The lock keeps them apart; should it fail, the database does."""
    await kit.act(200)

    async def place(sequencer: Sequencer) -> int:
        try:
            return await sequencer.sequence_all()
        except UnavailableError:
            return 0

    await asyncio.gather(*(place(kit.sequencer) for _ in range(4)))
    await kit.sequencer.sequence_all()
    assert [one.position for one in await placed(database)] == list(range(200))
    await kit.sign()
    assert (await kit.proofs.newest()).checkpoint.size == 201


async def test_a_checkpoint_is_signed_when_enough_was_done_or_long_enough_ago(
    kit: AuditKit, clock: ManualClock
) -> None:
    sequencer = kit.sequencer
    assert await sequencer.sign_if_due() is None, "there is nothing"
    await kit.act()
    await sequencer.sequence_all()
    assert await sequencer.sign_if_due() is not None, "the first one at once"
    await kit.act(9)
    await sequencer.sequence_all()
    assert await sequencer.sign_if_due() is None
    await kit.act()
    await sequencer.sequence_all()
    assert await sequencer.sign_if_due() is not None, "ten entries"
    await kit.act()
    await sequencer.sequence_all()
    clock.advance(59)
    assert await sequencer.sign_if_due() is None
    clock.advance(1)
    assert await sequencer.sign_if_due() is not None, "a minute"
    clock.advance(3600)
    assert await sequencer.sign_if_due() is None, "nothing was done"


async def test_a_checkpoint_leaves_with_its_transaction(kit: AuditKit) -> None:
    await kit.act(4)
    signed = await kit.sign()
    async with kit.database.read() as tx:
        row = (await tx.execute(select(tables.outbox).where(tables.outbox.c.topic == TOPIC))).one()
    data = row.event["data"]
    assert SignedCheckpoint.read(data["note"]) == signed
    assert (data["size"], data["rootHash"]) == (5, signed.checkpoint.root.hex())
    assert row.key == data["origin"] == signed.checkpoint.origin
    assert not row.on_feed


async def test_without_a_key_entries_are_placed_and_nothing_is_signed(kit: AuditKit) -> None:
    kit.seeds = ()
    await kit.act(20)
    await kit.sequencer.sequence_all()
    assert await kit.sequencer.sign_if_due() is None
    with pytest.raises(NotFoundError, match="signing_key_file"):
        await kit.proofs.newest()


async def test_a_key_that_takes_over_is_vouched_for_by_the_one_before(kit: AuditKit, tmp_path: Path) -> None:
    await kit.act(3)
    await kit.sign()
    old = await kit.key()
    kit.seeds = (OTHER_SEED, SEED)
    await kit.act(3)
    both = await kit.sign()
    new = await kit.key()
    assert new != old
    assert both.signed_by(old)
    assert both.signed_by(new)
    await kit.act(3)
    alone = await kit.sign()
    assert not alone.signed_by(old)
    folder = await kit.export(tmp_path / "export")
    entries = [one.entry for one in await placed(kit.database) if one.entry["action"] == KEY_ACTION]
    assert [entry["details"] for entry in entries] == [
        {"before": None, "key": str(old)},
        {"before": str(old), "key": str(new)},
    ]
    by_old, by_new = verify_export(folder, old), verify_export(folder, new)
    assert (by_old.key, by_old.checkpoints, by_old.of_other_keys) == (new, 3, 0)
    assert (by_new.key, by_new.checkpoints, by_new.of_other_keys) == (new, 2, 1)


async def test_a_key_that_nobody_vouches_for_has_to_be_told_by_somebody_else(kit: AuditKit, tmp_path: Path) -> None:
    await kit.act(3)
    await kit.sign()
    old = await kit.key()
    kit.seeds = (OTHER_SEED,)
    await kit.act(3)
    await kit.sign()
    folder = await kit.export(tmp_path / "export")
    with pytest.raises(SpoiledLogError, match="not signed by the key"):
        verify_export(folder, old)
    assert verify_export(folder, await kit.key()).of_other_keys == 1


async def test_a_restoration_begins_a_log_of_another_name(kit: AuditKit, tmp_path: Path) -> None:
    await kit.act(3)
    before, old = await kit.sign(), await kit.key()
    async with kit.database.write() as tx:
        await audit_tree.begin_anew(tx)
    await kit.act(3)
    after = await kit.sign()
    assert after.checkpoint.origin != before.checkpoint.origin
    assert after.checkpoint.size == before.checkpoint.size + 4, "the entries stay"
    folder = await kit.export(tmp_path / "export")
    assert [one.checkpoint.size for one in notes_of(folder)] == [after.checkpoint.size]
    with pytest.raises(SpoiledLogError, match="a restoration begins a new log"):
        verify_export(folder, old)
    with pytest.raises(ConflictError, match="of the log"):
        await kit.proofs.since(before)


async def test_a_damaged_tree_stops_the_sequencer(kit: AuditKit) -> None:
    await kit.act(5)
    await kit.sign()
    async with kit.database.write() as tx:
        await tx.execute(tables.audit_tiles.update().values(hashes=b"\x00" * 32))
    await kit.act()
    with pytest.raises(IntegrityError, match="damaged"):
        await kit.sequencer.sequence_all()


async def test_receipts_prove_every_step_of_a_lead_and_nothing_else(kit: AuditKit) -> None:
    await kit.act(300)
    leaves = await kit.act(3, subject="lead-1")
    await kit.act(300)
    await kit.sign()
    key = await kit.key()
    receipt = read_receipt(_told(await kit.proofs.of_subject("lead-1")))
    assert "3 entries about lead-1" in receipt.verify(key)
    one = read_receipt(_told(await kit.proofs.of_leaf(leaves[1])))
    assert "at 301" in one.verify(key)
    changed = _told(await kit.proofs.of_leaf(leaves[1])).replace("thing.done", "thing.not_done")
    with pytest.raises(IntegrityError, match="entry 301 is not in the log"):
        read_receipt(changed).verify(key)
    with pytest.raises(IntegrityError, match="not signed by the key"):
        read_receipt(_told(await kit.proofs.of_leaf(leaves[0]))).verify(VerifierKey(key.name, b"\x00" * 32))
    with pytest.raises(NotFoundError):
        await kit.proofs.of_leaf("0" * 64)


async def test_an_entry_that_no_checkpoint_covers_has_no_receipt_yet(kit: AuditKit) -> None:
    await kit.act(3)
    await kit.sign()
    await kit.act(1, subject="lead-1")
    await kit.sequencer.sequence_all()
    with pytest.raises(NotFoundError, match="covered by a checkpoint"):
        await kit.proofs.of_subject("lead-1")


async def test_the_log_of_today_is_proved_to_continue_that_of_yesterday(kit: AuditKit) -> None:
    await kit.act(100)
    yesterday = await kit.sign()
    await kit.act(500)
    await kit.sign()
    key = await kit.key()
    receipt = read_receipt(_told(await kit.proofs.since(yesterday)))
    assert "the first 101 of the 601 entries" in receipt.verify(key)
    other = _told(await kit.proofs.since(yesterday)).replace(
        yesterday.checkpoint.text().splitlines()[2], "A" * 43 + "="
    )
    with pytest.raises(IntegrityError):
        read_receipt(other).verify(key)


def _told(receipt: Receipt) -> str:
    return json.dumps(receipt.as_json(), ensure_ascii=False)
