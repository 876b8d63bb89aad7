"""The address of a PostgreSQL database, as the settings give it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

POSTGRESQL_SCHEME: Final = "postgresql+asyncpg://"
_DEFAULT_PORT: Final = 5432
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class TlsMode(StrEnum):
    """How the connection is protected; the words are those of PostgreSQL's own clients."""

    DISABLE = "disable"
    REQUIRE = "require"
    """Encrypted, but whoever answers is believed to be the server."""
    VERIFY_CA = "verify-ca"
    VERIFY_FULL = "verify-full"
    """The certificate is of a known authority and names the host."""


@dataclass(frozen=True, slots=True)
class PostgresUrl:
    """A parsed URL. hosts: host (or folder of a socket) and port, in the order in which they are tried."""

    user: str | None
    password: str | None = field(repr=False)
    hosts: Sequence[tuple[str, int]]
    database: str
    tls: TlsMode


def parse_postgres_url(url: str) -> PostgresUrl:
    """Takes `postgresql+asyncpg://user:password@host:port/database?ssl=mode` apart.

    Several hosts are given as `…@/database?host=first:5432&host=second:5432`. Without `ssl` the mode is verify-full,
    and disable when every host is this machine.

    Raises ValueError that says what is wrong and repeats nothing of the URL.
    """
    try:
        parts = urlsplit(url)
        query = parse_qs(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        netloc_host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError("the URL cannot be read: special characters in it have to be percent-encoded") from None
    if query.keys() - {"ssl", "host"} or parts.fragment:
        raise ValueError("after the ? only ssl=… and host=… are understood; percent-encode a ? or # of the password")
    database = unquote(parts.path.removeprefix("/"))
    if not database or "/" in database:
        raise ValueError("the URL has to name one database: postgresql+asyncpg://user@host/database")
    hosts = _hosts(netloc_host, port, query)
    return PostgresUrl(
        None if parts.username is None else unquote(parts.username),
        None if parts.password is None else unquote(parts.password),
        hosts,
        database,
        _tls_mode(query, [host for host, _ in hosts]),
    )


def _hosts(host: str | None, port: int | None, query: Mapping[str, Sequence[str]]) -> list[tuple[str, int]]:
    listed = query.get("host", [])
    if bool(host) == bool(listed):
        raise ValueError("name the host either before the database or as host=…, once for each host")
    if host:
        return [(host, port or _DEFAULT_PORT)]
    return [_host_and_port(entry) for entry in listed]


def _host_and_port(entry: str) -> tuple[str, int]:
    """host, host:port, [IPv6 address]:port, or the folder of a Unix socket."""
    host, colon, port = entry.rpartition(":")
    if not colon or entry.startswith("/") or entry.endswith("]"):
        host, port = entry, str(_DEFAULT_PORT)
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdigit():
        raise ValueError("each host=… has to be a host and a port, as in host=db1:5432")
    return host, int(port)


def _tls_mode(query: Mapping[str, Sequence[str]], hosts: Sequence[str]) -> TlsMode:
    match query.get("ssl"):
        case None:
            local = all(host in _LOOPBACK or host.startswith("/") for host in hosts)
            return TlsMode.DISABLE if local else TlsMode.VERIFY_FULL
        case [mode] if mode in set(TlsMode):
            return TlsMode(mode)
        case _:
            raise ValueError(f"ssl has to be one of {', '.join(TlsMode)}")
