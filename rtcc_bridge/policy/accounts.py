"""Who acts. In the demo, accounts that everybody may take stand in for people who sign in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from rtcc_bridge.errors import PolicyRefusalError, SignInRequiredError
from rtcc_bridge.policy.certificates import Certificate
from rtcc_bridge.policy.policy_parts import CertificateKind

DEMO_ACCOUNT_HEADER: Final = "X-Demo-Account"
"""The request header that names the acting demo account; it is honoured in the demo, from a loopback address only."""


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
    """The person who acts, or a program with a service token.

    name: the person's one id at the department, by which the audit log and the rules of separation go: whoever has two
    accounts bears the same in both (P11). certificates: by name. login: the account that was signed in with.
    deeds: what a program's token is for (values of `permissions.Deed`); a person has none.
    """

    name: str
    roles: frozenset[Role]
    certificates: Mapping[str, Certificate] = field(default_factory=dict, hash=False)
    login: str = ""
    deeds: frozenset[str] = frozenset()

    @property
    def person(self) -> str:
        """The person's one id, as it is kept where it is looked for."""
        return person_id(self.name)


NOBODY: Final = Account("nobody", frozenset())
"""Whoever has not signed in."""


def _demo(name: str, role: Role) -> Account:
    """Everybody in the demo is trained."""
    certificates = {kind.value: Certificate(None) for kind in CertificateKind} if role is Role.ANALYST else {}
    return Account(name, frozenset({role}), certificates)


DEMO_ACCOUNTS: Final[Mapping[str, Account]] = MappingProxyType(
    {
        **{role.value: _demo(role.value, role) for role in Role},
        # A lead needs two analysts, and a third when they differ (P11, P12).
        "reviewer": _demo("reviewer", Role.ANALYST),
        "examiner": _demo("examiner", Role.ANALYST),
    }
)


def demo_account(name: str) -> Account:
    """The demo account of that name. Raises PolicyRefusalError (P10) when there is none."""
    account = DEMO_ACCOUNTS.get(name)
    if account is None:
        raise PolicyRefusalError("P10", f"There is no account {name!r}: use one of {', '.join(DEMO_ACCOUNTS)}.")
    return account


def person_id(written: str) -> str:
    """A person's id however somebody has written it: case and surrounding space do not make two people of one.

    What a query compares is kept so.
    """
    return written.strip().casefold()


ACTORS_OF_OURS: Final = frozenset({"system", "nobody", "administrator"})
"""Who acts without having signed in: a rule by itself (`audit.entries.SYSTEM`), strangers, and whoever is at the
command line (`commands.options.ACTOR`). No person bears one of these ids, or what they do could be taken for that."""
PROGRAM_PREFIX: Final = "token/"
"""With which the id of a program begins, which shows a service token."""


def require_no_actor_of_ours(person: str) -> None:
    """Raises SignInRequiredError (P29) for an id that is no person's."""
    if person_id(person) in ACTORS_OF_OURS or person_id(person).startswith(PROGRAM_PREFIX):
        raise SignInRequiredError(
            "P29",
            "The id under which you are known at the department is one that this program uses for itself: have the "
            "administrator of the identity provider give you another one.",
        )


def same_person(one: str, other: str) -> bool:
    """Whether two ids mean one person."""
    return person_id(one) == person_id(other)
