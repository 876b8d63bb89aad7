"""Who acts. Until people can sign in, the demo's accounts stand in for them."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from rtcc_bridge.errors import PolicyRefusalError

DEMO_ACCOUNT_HEADER: Final = "X-Demo-Account"
"""The request header that names the acting demo account; it is honoured from a loopback address only."""


class Role(StrEnum):
    """What a person is at the department (P10). A peer reviewer is another analyst, and no role of its own."""

    FLOOR = "floor"
    ANALYST = "analyst"
    SUPERVISOR = "supervisor"
    REQUESTOR = "requestor"
    ADMINISTRATOR = "administrator"
    AUDITOR = "auditor"
    OPERATIONS = "operations"


@dataclass(frozen=True, slots=True)
class Account:
    """The person who acts. `name` is what the audit log and the rules of separation go by."""

    name: str
    roles: frozenset[Role]


DEMO_ACCOUNTS: Final[Mapping[str, Account]] = MappingProxyType(
    {
        **{role.value: Account(role.value, frozenset({role})) for role in Role},
        # A lead needs two analysts, and a third when they differ (P11, P12).
        "reviewer": Account("reviewer", frozenset({Role.ANALYST})),
        "examiner": Account("examiner", frozenset({Role.ANALYST})),
    }
)


def demo_account(name: str) -> Account:
    """The demo account of that name. Raises PolicyRefusalError (P10) when there is none."""
    account = DEMO_ACCOUNTS.get(name)
    if account is None:
        raise PolicyRefusalError("P10", f"There is no account {name!r}: use one of {', '.join(DEMO_ACCOUNTS)}.")
    return account


def same_person(one: str, other: str) -> bool:
    """Whether two account names mean one person: case and surrounding space do not make two people of one."""
    return one.strip().casefold() == other.strip().casefold()
