"""The templates of galleries under a master key of their own: who has only the other one opens none of them (P30)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from rtcc_bridge.errors import ConfigurationError, UnavailableError
from rtcc_bridge.gallery.segments import OBJECT_KIND
from rtcc_bridge.settings import ObjectSettings
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.key_rotation import KeyRotation
from rtcc_bridge.storage.master_keys import EarlierKeys, LocalMasterKeys, MasterKeys
from rtcc_bridge.storage.object_keys import GALLERY_PREFIX, Kinds
from rtcc_bridge.storage.objects import ObjectVault, SealedObject
from rtcc_bridge.storage.open_master_keys import load_gallery_keys
from tests.doubles import ManualClock
from tests.vault_kit import master_keys

COMMON = b"k"
GALLERY = b"g"


@asynccontextmanager
async def vault_with(folder: Path, clock: ManualClock, gallery_keys: MasterKeys | None) -> AsyncIterator[ObjectVault]:
    settings = ObjectSettings(url=f"file://{folder}")
    async with ObjectVault(settings, master_keys(COMMON), clock, gallery_keys) as vault:
        yield vault


@pytest.fixture
async def matcher(tmp_path: Path, clock: ManualClock) -> AsyncIterator[ObjectVault]:
    """Of a process that has both master keys."""
    async with vault_with(tmp_path, clock, master_keys(GALLERY)) as vault:
        yield vault


@pytest.fixture
async def web(tmp_path: Path, clock: ManualClock) -> AsyncIterator[ObjectVault]:
    """Of a process that has the one of all other objects alone."""
    async with vault_with(tmp_path, clock, None) as vault:
        yield vault


async def stored(vault: ObjectVault, database: Database, kind: str) -> SealedObject:
    sealed = await vault.seal(kind, kind.encode())
    async with database.write() as tx:
        await vault.record(tx, sealed)
    return sealed


async def read(vault: ObjectVault, database: Database, sealed: SealedObject) -> bytes:
    async with database.read() as tx:
        key = await vault.key_of(tx, sealed.object_key)
    return await vault.unseal(sealed.object_key, key)


def test_the_names_of_segments_are_those_that_the_key_is_for() -> None:
    assert f"{OBJECT_KIND}/" == GALLERY_PREFIX


async def test_only_who_has_the_galleries_key_opens_templates(
    matcher: ObjectVault, web: ObjectVault, database: Database
) -> None:
    segment, crop = await stored(matcher, database, OBJECT_KIND), await stored(matcher, database, "probe-crop")
    assert segment.master_key_id != crop.master_key_id
    for sealed in (segment, crop):
        assert await read(matcher, database, sealed) == sealed.object_key.split("/")[0].encode()
    assert await read(web, database, crop) == b"probe-crop"
    with pytest.raises(UnavailableError, match=segment.master_key_id):
        await read(web, database, segment)
    matcher.require_master_keys([segment.master_key_id, crop.master_key_id])
    with pytest.raises(ConfigurationError):
        web.require_master_keys([segment.master_key_id])


async def test_segments_from_before_open_and_are_wrapped_anew(
    matcher: ObjectVault, web: ObjectVault, database: Database
) -> None:
    """The process without a key for galleries is the program of before, which had one for everything."""
    before, crop = await stored(web, database, OBJECT_KIND), await stored(web, database, "probe-crop")
    assert await read(matcher, database, before) == OBJECT_KIND.encode()
    keys = EarlierKeys(master_keys(GALLERY), master_keys(COMMON))
    rotation = KeyRotation(database, keys, Kinds.GALLERY)
    assert (await rotation.counts()).left == 1
    assert (await rotation.rewrap_all()).rewrapped == 1
    assert (await rotation.counts()).left == 0
    assert await read(matcher, database, before) == OBJECT_KIND.encode()
    assert await read(web, database, crop) == b"probe-crop"
    with pytest.raises(UnavailableError):
        await read(web, database, before)


async def test_a_rotation_of_the_other_master_key_leaves_templates_alone(
    matcher: ObjectVault, database: Database
) -> None:
    segment = await stored(matcher, database, OBJECT_KIND)
    await stored(matcher, database, "probe-crop")
    rotation = KeyRotation(database, master_keys(b"n", COMMON), Kinds.OTHERS)
    assert (await rotation.counts()).left == 1
    report = await rotation.rewrap_all()
    assert (report.rewrapped, report.failed, report.counts.left) == (1, 0, 0)
    assert await read(matcher, database, segment) == OBJECT_KIND.encode()


def test_the_key_is_read_from_its_file_and_a_problem_names_its_setting(tmp_path: Path) -> None:
    assert load_gallery_keys(ObjectSettings(), may_create=True) is None
    file = tmp_path / "gallery.key"
    settings = ObjectSettings(gallery_key_file=file, transit_url="https://vault.example")
    with pytest.raises(ConfigurationError, match=r"objects\.gallery_key_file"):
        load_gallery_keys(settings, may_create=False)
    made = load_gallery_keys(settings, may_create=True)
    assert isinstance(made, LocalMasterKeys)
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o644)
    with pytest.raises(ConfigurationError, match=r"objects\.gallery_key_file.*others may use it"):
        load_gallery_keys(settings, may_create=False)
