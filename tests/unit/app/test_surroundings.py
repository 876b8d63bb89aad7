"""What a process tells of its files and volumes is what is there."""

import shutil
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from cryptography import x509
from structlog.testing import capture_logs

from rtcc_bridge.app import surroundings
from rtcc_bridge.app.surroundings import Surroundings
from rtcc_bridge.metrics import CERTIFICATES, VOLUMES, Metrics
from rtcc_bridge.settings import Settings, load_settings
from tests.kafka_cluster.certificates import TestAuthority


def settings_of(folder: Path, **kafka: object) -> Settings:
    for name in ("objects", "packs", "journal"):
        (folder / name).mkdir(exist_ok=True)
    return load_settings(
        None,
        database={"url": f"sqlite+aiosqlite:///{folder / 'floor.sqlite3'}"},
        objects={"url": (folder / "objects").as_uri(), "ledger_url": "s3://elsewhere/ledger"},
        matching={"packs_directory": str(folder / "packs")},
        audit={"journal_folder": str(folder / "journal")},
        kafka=kafka,
    )


def expiry(metrics: Metrics, setting: str) -> float | None:
    return metrics.registry.get_sample_value("rtcc_bridge_certificate_expiry_timestamp_seconds", {"setting": setting})


def test_of_a_file_with_certificates_the_first_that_expires_is_told(tmp_path: Path) -> None:
    authority = TestAuthority(tmp_path / "authority")
    soon, later = (authority.issue(f"client-{days}", timedelta(days=days)) for days in (3, 20))
    both = tmp_path / "chain.pem"
    both.write_bytes(later.read_bytes() + soon.read_bytes())
    both.chmod(0o600)
    metrics = Metrics()
    tls = {"ca_file": str(authority.ca_file), "certificate_file": str(both), "key_file": str(both)}
    Surroundings(settings_of(tmp_path, security_protocol="SSL", tls=tls), metrics).tell()
    certificate = x509.load_pem_x509_certificate(soon.read_bytes())
    assert expiry(metrics, "kafka.tls.certificate_file") == certificate.not_valid_after_utc.timestamp()
    ours = x509.load_pem_x509_certificate(authority.ca_file.read_bytes())
    assert expiry(metrics, "kafka.tls.ca_file") == ours.not_valid_after_utc.timestamp()
    assert expiry(metrics, "database.tls_ca_file") is None


@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_a_certificate_that_cannot_be_read_stops_nothing(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    metrics = Metrics()
    with capture_logs() as said:
        Surroundings(settings_of(tmp_path, security_protocol="SSL", tls={"ca_file": str(file)}), metrics).tell()
    assert said == [], "readiness says it, and a role may have no use for the folder"
    assert expiry(metrics, "kafka.tls.ca_file") is None
    assert metrics.registry.get_sample_value("rtcc_bridge_volume_free_bytes", {"volume": "packs"})


def test_of_what_can_no_longer_be_read_nothing_old_is_told_and_the_log_says_so_once(tmp_path: Path) -> None:
    file, metrics = TestAuthority(tmp_path / "authority").ca_file, Metrics()
    told = Surroundings(settings_of(tmp_path, security_protocol="SSL", tls={"ca_file": str(file)}), metrics)
    free = partial(metrics.registry.get_sample_value, "rtcc_bridge_volume_free_bytes", {"volume": "packs"})
    told.tell()
    first = expiry(metrics, "kafka.tls.ca_file")
    assert first
    assert free()
    file.rename(tmp_path / "aside.pem")
    (tmp_path / "packs").rename(tmp_path / "packs-aside")
    with capture_logs() as said:
        told.tell()
        told.tell()
    assert expiry(metrics, "kafka.tls.ca_file") is None
    assert free() is None
    assert [line["path"] for line in said] == [str(file), str(tmp_path / "packs")]
    (tmp_path / "aside.pem").rename(file)
    (tmp_path / "packs-aside").rename(tmp_path / "packs")
    told.tell()
    assert expiry(metrics, "kafka.tls.ca_file") == first
    assert free()


def test_the_space_of_each_folder_is_told_and_of_no_service(tmp_path: Path) -> None:
    metrics = Metrics()
    Surroundings(settings_of(tmp_path), metrics).tell()
    value = metrics.registry.get_sample_value
    size = shutil.disk_usage(tmp_path).total
    for volume in VOLUMES:
        there = volume != "ledger"
        assert value("rtcc_bridge_volume_size_bytes", {"volume": volume}) == (size if there else None)
        free = value("rtcc_bridge_volume_free_bytes", {"volume": volume})
        assert (free is not None and 0 < free < size) if there else free is None


def test_the_lists_name_what_is_looked_at(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    settings = load_settings(
        None,
        kafka={
            "security_protocol": "SASL_SSL",
            "tls": {"ca_file": str(file), "certificate_file": str(file), "key_file": str(file)},
            "sasl": {
                "mechanism": "OAUTHBEARER",
                "token": {
                    "endpoint": "https://authority.example/token", "client_id": "us", "client_secret": "secret",
                    "ca_file": str(file),
                },
            },
        },
        database={"tls_ca_file": str(file)},
        tracing={"ca_file": str(file)},
        identity={"ca_file": str(file)},
        matching={"milvus": {"ca_file": str(file)}},
        objects={
            "url": "file:objects", "ledger_url": "file:ledger", "transit_url": "https://keys.example",
            "transit_token": "token", "transit_ca_file": str(file),
        },
    )  # fmt: skip
    assert {setting for setting, _ in surroundings.certificate_files(settings)} == set(CERTIFICATES)
    assert {volume for volume, _ in surroundings.volumes(settings)} == set(VOLUMES)
