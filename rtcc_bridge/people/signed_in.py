"""What a sign-in tells of a person, whoever vouches for it, and how it is kept."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from rtcc_bridge.policy.accounts import Account, Role

MOST_CHARACTERS: Final = 256
"""The columns' limit."""


class Voucher(StrEnum):
    """Who says that it is that person."""

    LOCAL = "local"
    PROVIDER = "provider"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """A person who has just shown who they are. subject, session: the provider's names for the person and for what it
    keeps of this sign-in. refresh_token: by which it can be asked again; lifetime_seconds: how long its word is good
    without one."""

    voucher: Voucher
    account: Account
    subject: str | None = None
    session: str | None = None
    refresh_token: str | None = None
    lifetime_seconds: float | None = None


def roles_of(names: Collection[str]) -> frozenset[Role]:
    """Those that this program knows."""
    known = {role.value: role for role in Role}
    return frozenset(known[name] for name in names if name in known)
