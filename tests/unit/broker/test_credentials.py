"""What is said about files with certificates and secrets that cannot be used, before a broker is asked."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from rtcc_bridge.broker.credentials import credential_problems
from rtcc_bridge.cli import main
from rtcc_bridge.settings import KafkaSettings
from tests.kafka_cluster.certificates import TestAuthority

ROOT = Path(__file__).resolve().parents[3]
SECRET = "what nobody may read"


@pytest.fixture
def authority(tmp_path: Path) -> TestAuthority:
    return TestAuthority(tmp_path / "authority")


def private(file: Path, content: str = SECRET) -> Path:
    file.write_text(content)
    file.chmod(0o600)
    return file


def certificate(authority: TestAuthority, name: str, **valid: timedelta) -> dict[str, Any]:
    """The settings of a client's certificate."""
    file = authority.issue(name, **valid)
    file.chmod(0o600)
    return {"certificate_file": file, "key_file": file}


def with_password(**sasl: Any) -> dict[str, Any]:
    return {"security_protocol": "SASL_SSL", "sasl": {"username": "alice", **sasl}}


def with_tls(authority: TestAuthority, **tls: Any) -> dict[str, Any]:
    return {"security_protocol": "SSL", "tls": {"ca_file": authority.ca_file, **tls}}


def problems(content: dict[str, Any]) -> dict[str, str]:
    """Causes and remedies by setting."""
    found = credential_problems(KafkaSettings.model_validate(content))
    assert len({problem.path for problem in found}) == len(found)
    told = {problem.path: f"{problem.cause}. {problem.remedy}" for problem in found}
    assert SECRET not in str(told)
    return told


def test_what_is_good_has_no_problem(authority: TestAuthority, tmp_path: Path) -> None:
    assert problems({}) == {}
    assert problems(with_tls(authority, **certificate(authority, "alice"))) == {}
    assert problems(with_password(password_file=private(tmp_path / "password"))) == {}
    token = {"endpoint": "https://127.0.0.1/token", "client_id": "x", "client_secret_file": private(tmp_path / "s")}
    assert problems({"security_protocol": "SASL_SSL", "sasl": {"mechanism": "OAUTHBEARER", "token": token}}) == {}


def test_an_authority_that_cannot_be_read_is_named(authority: TestAuthority, tmp_path: Path) -> None:
    for file in (tmp_path / "absent.pem", private(tmp_path / "text.pem", "no certificate")):
        said = problems(with_tls(authority, ca_file=file))["kafka.tls.ca_file"]
        assert f"{file} cannot be read as certificates" in said
        assert "Name a PEM file" in said
    token = {"endpoint": "https://127.0.0.1/token", "client_id": "x", "client_secret": SECRET, "ca_file": tmp_path}
    found = problems({"security_protocol": "SASL_SSL", "sasl": {"mechanism": "OAUTHBEARER", "token": token}})
    assert set(found) == {"kafka.sasl.token.ca_file"}


def test_certificates_that_do_not_hold_now_are_named(authority: TestAuthority) -> None:
    old = certificate(authority, "old", valid_for=timedelta(days=-1))
    found = problems(with_tls(authority, **old))
    assert set(found) == {"kafka.tls.certificate_file"}
    assert "the certificate of CN=old in" in found["kafka.tls.certificate_file"]
    assert "expired at" in found["kafka.tls.certificate_file"]
    assert "Renew it" in found["kafka.tls.certificate_file"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_key_or_a_secret_that_others_may_read_is_refused(authority: TestAuthority, tmp_path: Path, mode: int) -> None:
    shown = certificate(authority, "alice")
    password = private(tmp_path / "password")
    for file in (shown["key_file"], password):
        file.chmod(mode)
    of_key = problems(with_tls(authority, **shown))["kafka.tls.key_file"]
    of_password = problems(with_password(password_file=password))["kafka.sasl.password_file"]
    for said, file in ((of_key, shown["key_file"]), (of_password, password)):
        assert f"{file} has mode 0{mode:o}: others may use it" in said
        assert f"chmod 0600 {file}" in said


def test_a_secret_that_is_no_text_shows_none_of_it(tmp_path: Path) -> None:
    file = private(tmp_path / "password")
    file.write_bytes(b"\xffsecret")
    said = problems(with_password(password_file=file))["kafka.sasl.password_file"]
    assert f"{file} is no text" in said
    assert "ff" not in said.removeprefix(str(file))


def test_a_key_of_another_certificate_is_refused(authority: TestAuthority) -> None:
    one, other = certificate(authority, "one"), certificate(authority, "other")
    found = problems(with_tls(authority, **(one | {"key_file": other["key_file"]})))
    assert "cannot be used together" in found["kafka.tls.key_file"]


@pytest.mark.parametrize("content", [None, "", "\n"])
def test_a_secret_that_is_not_there_is_named(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "secret"
    if content is not None:
        private(file, content)
    said = "cannot be read" if content is None else "is empty"
    assert said in problems(with_password(password_file=file))["kafka.sasl.password_file"]
    token = {"endpoint": "https://127.0.0.1/token", "client_id": "x", "client_secret_file": file}
    found = problems({"security_protocol": "SASL_SSL", "sasl": {"mechanism": "OAUTHBEARER", "token": token}})
    assert said in found["kafka.sasl.token.client_secret_file"]


def test_every_problem_is_told_at_once(authority: TestAuthority, tmp_path: Path) -> None:
    old = certificate(authority, "old", valid_for=timedelta(days=-1))
    content = with_password(password_file=tmp_path / "absent") | {"tls": {"ca_file": authority.ca_file, **old}}
    assert set(problems(content)) == {"kafka.tls.certificate_file", "kafka.sasl.password_file"}


def test_check_config_tells_them(authority: TestAuthority, tmp_path: Path) -> None:
    password = private(tmp_path / "password")
    settings = {
        "policy": {"file": str(ROOT / "config/policy.yaml")},
        "objects": {"url": tmp_path.as_uri(), "master_key_file": str(tmp_path / "master.key")},
        "database": {"url": f"sqlite+aiosqlite:///{tmp_path}/bridge.sqlite3"},
        "matching": {"packs_directory": str(tmp_path)},
        "kafka": with_password(password_file=str(password)) | {"tls": {"ca_file": str(authority.ca_file)}},
    }
    file = tmp_path / "settings.yaml"
    file.write_text(yaml.safe_dump(settings))
    password.chmod(0o644)
    said = CliRunner().invoke(main, ["check-config", "--config", str(file)])
    assert said.exit_code != 0
    assert "kafka.sasl.password_file" in said.output
    assert f"chmod 0600 {password}" in said.output
    assert SECRET not in said.output
