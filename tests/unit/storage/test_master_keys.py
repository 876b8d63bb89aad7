"""Several master keys at once: which one wraps, which ones open, and what a running process learns by itself."""

import base64
import resource
from pathlib import Path

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from rtcc_bridge.errors import ConfigurationError, UnavailableError
from rtcc_bridge.settings import ObjectSettings
from rtcc_bridge.storage.master_key import put_new_key_first
from rtcc_bridge.storage.master_keys import LocalMasterKeys, WrappedKey
from tests.vault_kit import master_keys

KEY = bytes(range(32))


def of_file(file: Path) -> LocalMasterKeys:
    return LocalMasterKeys.load(ObjectSettings(master_key_file=file), may_create=True)


async def test_the_first_key_wraps_and_every_known_one_opens() -> None:
    old, both = master_keys(b"a"), master_keys(b"b", b"a")
    by_old, by_both = await old.wrap(KEY), await both.wrap(KEY)
    assert by_old.master_key_id == await old.current_id() != by_both.master_key_id
    assert await both.unwrap(by_old) == await both.unwrap(by_both) == KEY
    with pytest.raises(UnavailableError, match=by_both.master_key_id):
        await old.unwrap(by_both)


async def test_a_running_process_takes_over_a_key_that_another_one_made(tmp_path: Path) -> None:
    running, command = of_file(tmp_path / "master.key"), of_file(tmp_path / "master.key")
    before = await running.wrap(KEY)
    renewed = await command.renew()
    after = await running.wrap(KEY)
    assert after.master_key_id == renewed == await running.current_id() != before.master_key_id
    assert await running.unwrap(before) == await command.unwrap(after) == KEY


async def test_a_key_that_is_not_known_yet_is_looked_for_in_the_file_again(tmp_path: Path) -> None:
    running = of_file(tmp_path / "master.key")
    put_new_key_first(tmp_path / "master.key")
    wrapped = await of_file(tmp_path / "master.key").wrap(KEY)
    assert await running.unwrap(wrapped) == KEY


async def test_a_file_that_becomes_unusable_is_told_and_the_keys_stay(tmp_path: Path) -> None:
    file = tmp_path / "master.key"
    running = of_file(file)
    before = await running.current_id()
    file.write_text("not a key")
    with capture_logs() as logs:
        assert await running.unwrap(await running.wrap(KEY)) == KEY
    assert [line["log_level"] for line in logs] == ["error"]
    assert await running.current_id() == before


async def test_a_refused_file_is_read_as_soon_as_the_advised_remedy_was_applied(tmp_path: Path) -> None:
    file = tmp_path / "master.key"
    running, before = of_file(file), file.read_text()
    file.write_text(base64.b64encode(KEY).decode() + "\n" + before)
    file.chmod(0o644)
    with capture_logs() as logs:
        refused = [await running.wrap(KEY) for _ in range(3)]
    assert [line["log_level"] for line in logs] == ["error"]
    assert "chmod 0600" in logs[0]["error"]
    file.chmod(0o600)
    by_new = await of_file(file).wrap(KEY)
    assert by_new.master_key_id == await running.current_id() != refused[0].master_key_id
    assert await running.unwrap(by_new) == KEY


async def test_a_file_that_could_not_be_opened_for_a_moment_is_read_later(tmp_path: Path) -> None:
    file = tmp_path / "master.key"
    running = of_file(file)
    before, made = await running.current_id(), put_new_key_first(file)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        assert await running.current_id() == before
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert await running.current_id() == made.key_id


async def test_the_environment_cannot_be_given_a_new_key_and_says_what_to_do() -> None:
    keys = LocalMasterKeys.load(ObjectSettings(master_key=SecretStr(base64.b64encode(KEY).decode())), may_create=False)
    with pytest.raises(ConfigurationError, match="--no-new-key"):
        await keys.renew()


async def test_an_unknown_master_key_is_named_with_the_remedy() -> None:
    with pytest.raises(UnavailableError, match=r"0123abcd.*put it behind the first one"):
        await master_keys(b"a").unwrap(WrappedKey(bytes(40), "0123abcd"))
