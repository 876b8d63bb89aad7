"""Commitments to names: nobody guesses them, their keys outlive a rotation of the master key, and end for good."""

import hashlib
from pathlib import Path

import pytest

from rtcc_bridge.audit.commitments import Commitments, Name, NameKind, commitments_to, forget
from rtcc_bridge.errors import IntegrityError, NotFoundError
from rtcc_bridge.settings import ObjectSettings
from rtcc_bridge.storage import commitments as rows
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.key_rotation import KeyRotation
from rtcc_bridge.storage.master_keys import LocalMasterKeys
from rtcc_bridge.storage.tables import audit_commitments
from tests.doubles import ManualClock

CASE = Name(NameKind.CASE, "26-000123")
PERSON = Name(NameKind.PERSON, "26-000123")


@pytest.fixture
def keys(tmp_path: Path) -> LocalMasterKeys:
    return LocalMasterKeys.load(ObjectSettings(master_key_file=tmp_path / "master.key"), may_create=True)


@pytest.fixture
def commitments(database: Database, keys: LocalMasterKeys, clock: ManualClock) -> Commitments:
    return Commitments(database, keys, clock)


async def looked_up(database: Database, name: Name) -> str | None:
    async with database.read() as tx:
        return (await commitments_to(tx, {"it": name})).get("it")


async def test_one_name_has_one_commitment(database: Database, commitments: Commitments) -> None:
    await commitments.prepare([CASE, PERSON])
    first = await looked_up(database, CASE)
    await commitments.prepare([CASE])
    assert await looked_up(database, CASE) == first
    assert await looked_up(database, Name(NameKind.CASE, "  26-000123 ")) == first
    assert await looked_up(database, PERSON) != first, "the same words for another kind of thing"
    assert await looked_up(database, Name(NameKind.CASE, "26-000124")) is None


async def test_whoever_counts_through_all_numbers_finds_nothing(database: Database, commitments: Commitments) -> None:
    await commitments.prepare([CASE])
    commitment = await looked_up(database, CASE)
    guesses = [f"{prefix}26-{number:06}" for number in range(100, 200) for prefix in ("", "case\0", "case:")]
    assert commitment not in {hashlib.sha256(guess.encode()).hexdigest() for guess in guesses}


async def test_the_key_proves_the_name_until_it_is_gone(database: Database, commitments: Commitments) -> None:
    await commitments.prepare([CASE, PERSON])
    commitment = await looked_up(database, CASE)
    assert commitment is not None
    assert await commitments.proves(CASE, commitment)
    assert not await commitments.proves(PERSON, commitment)
    async with database.write() as tx:
        assert await forget(tx, CASE)
        assert not await forget(tx, CASE)
    with pytest.raises(NotFoundError):
        await commitments.proves(CASE, commitment)
    assert await looked_up(database, CASE) is None


async def test_keys_are_wrapped_anew_with_those_of_objects(
    database: Database, commitments: Commitments, keys: LocalMasterKeys
) -> None:
    await commitments.prepare([Name(NameKind.CASE, f"26-{number:06}") for number in range(5)])
    rotation = KeyRotation(database, keys)
    before = await keys.current_id()
    assert (await rotation.counts()).by_master_key == {before: 5}
    after = await keys.renew()
    assert (await rotation.counts()).left == 5
    report = await rotation.rewrap_all()
    assert (report.rewrapped, report.failed, report.counts.by_master_key) == (5, 0, {after: 5})
    name = Name(NameKind.CASE, "26-000003")
    commitment = await looked_up(database, name)
    assert commitment is not None
    assert await commitments.proves(name, commitment)


async def test_a_key_that_was_altered_is_told(database: Database, commitments: Commitments) -> None:
    await commitments.prepare([CASE])
    async with database.write() as tx:
        record = await rows.find(tx, CASE.kind, CASE.key)
        assert record is not None
        altered = bytes([record.wrapped_key[0] ^ 1]) + record.wrapped_key[1:]
        await tx.execute(audit_commitments.update().values(wrapped_key=altered))
    with pytest.raises(IntegrityError):
        await commitments.proves(CASE, "0" * 64)
