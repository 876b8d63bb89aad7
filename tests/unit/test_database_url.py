"""The address of a PostgreSQL database: credentials, one host or several, and how the connection is protected."""

import pytest

from rtcc_bridge.database_url import TlsMode, parse_postgres_url


def test_each_part_is_found_and_decoded() -> None:
    parsed = parse_postgres_url("postgresql+asyncpg://us%40er:p%3Fa%23%2F@db.example:6432/rt%20cc")
    assert (parsed.user, parsed.password, parsed.database) == ("us@er", "p?a#/", "rt cc")
    assert list(parsed.hosts) == [("db.example", 6432)]


def test_hosts_for_failover_keep_their_order() -> None:
    parsed = parse_postgres_url("postgresql+asyncpg://u@/db?host=b:5433&host=a&host=[::2]:5434&host=/run/postgresql")
    assert list(parsed.hosts) == [("b", 5433), ("a", 5432), ("::2", 5434), ("/run/postgresql", 5432)]


@pytest.mark.parametrize(
    ("url", "mode"),
    [
        ("postgresql+asyncpg://u@127.0.0.1/db", TlsMode.DISABLE),
        ("postgresql+asyncpg://u@[::1]:5433/db", TlsMode.DISABLE),
        ("postgresql+asyncpg://u@/db?host=/run/postgresql", TlsMode.DISABLE),
        ("postgresql+asyncpg://u@db/db", TlsMode.VERIFY_FULL),
        ("postgresql+asyncpg://u@/db?host=localhost&host=db", TlsMode.VERIFY_FULL),
        ("postgresql+asyncpg://u@db/db?ssl=require", TlsMode.REQUIRE),
        ("postgresql+asyncpg://u@localhost/db?ssl=verify-ca", TlsMode.VERIFY_CA),
    ],
)
def test_what_leaves_the_machine_is_verified_unless_it_is_said_otherwise(url: str, mode: TlsMode) -> None:
    assert parse_postgres_url(url).tls is mode


def test_the_password_does_not_show() -> None:
    assert "correct-horse" not in repr(parse_postgres_url("postgresql+asyncpg://u:correct-horse@db/rtcc"))
