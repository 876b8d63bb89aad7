"""Wires who somebody is: sessions, the identity provider, local accounts, service tokens."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Final

from rtcc_bridge.app.assembly import Assembly
from rtcc_bridge.app.foundation import Core, open_core
from rtcc_bridge.audit.entries import AuditLog
from rtcc_bridge.clock import Clock
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.people.desk import PeopleDesk
from rtcc_bridge.people.local_accounts import LocalAccounts
from rtcc_bridge.people.provider import IdentityProvider
from rtcc_bridge.people.register import PeopleRegister
from rtcc_bridge.people.service_tokens import ServiceTokens
from rtcc_bridge.people.sessions import Sessions
from rtcc_bridge.people.start_check import require_sign_in
from rtcc_bridge.periodic import periodically
from rtcc_bridge.policy.accounts import DEMO_ACCOUNTS, Account
from rtcc_bridge.policy.in_force import PolicyInForce
from rtcc_bridge.probes.refusals import RefusalLog
from rtcc_bridge.settings import Settings
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.web.accounts import has_role_switch
from rtcc_bridge.web.problems import SIGN_IN

_FORGOTTEN_EVERY_SECONDS: Final = 600.0


async def add_people(assembly: Assembly) -> PeopleDesk:
    """Raises ConfigurationError when people could not sign in."""
    core = assembly.core
    await asyncio.to_thread(require_sign_in, core.settings)
    desk = _desk_of(core)
    if desk.provider is not None:
        assembly.stack.push_async_callback(desk.provider.close)
    assembly.add_part(
        "sessions",
        lambda: periodically(
            "forgetting old sessions", desk.sessions.forget_old, every_seconds=_FORGOTTEN_EVERY_SECONDS
        ),
    )
    return desk


def people_desk(
    settings: Settings,
    database: Database,
    audit: AuditLog,
    clock: Clock,
    metrics: Metrics,
    policy_in_force: PolicyInForce,
) -> PeopleDesk:
    """Local accounts are there in the demo alone, whatever the settings say."""
    identity, url = settings.identity, settings.web.public_url
    refusals = RefusalLog(database, audit, metrics)
    has_local_accounts = settings.profile == "demo"
    provider = None
    if identity.issuer is not None and url is not None:
        provider = IdentityProvider(identity, database, clock, f"{url}{SIGN_IN}/callback", url)
    return PeopleDesk(
        Sessions(database, audit, clock, identity, provider, has_local_accounts=has_local_accounts),
        ServiceTokens(database, audit, clock, refusals),
        PeopleRegister(database, audit, clock, refusals, policy_in_force, demo_accounts_of(settings)),
        LocalAccounts(database, audit, clock, refusals) if has_local_accounts else None,
        provider,
    )


def demo_accounts_of(settings: Settings) -> Collection[Account]:
    """Those that anybody may take without signing in."""
    return DEMO_ACCOUNTS.values() if has_role_switch(settings) else ()


@asynccontextmanager
async def open_people(settings: Settings) -> AsyncIterator[PeopleDesk]:
    """For the command line. Raises as `open_core` does; a token is revoked although the policy has expired (P23)."""
    async with open_core(settings, under_policy=False) as core:
        desk = _desk_of(core)
        try:
            yield desk
        finally:
            if desk.provider is not None:
                await desk.provider.close()


def _desk_of(core: Core) -> PeopleDesk:
    return people_desk(core.settings, core.database, core.audit, core.clock, core.metrics, core.policy_in_force)
