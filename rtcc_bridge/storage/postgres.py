"""PostgreSQL: how connections to it are made, and what its errors mean."""

import ssl
from typing import Any, Final

import asyncpg
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.util import await_only

from rtcc_bridge.database_url import POSTGRESQL_SCHEME, PostgresUrl, TlsMode, parse_postgres_url
from rtcc_bridge.errors import ConfigurationError, ConfigurationProblem, UnavailableError
from rtcc_bridge.settings import DatabaseSettings

_CLIENT_GRACE_SECONDS: Final = 2.0
"""The server ends a statement that takes too long by itself; this much later its silence counts as an outage."""

_KEEPALIVE: Final = {"tcp_keepalives_idle": "5", "tcp_keepalives_interval": "2", "tcp_keepalives_count": "3"}
"""The server notices within about 11 s that a client's machine is gone, and releases what it had locked."""

_PASSING: Final = {
    "08": "the connection to the database was lost",
    "25006": "the database takes no writes here",
    "25P03": "the database ended a transaction that did nothing for too long",
    "40": "the database gave way to another transaction",  # serialization failure, deadlock
    "53": "the database is short of resources",
    "55000": "the database lets nobody in",
    "55P03": "another transaction held a lock for too long",
    "57": "the database ended the statement or is not there",  # statement timeout, shutdown, starting up
    "58": "the database's machine has a problem",
    "3D000": "there is no such database",
    "28": "the database refused to let the program in",
    "42501": "the database's account may not do that",
}
"""By SQLSTATE or its class (PostgreSQL's manual, appendix A): what somebody or time may mend without a new program."""

_READ_ONLY: Final = "25006"


def create_engine(settings: DatabaseSettings) -> AsyncEngine:
    """An engine whose connections all lead to a server that takes writes. Raises ConfigurationError."""
    url = parse_postgres_url(settings.url.get_secret_value())
    arguments = _arguments(url, settings)

    async def connect() -> Any:
        """Each host gets its whole time: of one that is switched off no answer comes at all."""
        last: Exception | None = None
        for host, port in url.hosts:
            try:
                return await asyncpg.connect(host=host, port=port, **arguments)
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InternalClientError) as error:
                last = error
        assert last is not None
        raise last

    engine = create_async_engine(
        POSTGRESQL_SCHEME,
        async_creator=connect,
        pool_pre_ping=True,
        pool_size=settings.pool_size,
        pool_timeout=settings.connect_timeout_seconds * len(url.hosts) + settings.statement_timeout_seconds,
        hide_parameters=True,
    )
    engine.dialect.do_ping = _begin  # type: ignore[method-assign]  # of this engine's dialect alone
    return engine


def _begin(dbapi_connection: DBAPIConnection) -> bool:
    """Asks whether a connection of the pool still lives by beginning the transaction that it was taken for.

    A server that is gone is found before anything was done, and another connection is taken in its place, as by the
    dialect's own ping. That one begins and rolls back a transaction around its question: three of the six round trips
    of a transaction with one statement, which this has no need of.
    """
    await_only(dbapi_connection._start_transaction())  # nothing public begins one without a statement
    return True


def takes_no_writes(error: DBAPIError) -> bool:
    """Whether the server is a standby, or was made read-only."""
    return _sqlstate(error) == _READ_ONLY


def problem(error: DBAPIError) -> UnavailableError | None:
    """What this error of a statement means, when time or an operator may mend it; None when it is the program's own."""
    code = _sqlstate(error)
    if said := _PASSING.get(code or "") or _PASSING.get((code or "")[:2]):
        return UnavailableError(f"{said}: {error.orig}")
    # The driver's own muddle about a connection that broke while it was used; its DataError, say, is another class.
    is_broken = type(_cause(error)) in {asyncpg.InterfaceError, asyncpg.InternalClientError}
    if error.connection_invalidated or is_broken:
        return UnavailableError(f"the connection to the database was lost: {error.orig}")
    return None


def connection_problem(error: DBAPIError | OSError) -> UnavailableError:
    """As `problem`, for one that kept the program from getting a connection."""
    known = problem(error) if isinstance(error, DBAPIError) else None
    told = error.orig if isinstance(error, DBAPIError) else error
    return known or UnavailableError(f"the database cannot be reached: {told}")


def _cause(error: DBAPIError) -> BaseException | None:
    """The driver's error, of which SQLAlchemy's has only the words."""
    return None if error.orig is None else error.orig.__cause__


def _sqlstate(error: DBAPIError) -> str | None:
    found = getattr(error.orig, "sqlstate", None)
    return found if isinstance(found, str) else None


def _arguments(url: PostgresUrl, settings: DatabaseSettings) -> dict[str, Any]:
    milliseconds = {
        "statement_timeout": settings.statement_timeout_seconds,
        "lock_timeout": settings.busy_timeout_seconds,
        "idle_in_transaction_session_timeout": settings.statement_timeout_seconds,
    }
    return {
        "user": url.user,
        "password": url.password,
        "database": url.database,
        "ssl": _tls_context(url.tls, settings),
        "timeout": settings.connect_timeout_seconds,
        "command_timeout": settings.statement_timeout_seconds + _CLIENT_GRACE_SECONDS,
        "target_session_attrs": "read-write",
        "server_settings": {
            "application_name": settings.application_name,
            "default_transaction_isolation": "read committed",
            "timezone": "UTC",
            **_KEEPALIVE,
            **{name: str(round(seconds * 1000)) for name, seconds in milliseconds.items()},
        },
    }


def _tls_context(mode: TlsMode, settings: DatabaseSettings) -> ssl.SSLContext | bool:
    if mode is TlsMode.DISABLE:
        return False
    try:
        context = ssl.create_default_context(cafile=settings.tls_ca_file)
    except (OSError, ssl.SSLError) as error:
        problem = ConfigurationProblem(
            "database.tls_ca_file",
            f"{settings.tls_ca_file} cannot be used ({error})",
            "Name a readable PEM file with the certificate of the authority that signed the server's certificate",
        )
        raise ConfigurationError(problem) from error
    if mode is not TlsMode.VERIFY_FULL:
        context.check_hostname = False
    if mode is TlsMode.REQUIRE:
        context.verify_mode = ssl.CERT_NONE
    return context
