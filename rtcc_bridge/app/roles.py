"""What a process can be asked to do."""

from collections.abc import Collection
from enum import StrEnum

from rtcc_bridge.errors import ConfigurationError, ConfigurationProblem
from rtcc_bridge.settings import DatabaseSettings


class Role(StrEnum):
    """What a process does."""

    WEB = "web"
    CONSUMER = "consumer"
    MATCHER = "matcher"
    RELAY = "relay"


def require_possible(roles: Collection[Role], database: DatabaseSettings) -> None:
    """Raises ConfigurationError when several processes would have to share a database that serves one (decision 4)."""
    if database.is_sqlite and set(roles) != set(Role):
        raise ConfigurationError(
            ConfigurationProblem(
                "--roles",
                "SQLite serves one process only",
                "Leave --roles out, or let database.url name a PostgreSQL database, which serves several processes",
            )
        )


def opens_templates(roles: Collection[Role]) -> bool:
    """Whether a process with these roles is shown the master key of the galleries' templates (P30)."""
    return Role.MATCHER in roles
