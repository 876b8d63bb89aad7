"""Wires what works on leads after their search: for the web, and for what has to happen although nobody asks."""

from rtcc_bridge.app.foundation import Core
from rtcc_bridge.leads.life_parts import LifeParts
from rtcc_bridge.people.known import KnownExaminers
from rtcc_bridge.policy.accounts import DEMO_ACCOUNTS
from rtcc_bridge.probes.refusals import RefusalLog
from rtcc_bridge.web.accounts import has_role_switch


def life_parts_for(core: Core) -> LifeParts:
    """The demo's accounts can be asked to examine where anybody may take them."""
    demo_accounts = DEMO_ACCOUNTS.values() if has_role_switch(core.settings) else ()
    return LifeParts(
        core.database,
        core.clock,
        core.audit,
        core.vault,
        core.leads,
        core.metrics,
        RefusalLog(core.database, core.audit, core.metrics),
        KnownExaminers(core.clock, core.policy_in_force, demo_accounts),
        core.policy_in_force,
    )
