"""Master keys at a key management service, against a stand-in that speaks the engine's HTTP interface."""

import asyncio
import base64
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError
from structlog.testing import capture_logs

from rtcc_bridge.audit.entries import AuditLog
from rtcc_bridge.errors import ConfigurationError, IntegrityError, UnavailableError
from rtcc_bridge.settings import ObjectSettings
from rtcc_bridge.storage import key_rotation
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.key_rotation import KeyRotation
from rtcc_bridge.storage.master_keys import MasterKeys, WrappedKey
from rtcc_bridge.storage.objects import SealedObject
from rtcc_bridge.storage.open_master_keys import open_master_keys
from rtcc_bridge.storage.transit import TransitMasterKeys
from rtcc_bridge.upkeep.master_key import MasterKeyRotation
from tests.doubles import ManualClock
from tests.transit_server import TOKEN, TransitServer, transit_server
from tests.vault_kit import master_keys, open_vault

KEY = bytes(range(32))


@pytest.fixture
async def server() -> AsyncIterator[TransitServer]:
    async with transit_server() as started:
        yield started


@pytest.fixture
async def keys(server: TransitServer) -> AsyncIterator[TransitMasterKeys]:
    async with TransitMasterKeys(settings_for(server.address)) as opened:
        yield opened


def settings_for(address: str, **changes: object) -> ObjectSettings:
    values = {"transit_url": address, "transit_token": SecretStr(TOKEN), "timeout_seconds": 5, **changes}
    return ObjectSettings.model_validate(values)


def beside_the_service(server: TransitServer, fill: bytes) -> ObjectSettings:
    """With a master key of the environment as well, which only opens."""
    return settings_for(server.address, master_key=SecretStr(base64.b64encode(fill * 32).decode()))


def rotation_of(keys: MasterKeys, database: Database, clock: ManualClock) -> MasterKeyRotation:
    return MasterKeyRotation(database, keys, KeyRotation(database, keys), AuditLog(clock), "administrator")


async def seal(
    keys: MasterKeys, database: Database, clock: ManualClock, folder: Path, count: int
) -> list[SealedObject]:
    """Objects that all hold the same, each under a key of its own."""
    async with open_vault(folder / "objects", clock, keys) as vault:
        objects = [await vault.seal("picture", b"a picture") for _ in range(count)]
        async with database.write() as tx:
            await vault.record(tx, *objects)
    return objects


async def require_readable(
    objects: list[SealedObject], keys: MasterKeys, database: Database, clock: ManualClock, folder: Path
) -> None:
    async with open_vault(folder / "objects", clock, keys) as vault:
        for sealed in objects:
            async with database.read() as tx:
                key = await vault.key_of(tx, sealed.object_key)
            assert await vault.unseal(sealed.object_key, key) == b"a picture"


async def test_a_key_comes_back_and_says_which_version_wrapped_it(keys: TransitMasterKeys) -> None:
    wrapped = await keys.wrap(KEY)
    assert wrapped.master_key_id == "transit/rtcc-bridge:v1" == await keys.current_id()
    assert KEY not in wrapped.wrapped
    assert await keys.unwrap(wrapped) == KEY


async def test_after_a_rotation_the_new_version_wraps_and_the_old_one_opens(keys: TransitMasterKeys) -> None:
    before = await keys.wrap(KEY)
    assert await keys.renew() == "transit/rtcc-bridge:v2"
    after = await keys.wrap(KEY)
    assert after.master_key_id == "transit/rtcc-bridge:v2"
    assert await keys.unwrap(before) == await keys.unwrap(after) == KEY


async def test_an_altered_or_swapped_wrapping_is_a_breach(keys: TransitMasterKeys) -> None:
    wrapped = await keys.wrap(KEY)
    altered = wrapped.wrapped[:-3] + (b"AAA" if wrapped.wrapped[-3:] != b"AAA" else b"BBB")
    for wrong in (altered, b"vault:v1:A", b"\xff", b"vault:v9:AAAA", b"{}"):
        with pytest.raises(IntegrityError):
            await keys.unwrap(WrappedKey(wrong, wrapped.master_key_id))
    with pytest.raises(IntegrityError, match="v2"):
        await keys.unwrap(WrappedKey(wrapped.wrapped, "transit/rtcc-bridge:v2"))


@pytest.mark.parametrize("status", [301, 403, 404, 429, 500, 503])
async def test_what_the_service_refuses_may_pass_later(
    keys: TransitMasterKeys, server: TransitServer, status: int
) -> None:
    wrapped = await keys.wrap(KEY)
    server.fail_with = status
    with pytest.raises(UnavailableError):
        await keys.unwrap(wrapped)
    server.fail_with = None
    assert await keys.unwrap(wrapped) == KEY


async def test_a_key_or_a_version_that_the_service_does_not_open_now_is_an_outage(
    keys: TransitMasterKeys, server: TransitServer
) -> None:
    first = await keys.wrap(KEY)
    await keys.renew()
    second = await keys.wrap(KEY)
    server.min_decryption_version = 2
    with pytest.raises(UnavailableError, match="min_decryption_version"):
        await keys.unwrap(first)
    server.min_decryption_version = 1
    known, server.keys = server.keys, server.keys[:1]
    with pytest.raises(UnavailableError, match="version is too new"):
        await keys.unwrap(second)
    server.keys = []
    with pytest.raises(UnavailableError, match="encryption key not found"):
        await keys.unwrap(second)
    server.keys = known
    assert await keys.unwrap(first) == await keys.unwrap(second) == KEY


async def test_a_service_that_is_down_or_silent_is_waited_for_no_longer_than_the_limit() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        settings = settings_for(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_seconds=0.2)
        async with asyncio.timeout(30), TransitMasterKeys(settings) as keys:
            with pytest.raises(UnavailableError):
                await keys.wrap(KEY)
    async with TransitMasterKeys(settings) as keys:
        with pytest.raises(UnavailableError):
            await keys.current_id()


async def test_a_renewed_token_is_read_from_its_file(server: TransitServer, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    file.chmod(0o600)
    async with TransitMasterKeys(settings_for(server.address, transit_token=None, transit_token_file=file)) as keys:
        wrapped = await keys.wrap(KEY)
        server.token = "the-next-token"
        with pytest.raises(UnavailableError, match="token"):
            await keys.unwrap(wrapped)
        file.write_text("the-next-token\n")
        assert await keys.unwrap(wrapped) == KEY


@pytest.mark.parametrize("content", [b"", b"a-token\nanother", b"two words", "schlüssel".encode()])
async def test_a_file_that_holds_no_token_is_an_outage_that_names_it(
    server: TransitServer, tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    file.chmod(0o600)
    async with TransitMasterKeys(settings_for(server.address, transit_token=None, transit_token_file=file)) as keys:
        with pytest.raises(UnavailableError, match=f"{file} holds no token"):
            await keys.wrap(KEY)
    assert server.requests == 0


async def test_a_token_that_others_may_read_is_not_used_until_that_is_put_right(
    server: TransitServer, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    file.chmod(0o644)
    async with TransitMasterKeys(settings_for(server.address, transit_token=None, transit_token_file=file)) as keys:
        with pytest.raises(UnavailableError, match=f"chmod 0600 {file}"):
            await keys.wrap(KEY)
        assert server.requests == 0
        file.chmod(0o600)
        assert await keys.unwrap(await keys.wrap(KEY)) == KEY


def test_a_token_of_the_settings_has_to_be_one_word() -> None:
    with pytest.raises(ConfigurationError, match="Set the token alone"):
        TransitMasterKeys(settings_for("https://kms.example", transit_token=SecretStr("a-token\n")))


async def test_keys_of_the_file_still_open_when_the_service_takes_over(server: TransitServer) -> None:
    earlier = await master_keys(b"a").wrap(KEY)
    async with open_master_keys(beside_the_service(server, b"a"), may_create=False) as keys:
        now = await keys.wrap(KEY)
        assert now.master_key_id.startswith("transit/")
        assert await keys.unwrap(earlier) == await keys.unwrap(now) == KEY


async def test_a_rotation_wraps_with_the_next_version_and_the_first_is_not_needed_any_more(
    keys: TransitMasterKeys, server: TransitServer, database: Database, clock: ManualClock, tmp_path: Path
) -> None:
    objects = await seal(keys, database, clock, tmp_path, 5)
    report = await rotation_of(keys, database, clock).rotate(lambda _done, _all: None)
    assert (report.rewrapped, report.failed) == (5, 0)
    assert dict(report.counts.by_master_key) == {"transit/rtcc-bridge:v2": 5}
    server.min_decryption_version = 2
    await require_readable(objects, keys, database, clock, tmp_path)


async def test_from_the_file_to_the_service_nothing_is_left_under_the_key_of_the_file(
    server: TransitServer, database: Database, clock: ManualClock, tmp_path: Path
) -> None:
    objects = await seal(master_keys(b"a"), database, clock, tmp_path, 3)
    async with open_master_keys(beside_the_service(server, b"a"), may_create=False) as both:
        objects += await seal(both, database, clock, tmp_path, 2)
        report = await rotation_of(both, database, clock).rotate(lambda _done, _all: None)
    assert (report.rewrapped, report.failed) == (3, 0)
    assert dict(report.counts.by_master_key) == {"transit/rtcc-bridge:v1": 5}, "no further version is made for that"
    async with open_master_keys(settings_for(server.address), may_create=False) as alone:
        await require_readable(objects, alone, database, clock, tmp_path)


async def test_a_service_that_goes_away_before_it_wraps_what_was_unwrapped_is_an_outage_and_nothing_is_lost(
    server: TransitServer, database: Database, clock: ManualClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The keys of the file still open then: it is the wrapping that fails, of several keys at the same time."""
    monkeypatch.setattr(key_rotation, "_AT_ONCE", 3)
    objects = await seal(master_keys(b"a"), database, clock, tmp_path, 8)
    async with open_master_keys(beside_the_service(server, b"a"), may_create=False) as both:
        rotation = rotation_of(both, database, clock)

        def leave(_done: int, _all: int) -> None:
            server.fail_with = 503

        with pytest.raises(UnavailableError, match=r"encrypt/rtcc-bridge with 503"):
            await rotation.rotate(leave)
        server.fail_with = None
        assert (await rotation.counts()).left == 5
        await require_readable(objects, both, database, clock, tmp_path)
        report = await rotation.rotate(lambda _done, _all: None)
        assert (report.rewrapped, report.failed, report.counts.left) == (5, 0, 0)
        await require_readable(objects, both, database, clock, tmp_path)


async def test_a_service_that_is_away_stops_a_rotation_before_it_is_asked_for_every_key(
    keys: TransitMasterKeys, server: TransitServer, database: Database, clock: ManualClock, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Each key would wait for its own answer: for many keys and a service that is silent, for hours."""
    monkeypatch.setattr(key_rotation, "_ASKED_AT_ONCE", 2)
    monkeypatch.setattr(key_rotation, "_AT_ONCE", 20)
    objects = await seal(keys, database, clock, tmp_path, 40)
    rotation = rotation_of(keys, database, clock)
    asked_before = 0

    def leave(_done: int, _all: int) -> None:
        nonlocal asked_before
        server.fail_with, asked_before = 503, server.requests

    with capture_logs() as logs, pytest.raises(UnavailableError, match="503"):
        await rotation.rotate(leave)
    server.fail_with = None
    assert logs == [], "no key is told apart from the others"
    assert server.requests - asked_before <= 8, "20 keys were left, and two at a time are asked for"
    assert (await rotation.counts()).left == 20
    await require_readable(objects, keys, database, clock, tmp_path)


def test_an_address_that_would_send_keys_in_the_clear_is_refused() -> None:
    for address in ("http://kms.example", "ftp://127.0.0.1", "kms"):
        with pytest.raises(ValidationError, match="transit_url"):
            settings_for(address)
    assert settings_for("https://kms.example:8200").transit_url


def test_there_has_to_be_exactly_one_token() -> None:
    with pytest.raises(ConfigurationError, match="transit_token"):
        TransitMasterKeys(ObjectSettings(transit_url="https://kms.example"))
