"""The connection to PostgreSQL is encrypted and the server proven, as far as the URL asks for it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import SecretStr
from sqlalchemy import text

from rtcc_bridge.errors import ConfigurationError, UnavailableError
from rtcc_bridge.settings import DatabaseSettings
from rtcc_bridge.storage.engine import Database
from tests.postgres_server import PostgresServer

pytestmark = pytest.mark.postgresql


def certificate(name: str) -> tuple[bytes, bytes]:
    """A self-signed certificate for that host, which is its own authority, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(hours=1))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM), private


@pytest.fixture
def tls_server(tmp_path: Path) -> Iterator[tuple[PostgresServer, Path]]:
    """A server whose certificate is for another name than the address, and the authority that signed it."""
    public, private = certificate("localhost")
    authority = tmp_path / "authority.pem"
    authority.write_bytes(public)
    server = PostgresServer()
    server.use_certificate(public, private)
    with server:
        yield server, authority


async def is_encrypted(url: str, authority: Path | None = None) -> bool:
    database = Database(DatabaseSettings(url=SecretStr(url), tls_ca_file=authority))
    try:
        async with database.read() as tx:
            query = text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
            return bool((await tx.execute(query)).scalar_one())
    finally:
        await database.close()


async def test_what_the_url_asks_for_is_what_happens(tls_server: tuple[PostgresServer, Path]) -> None:
    server, authority = tls_server
    by_address, by_name = server.url(), server.url().replace("127.0.0.1", "localhost")
    assert not await is_encrypted(by_address)
    assert await is_encrypted(f"{by_address}?ssl=require")
    assert await is_encrypted(f"{by_address}?ssl=verify-ca", authority)
    assert await is_encrypted(f"{by_name}?ssl=verify-full", authority)


async def test_a_server_that_is_not_proven_is_refused(tls_server: tuple[PostgresServer, Path], tmp_path: Path) -> None:
    server, authority = tls_server
    stranger = tmp_path / "stranger.pem"
    stranger.write_bytes(certificate("localhost")[0])
    with pytest.raises(UnavailableError, match="certificate"):
        await is_encrypted(f"{server.url()}?ssl=verify-full", authority)
    for wrong in (stranger, None):
        with pytest.raises(UnavailableError, match="certificate"):
            await is_encrypted(f"{server.url()}?ssl=verify-ca", wrong)


async def test_a_server_without_encryption_is_refused_when_it_is_asked_for() -> None:
    with PostgresServer() as plain, pytest.raises(UnavailableError, match="SSL"):
        await is_encrypted(f"{plain.url()}?ssl=require")


async def test_an_authority_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"tls_ca_file.*absent\.pem"):
        await is_encrypted("postgresql+asyncpg://u@db/rtcc", tmp_path / "absent.pem")
