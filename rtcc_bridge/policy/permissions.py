"""Who may do what: the one table of roles and deeds (P10). Every service asks it, whichever way a call came."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from rtcc_bridge.errors import PolicyRefusalError
from rtcc_bridge.policy.accounts import Account, Role


class Deed(StrEnum):
    """What can be done. The value completes the sentence "Only ... may ..."."""

    READ_DOCUMENTS = "read the documents of the API"
    SEE_HEALTH = "see the metrics and what is not ready"
    WATCH_FLOOR = "watch the floor"
    ATTACH_STILL = "attach a still"
    CHOOSE_FACE = "choose a face"
    SEE_PROBE = "see a still"
    SEE_APPROVALS = "see the searches that wait for an approval"
    DECIDE_SEARCH = "decide on a search"
    ACKNOWLEDGE_LEAD = "acknowledge a lead"
    MANAGE_ACCOUNTS = "add, change or disable accounts"
    MANAGE_TOKENS = "create, list or revoke service tokens"


PERMITTED: Final[Mapping[Deed, frozenset[Role]]] = MappingProxyType(
    {
        Deed.READ_DOCUMENTS: frozenset(Role),
        Deed.SEE_HEALTH: frozenset(Role),
        Deed.WATCH_FLOOR: frozenset(Role),
        Deed.ATTACH_STILL: frozenset({Role.ANALYST}),
        Deed.CHOOSE_FACE: frozenset({Role.ANALYST}),
        Deed.SEE_PROBE: frozenset({Role.ANALYST, Role.SUPERVISOR}),
        Deed.SEE_APPROVALS: frozenset({Role.SUPERVISOR}),
        Deed.DECIDE_SEARCH: frozenset({Role.SUPERVISOR}),
        Deed.ACKNOWLEDGE_LEAD: frozenset({Role.ANALYST}),
        Deed.MANAGE_ACCOUNTS: frozenset({Role.ADMINISTRATOR}),
        Deed.MANAGE_TOKENS: frozenset({Role.ADMINISTRATOR}),
    }
)
"""The roles that each deed is open to. What is not listed is forbidden."""

MACHINE_DEEDS: Final = frozenset({Deed.READ_DOCUMENTS, Deed.SEE_HEALTH, Deed.WATCH_FLOOR})
"""What a program may be given a service token for: to look at what bears no name. Whatever decides or shows a person is
done by people (P03, P14)."""


def may(account: Account, deed: Deed) -> bool:
    return not account.roles.isdisjoint(PERMITTED[deed]) or (deed in account.deeds and deed in MACHINE_DEEDS)


def require_permission(account: Account, deed: Deed) -> None:
    """P10. Raises PolicyRefusalError when none of the account's roles permits the deed."""
    if not may(account, deed):
        roles = " or ".join(sorted(PERMITTED[deed]))
        raise PolicyRefusalError("P10", f"Only an account with the role {roles} may {deed}: ask one to do it.")
