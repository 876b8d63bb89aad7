"""Checkpoints outside: who has acknowledged how much, what an outage leaves waiting, and who contradicts the log."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from obstore.store import LocalStore
from sqlalchemy import delete, select, update

from rtcc_bridge.audit.courier import CheckpointCourier
from rtcc_bridge.audit.note import SignedCheckpoint
from rtcc_bridge.audit.places import FilePlace, Place, StorePlace
from rtcc_bridge.audit.witness import WitnessPlace
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.storage import audit_tree, tables
from rtcc_bridge.storage.engine import Database
from tests.audit_kit import AuditKit
from tests.doubles import ManualClock
from tests.witness_server import Witness, running_witness

DAY = 86_400


@pytest.fixture
def kit(database: Database, clock: ManualClock, metrics: Metrics) -> AuditKit:
    return AuditKit(database, clock, metrics)


@pytest.fixture
async def witness() -> AsyncIterator[Witness]:
    async with running_witness() as opened:
        yield opened


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "published" / "checkpoint"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "city"
    folder.mkdir()
    return folder


def courier(kit: AuditKit, *places: Place) -> CheckpointCourier:
    return CheckpointCourier(kit.database, places, kit.metrics, kit.clock)


def place_of(witness: Witness, kit: AuditKit) -> WitnessPlace:
    return WitnessPlace(witness.url, witness.key, kit.proofs, 5)


def told(kit: AuditKit, name: str, **labels: str) -> float:
    return kit.metrics.registry.get_sample_value(f"rtcc_bridge_{name}", labels) or 0.0


def text_of(file: Path) -> str:
    return file.read_text(encoding="utf-8")


async def acknowledged(kit: AuditKit) -> dict[str, int]:
    async with kit.database.read() as tx:
        return {place: record.size for place, record in (await audit_tree.acknowledgements(tx)).items()}


async def roll_back_to(kit: AuditKit, size: int) -> None:
    """Puts the log back to an earlier moment, as a copy of the disk would."""
    entries, checkpoints, tiles = tables.audit_entries, tables.audit_checkpoints, tables.audit_tiles
    async with kit.database.write() as tx:
        tile = (await tx.execute(select(tiles.c.hashes).where(tiles.c.level == 0))).scalar_one()
        await tx.execute(update(tiles).where(tiles.c.level == 0).values(hashes=tile[: 32 * size]))
        await tx.execute(delete(entries).where(entries.c.position >= size))
        await tx.execute(delete(checkpoints).where(checkpoints.c.size > size))
        await tx.execute(update(tables.audit_acknowledgements).values(size=size))


async def test_every_place_gets_the_newest_and_the_store_every_one(
    kit: AuditKit, witness: Witness, file: Path, store: Path
) -> None:
    places = FilePlace(file), StorePlace(LocalStore(store), 5), place_of(witness, kit)
    notes = []
    for _ in range(3):
        await kit.act(5)
        notes.append(await kit.sign())
    witness.log = await kit.key()
    assert await courier(kit, *places).deliver_all()
    assert text_of(file) == notes[-1].note
    folder = store / notes[0].checkpoint.origin
    assert {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()} == {
        "newest": notes[-1].note,
        **{f"{note.checkpoint.size:019d}": note.note for note in notes},
    }
    assert witness.signed == notes[-1].checkpoint
    assert await acknowledged(kit) == dict.fromkeys(("file", "store", "witness"), 16)
    assert told(kit, "audit_unacknowledged_seconds") == 0


async def test_a_witness_s_signature_is_kept_with_what_it_signed(kit: AuditKit, witness: Witness) -> None:
    await kit.act(3)
    signed = await kit.sign()
    witness.log = await kit.key()
    assert await courier(kit, place_of(witness, kit)).deliver_all()
    async with kit.database.read() as tx:
        receipt = (await audit_tree.acknowledgements(tx))["witness"].receipt
    assert SignedCheckpoint.read(signed.text + "\n" + receipt).signed_by(witness.key)
    await kit.act(300)
    await kit.sign()
    assert await courier(kit, place_of(witness, kit)).deliver_all()
    assert witness.answers == [200, 200], "the second with the proof that it continues the first"


async def test_a_witness_that_knows_more_than_was_noted_is_asked_again(kit: AuditKit, witness: Witness) -> None:
    """As when the process died between the witness's answer and its note."""
    for _ in range(2):
        await kit.act(3)
        await kit.sign()
        witness.log = await kit.key()
        assert await courier(kit, place_of(witness, kit)).deliver_all()
        async with kit.database.write() as tx:
            await tx.execute(delete(tables.audit_acknowledgements))
    assert witness.answers == [200, 409, 200]


async def test_nothing_that_a_witness_did_not_truly_sign_counts(kit: AuditKit, witness: Witness) -> None:
    await kit.act(3)
    await kit.sign()
    assert not await courier(kit, place_of(witness, kit)).deliver_all(), "it does not know this log"
    witness.log = await kit.key()
    witness.says_another_time = True
    assert not await courier(kit, place_of(witness, kit)).deliver_all()
    assert await acknowledged(kit) == {}


async def test_it_is_told_for_how_long_nobody_outside_has_acknowledged(
    kit: AuditKit, clock: ManualClock, file: Path, store: Path
) -> None:
    await kit.act(3)
    await kit.sign()
    inside = courier(kit, FilePlace(file))
    assert await inside.deliver_all()
    clock.advance(2 * DAY)
    assert told(kit, "audit_unacknowledged_seconds") == pytest.approx(2 * DAY, abs=1), (
        "a file of our own is not outside"
    )
    both = courier(kit, FilePlace(file), StorePlace(LocalStore(store), 5))
    await both.deliver_all()
    assert told(kit, "audit_unacknowledged_seconds") == 0
    clock.advance(2 * DAY)
    assert told(kit, "audit_unacknowledged_seconds") == 0, "nothing was done since"
    await kit.act(1)
    await both.deliver_all()
    clock.advance(60)
    assert told(kit, "audit_unacknowledged_seconds") == pytest.approx(60, abs=1), "what was not signed waits too"


async def test_a_place_that_is_away_holds_up_no_other(kit: AuditKit, witness: Witness, store: Path) -> None:
    await kit.act(3)
    await kit.sign()
    witness.log = await kit.key()
    away = WitnessPlace("http://127.0.0.1:9/w1", witness.key, kit.proofs, 2)
    assert not await courier(kit, away, StorePlace(LocalStore(store), 5)).deliver_all()
    assert await acknowledged(kit) == {"store": 4}
    assert await courier(kit, place_of(witness, kit), StorePlace(LocalStore(store), 5)).deliver_all()
    assert await acknowledged(kit) == {"store": 4, "witness": 4}


@pytest.mark.parametrize("goes_on", [False, True], ids=["rolled back", "rolled back and gone on"])
async def test_a_database_that_was_rolled_back_is_contradicted_by_every_place(
    kit: AuditKit, witness: Witness, file: Path, store: Path, goes_on: bool
) -> None:
    places = FilePlace(file), StorePlace(LocalStore(store), 5), place_of(witness, kit)
    await kit.act(9)
    await kit.sign()
    witness.log = await kit.key()
    for _ in range(2):
        await kit.act(10)
        await kit.sign()
    assert await courier(kit, *places).deliver_all()
    await roll_back_to(kit, 10)
    await kit.act(20 if goes_on else 3)
    await kit.sign()
    assert not await courier(kit, *places).deliver_all()
    contradicted = {name for name in ("file", "store", "witness") if told(kit, "audit_contradicted", place=name)}
    assert contradicted == {"file", "store", "witness"}


async def test_a_log_that_a_restoration_began_contradicts_nobody(kit: AuditKit, file: Path, store: Path) -> None:
    places = FilePlace(file), StorePlace(LocalStore(store), 5)
    await kit.act(20)
    await kit.sign()
    assert await courier(kit, *places).deliver_all()
    await roll_back_to(kit, 11)
    async with kit.database.write() as tx:
        await audit_tree.begin_anew(tx)
    await kit.act(2)
    after = await kit.sign()
    assert await courier(kit, *places).deliver_all()
    assert text_of(file) == after.note
    assert len(list((store / "city.example" / "audit").iterdir())) == 2
