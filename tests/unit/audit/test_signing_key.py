"""The signing key is handled as the master key is: its file is private, and no message holds it."""

import base64
from pathlib import Path

import pytest
from pydantic import SecretStr

from rtcc_bridge.audit.signing_key import load_signing_keys
from rtcc_bridge.audit_settings import AuditSettings
from rtcc_bridge.errors import ConfigurationError

FIRST, SECOND = (base64.b64encode(byte * 32).decode() for byte in (b"\x01", b"\x02"))


def write(file: Path, text: str, mode: int = 0o600) -> AuditSettings:
    file.write_text(text, encoding="ascii")
    file.chmod(mode)
    return AuditSettings(signing_key_file=file)


def test_the_first_key_signs_and_the_others_vouch_for_it(tmp_path: Path) -> None:
    keys = load_signing_keys(write(tmp_path / "key", f"{SECOND}\n{FIRST}\n"), may_create=False)
    alone = load_signing_keys(AuditSettings(signing_key=SecretStr(FIRST)), may_create=False)
    assert keys is not None
    assert alone is not None
    present, earlier = keys.signers("log")
    assert earlier.verifier == alone.signers("log")[0].verifier != present.verifier


def test_without_one_nothing_is_signed() -> None:
    assert load_signing_keys(AuditSettings(), may_create=True) is None


def test_a_missing_file_is_made_where_that_is_allowed(tmp_path: Path) -> None:
    settings = AuditSettings(signing_key_file=tmp_path / "made" / "key")
    with pytest.raises(ConfigurationError):
        load_signing_keys(settings, may_create=False)
    made = load_signing_keys(settings, may_create=True)
    assert settings.signing_key_file is not None
    assert settings.signing_key_file.stat().st_mode & 0o777 == 0o600
    assert load_signing_keys(settings, may_create=True) == made


@pytest.mark.parametrize(
    ("text", "mode"),
    [("", 0o600), ("AAAA", 0o600), (FIRST + FIRST, 0o600), (f"{FIRST} {FIRST}", 0o600), (FIRST, 0o644)],
    ids=["empty", "short", "long", "twice", "for everybody"],
)
def test_what_cannot_be_used_is_refused_without_telling_it(tmp_path: Path, text: str, mode: int) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load_signing_keys(write(tmp_path / "key", text, mode), may_create=False)
    assert FIRST not in str(refused.value)


def test_two_sources_are_refused(tmp_path: Path) -> None:
    settings = write(tmp_path / "key", FIRST).model_copy(update={"signing_key": SecretStr(SECOND)})
    with pytest.raises(ConfigurationError, match="Keep one of the two"):
        load_signing_keys(settings, may_create=False)
