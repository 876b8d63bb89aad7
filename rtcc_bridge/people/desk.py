"""Everything about who somebody is, in one value for the web and the command line."""

from dataclasses import dataclass

from rtcc_bridge.people.local_accounts import LocalAccounts
from rtcc_bridge.people.provider import IdentityProvider
from rtcc_bridge.people.register import PeopleRegister
from rtcc_bridge.people.service_tokens import ServiceTokens
from rtcc_bridge.people.sessions import Sessions


@dataclass(frozen=True, slots=True)
class PeopleDesk:
    """accounts: the demo's alone, None elsewhere. provider: None where the settings name none."""

    sessions: Sessions
    tokens: ServiceTokens
    register: PeopleRegister
    accounts: LocalAccounts | None
    provider: IdentityProvider | None
