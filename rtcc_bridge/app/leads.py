"""Wires what works on leads after their search: for the web, and for what has to happen although nobody asks."""

from rtcc_bridge.app.foundation import Core
from rtcc_bridge.app.people import demo_accounts_of
from rtcc_bridge.leads.life_parts import LifeParts
from rtcc_bridge.people.known import KnownExaminers
from rtcc_bridge.probes.refusals import RefusalLog


def life_parts_for(core: Core) -> LifeParts:
    """The demo's accounts can be asked to examine where anybody may take them."""
    return LifeParts(
        core.database,
        core.clock,
        core.audit,
        core.vault,
        core.leads,
        core.metrics,
        RefusalLog(core.database, core.audit, core.metrics),
        KnownExaminers(core.clock, core.policy_in_force, demo_accounts_of(core.settings)),
        core.policy_in_force,
    )
