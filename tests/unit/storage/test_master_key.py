"""The master key: where it may come from, and what is wrong with it in plain words."""

import base64
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import SecretStr

from rtcc_bridge.errors import ConfigurationError, IntegrityError
from rtcc_bridge.settings import ObjectSettings
from rtcc_bridge.storage.master_key import MOST_KEYS, MasterKey, load_master_keys, put_new_key_first


def from_file(file: Path, *, may_create: bool = False) -> MasterKey:
    return load_master_keys(ObjectSettings(master_key_file=file), may_create=may_create)[0]


def master_key(fill: bytes) -> MasterKey:
    secret = SecretStr(base64.b64encode(fill * 32).decode())
    return load_master_keys(ObjectSettings(master_key=secret), may_create=False)[0]


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
    wrapped = load_master_keys(ObjectSettings(master_key=secret), may_create=False)[0].wrap(data)
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
        load_master_keys(ObjectSettings(), may_create=True)
    both = ObjectSettings(master_key=SecretStr("x"), master_key_file=tmp_path / "master.key")
    with pytest.raises(ConfigurationError, match="Keep one"):
        load_master_keys(both, may_create=True)


def test_an_unwritable_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigurationError, match="cannot be created"):
        from_file(tmp_path / "file" / "master.key", may_create=True)


def test_the_key_is_in_no_text_about_it() -> None:
    key = master_key(b"s")
    assert "ssss" not in repr(key) + str(key)
    assert key.key_id != master_key(b"t").key_id


def test_the_first_key_of_a_source_wraps_and_the_others_are_known(tmp_path: Path) -> None:
    words = [base64.b64encode(fill * 32) for fill in (b"a", b"b", b"c")]
    from_lines = load_master_keys(
        ObjectSettings(master_key_file=write_key(tmp_path / "master.key", b"\n".join(words) + b"\n")), may_create=False
    )
    from_words = load_master_keys(ObjectSettings(master_key=SecretStr(b" ".join(words).decode())), may_create=False)
    assert from_lines == from_words == tuple(master_key(fill) for fill in (b"a", b"b", b"c"))


def test_a_key_twice_or_too_many_keys_are_refused(tmp_path: Path) -> None:
    word = base64.b64encode(b"a" * 32)
    many = [base64.b64encode(bytes([fill]) * 32) for fill in range(MOST_KEYS + 1)]
    for content in (word + b"\n" + word, b"\n".join(many)):
        with pytest.raises(ConfigurationError, match="32 bytes in base64"):
            from_file(write_key(tmp_path / "master.key", content))


def test_a_new_key_goes_first_and_the_earlier_ones_stay(tmp_path: Path) -> None:
    file = tmp_path / "master.key"
    settings = ObjectSettings(master_key_file=file)
    (first,) = load_master_keys(settings, may_create=True)
    second = put_new_key_first(file)
    assert load_master_keys(settings, may_create=False) == (second, first)
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.skipif(os.geteuid() != 0, reason="only an administrator can give a file to somebody else")
def test_the_file_of_another_user_stays_that_users(tmp_path: Path) -> None:
    file = tmp_path / "master.key"
    from_file(file, may_create=True)
    for mode in (0o600, 0o440):
        os.chown(file, 4711, 4712)
        file.chmod(mode)
        put_new_key_first(file)
        after = file.stat()
        assert (after.st_uid, after.st_gid, after.st_mode & 0o777) == (4711, 4712, mode)


def test_of_several_that_add_a_key_at_once_none_loses_its_own(tmp_path: Path) -> None:
    file = tmp_path / "master.key"
    first = from_file(file, may_create=True)
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: put_new_key_first(file), range(8)))
    known = load_master_keys(ObjectSettings(master_key_file=file), may_create=False)
    assert {key.key_id for key in known} == {key.key_id for key in [first, *made]}


def test_a_folder_that_cannot_be_written_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "master.key"
    from_file(file, may_create=True)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "fsync", refuse)  # the tests may run as root, who may write everywhere
    before = file.read_bytes()
    with pytest.raises(ConfigurationError, match="--no-new-key"):
        put_new_key_first(file)
    assert file.read_bytes() == before
