"""Where each role can go: the pages of the table of addresses whose deed the account may do (P10)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rtcc_bridge.policy.accounts import Account
from rtcc_bridge.policy.permissions import may
from rtcc_bridge.web.route_deeds import GUARDS

_PAGES: Final = (
    ("/", "Floor board"),
    ("/approvals", "Approvals"),
    ("/review", "Review"),
    ("/released", "Released leads"),
    ("/oversight", "Oversight"),
    ("/gallery", "Galleries"),
    ("/people", "People"),
    ("/activity", "My activity"),
)


@dataclass(frozen=True, slots=True)
class Place:
    """A page that an account may open."""

    path: str
    name: str


def places(account: Account) -> Sequence[Place]:
    return [Place(path, name) for path, name in _PAGES if _is_open(account, path)]


def _is_open(account: Account, path: str) -> bool:
    deed = GUARDS["GET", path].deed
    return deed is not None and may(account, deed)
