"""Whose deferred approvals have lapsed, and the administrator's act that lets them be deferred again (P14)."""

import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from rtcc_bridge.errors import ConflictError
from rtcc_bridge.policy import rules
from rtcc_bridge.policy.accounts import Account, same_person
from rtcc_bridge.policy.permissions import Deed, require_permission
from rtcc_bridge.probes.parts import ProbeParts
from rtcc_bridge.probes.reasons import stated
from rtcc_bridge.probes.refusals import RefusalLog
from rtcc_bridge.storage import deferral_lifts, probes
from rtcc_bridge.storage.deferral_lifts import DeferralLift
from rtcc_bridge.storage.engine import Transaction

_SUBJECT: Final = "deferrals"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeferralStanding:
    """Where an analyst stands. unapproved: approvals that lapsed or have not come, since the last lift.

    lapsed_ever: how many lapsed at all, for reports; a lift changes nothing about it.
    """

    analyst: str
    unapproved: int
    lapsed_ever: int
    is_ended: bool
    lifted_at: datetime | None


class DeferralDesk:
    """Where deferrals are looked at and let go on."""

    def __init__(self, parts: ProbeParts) -> None:
        self._parts = parts
        self._refusals = RefusalLog(parts.database, parts.audit, parts.metrics)

    async def standings(self, account: Account) -> Sequence[DeferralStanding]:
        """Every analyst with an approval that lapsed or has not come. Each look is audited.

        Raises PolicyRefusalError (P10), UnavailableError.
        """
        action = "deferral.view"
        async with self._refusals.watching(actor=account.name, action=action, subject=_SUBJECT, authority={}):
            require_permission(account, Deed.SEE_DEFERRALS)
        async with self._parts.database.write() as tx:
            await self._parts.audit.append(
                tx, actor=account.name, action=action, subject=_SUBJECT, outcome="shown", authority={}, details={}
            )
            return await self._standings(tx)

    async def own(self, analyst: str) -> DeferralStanding | None:
        """Where the analyst of this name stands, for themselves to know: so the look is not audited. None: nothing
        lapsed or has not come. Raises UnavailableError."""
        async with self._parts.database.read() as tx:
            found = [one for one in await self._standings(tx) if same_person(one.analyst, analyst)]
        return found[0] if found else None

    async def lift(self, analyst: str, account: Account, reason: str) -> DeferralStanding:
        """Lets what has lapsed by now count no more; what is still outstanding goes on counting.

        Raises PolicyRefusalError (role; one's own lapses), InvalidInputError (no reason), ConflictError (not ended).
        """
        async with (
            self._refusals.watching(actor=account.name, action="deferral.lift", subject=analyst, authority={}),
            self._parts.database.write() as tx,
        ):
            rules.require_lift_by_another(account, analyst=analyst)
            text, now = stated(reason, "Lifting the end of a deferral"), self._parts.clock.now()
            before = {standing.analyst: standing for standing in await self._standings(tx)}.get(analyst)
            if before is None or not before.is_ended:
                raise ConflictError("The approvals of this account can be deferred: there is nothing to lift.")
            lift = DeferralLift(
                lift_id=secrets.token_urlsafe(16), analyst=analyst, lifted_by=account.name, lifted_at=now, reason=text
            )
            await deferral_lifts.add(tx, lift)
            (after,) = [standing for standing in await self._standings(tx) if standing.analyst == analyst]
            await self._parts.audit.append(
                tx,
                actor=account.name,
                action="deferral.lift",
                subject=analyst,
                outcome="lifted",
                authority={"policyHash": self._parts.policy.hash},
                details={"rule": "P14", "reason": text, "before": before.unapproved, "after": after.unapproved},
            )
        return after

    async def _standings(self, tx: Transaction) -> Sequence[DeferralStanding]:
        lifts = await deferral_lifts.latest(tx)
        unapproved: Counter[str] = Counter()
        lapsed: Counter[str] = Counter()
        for probe in await probes.unapproved_deferrals(tx):
            lifted_at = lifts.get(probe.analyst)
            unapproved[probe.analyst] += lifted_at is None or not probes.is_over_by(probe, lifted_at)
            lapsed[probe.analyst] += probe.approval == "lapsed"
        most = self._parts.policy.deferral.lapses_that_end_it
        return [
            DeferralStanding(
                analyst=analyst,
                unapproved=count,
                lapsed_ever=lapsed[analyst],
                is_ended=count >= most,
                lifted_at=lifts.get(analyst),
            )
            for analyst, count in sorted(unapproved.items())
        ]
