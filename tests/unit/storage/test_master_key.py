"""The master key: where it may come from, and what is wrong with it in plain words."""

import base64
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import SecretStr

from rtcc_bridge.errors import ConfigurationError, IntegrityError
from rtcc_bridge.settings import ObjectSettings
from rtcc_bridge.storage.master_key import MasterKey, load_master_key
from tests.vault_kit import master_key


def from_file(file: Path, *, may_create: bool = False) -> MasterKey:
    return load_master_key(ObjectSettings(master_key_file=file), may_create=may_create)


def write_key(file: Path, content: bytes, mode: int = 0o600) -> Path:
    file.write_bytes(content)
    file.chmod(mode)
    return file


def test_a_wrapped_key_comes_back_from_the_same_master_key_only() -> None:
    wrapped = master_key(b"a").wrap(bytes(32))
    assert master_key(b"a").unwrap(wrapped) == bytes(32)
    with pytest.raises(IntegrityError):
        master_key(b"b").unwrap(wrapped)
    with pytest.raises(IntegrityError):
        master_key(b"a").unwrap(wrapped[:-1] + bytes([wrapped[-1] ^ 1]))
    with pytest.raises(IntegrityError):
        master_key(b"a").unwrap(b"")


def test_wrapping_is_that_of_rfc_3394() -> None:
    """Test vector 4.6: 256 bits of key data with a 256-bit KEK."""
    key = bytes(range(32))
    data = bytes.fromhex("00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F")
    secret = SecretStr(base64.b64encode(key).decode())
    wrapped = load_master_key(ObjectSettings(master_key=secret), may_create=False).wrap(data)
    expected = "28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21"
    assert wrapped == bytes.fromhex(expected)


def test_a_missing_file_is_created_for_the_owner_alone_and_read_again(tmp_path: Path) -> None:
    file = tmp_path / "new" / "master.key"
    created = from_file(file, may_create=True)
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(base64.b64decode(file.read_bytes())) == 32
    assert from_file(file, may_create=True) == created == from_file(file)
    assert list(file.parent.iterdir()) == [file]


def test_of_several_that_create_it_at_once_all_get_the_same_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda _: from_file(tmp_path / "master.key", may_create=True), range(16)))
    assert len({key.key_id for key in keys}) == 1


def test_a_missing_file_is_an_error_outside_the_demo(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        from_file(tmp_path / "master.key")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_a_file_that_others_may_use_is_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    file = write_key(tmp_path / "master.key", base64.b64encode(bytes(32)), mode)
    with pytest.raises(ConfigurationError, match=f"has mode {mode:04o}.*chmod 0600"):
        from_file(file, may_create=True)


@pytest.mark.parametrize("content", [b"", b"not base64!", base64.b64encode(bytes(31)), b"\xff" * 44, b"A" * 5000])
def test_a_malformed_key_is_refused_and_never_shown(tmp_path: Path, content: bytes) -> None:
    file = write_key(tmp_path / "master.key", content)
    with pytest.raises(ConfigurationError, match="32 bytes in base64") as caught:
        from_file(file)
    assert not content or content.decode("ascii", errors="replace") not in str(caught.value)


def test_a_pipe_or_a_folder_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(ConfigurationError, match="not a regular file"):
        from_file(tmp_path / "pipe")
    with pytest.raises(ConfigurationError, match="directory"):
        from_file(tmp_path)


def test_there_has_to_be_exactly_one_source(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no master key"):
        load_master_key(ObjectSettings(), may_create=True)
    both = ObjectSettings(master_key=SecretStr("x"), master_key_file=tmp_path / "master.key")
    with pytest.raises(ConfigurationError, match="Keep one"):
        load_master_key(both, may_create=True)


def test_an_unwritable_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigurationError, match="cannot be created"):
        from_file(tmp_path / "file" / "master.key", may_create=True)


def test_the_key_is_in_no_text_about_it() -> None:
    key = master_key(b"s")
    assert "ssss" not in repr(key) + str(key)
    assert key.key_id != master_key(b"t").key_id
