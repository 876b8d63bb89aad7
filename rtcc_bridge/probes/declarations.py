"""What named people may say of an incident beside dispatch: that it is imminent (P14), that it is a killing (P02)."""

from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any

from rtcc_bridge.errors import ConflictError
from rtcc_bridge.policy import rules
from rtcc_bridge.policy.accounts import Account
from rtcc_bridge.policy.permissions import Deed, require_permission
from rtcc_bridge.probes.authority import IncidentAuthority, authority_of
from rtcc_bridge.probes.parts import ProbeParts
from rtcc_bridge.probes.reasons import stated
from rtcc_bridge.probes.refusals import RefusalLog
from rtcc_bridge.storage import imminent_declarations, incidents, refusal_overrides
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.imminent_declarations import ImminentDeclaration
from rtcc_bridge.storage.refusal_overrides import RefusalOverride

_DECLARE = "incident.declare_imminent"
_ATTEST = "incident.attest_killing"
_CONFIRM = "incident.confirm_killing"


class DeclarationDesk:
    """Where people declare and attest. Their words stay in the database; the audit log has that they said them."""

    def __init__(self, parts: ProbeParts) -> None:
        self._parts = parts
        self._refusals = RefusalLog(parts.database, parts.audit, parts.metrics)

    async def declare_imminent(self, incident_id: str, account: Account, reason: str) -> ImminentDeclaration:
        """The watch commander's word, for the policy's `deferral.declared_hours`; a later one takes its place.

        What is attached from then on goes on the imminent lane, and its approval may follow (P14).

        Raises PolicyRefusalError (role; an analyst; a type that is not listed; incident ended), NotFoundError,
        InvalidInputError (no reason), ConflictError (broken merge).
        """
        async with self._watching(account, _DECLARE, incident_id), self._parts.database.write() as tx:
            authority = await self._permitted(tx, incident_id, account, Deed.DECLARE_IMMINENT)
            rules.require_watch_commander(self._parts.policy, account, authority.incident)
            now = self._parts.clock.now()
            declaration = ImminentDeclaration(
                incident_id=authority.incident_id,
                declared_by=account.name,
                declared_at=now,
                ends_at=now + timedelta(hours=self._parts.policy.deferral.declared_hours),
                reason=stated(reason, "Declaring an incident imminent"),
            )
            await imminent_declarations.put(tx, declaration)
            await self._tell(tx, account, _DECLARE, authority, "declared", {"rule": "P14"})
        return declaration

    async def attest_killing(self, incident_id: str, account: Account, attestation: str) -> RefusalOverride:
        """The first of two people attests that what was coded as a disturbance is a killing. That permits nothing yet.

        Raises PolicyRefusalError (role; incident ended), NotFoundError, InvalidInputError (no words), ConflictError
        (it is no killing that was coded so, or somebody has attested to it).
        """
        async with self._watching(account, _ATTEST, incident_id), self._parts.database.write() as tx:
            authority = await self._permitted(tx, incident_id, account, Deed.ATTEST_KILLING)
            _require_recoded(authority)
            override = RefusalOverride(
                incident_id=authority.incident_id,
                attested_by=account.name,
                attested_at=self._parts.clock.now(),
                attestation=stated(attestation, "An attestation"),
            )
            if not await refusal_overrides.add(tx, override):
                raise ConflictError("Somebody has attested to this incident already: it has to be confirmed.")
            await self._tell(tx, account, _ATTEST, authority, "attested", {"rule": "P02"})
        return override

    async def confirm_killing(self, incident_id: str, account: Account) -> RefusalOverride:
        """The second person confirms it: from then on the incident is searched for as the killing that it is.

        Raises PolicyRefusalError (role; the same person; incident ended), NotFoundError, ConflictError (nothing to
        confirm, or confirmed already).
        """
        async with self._watching(account, _CONFIRM, incident_id), self._parts.database.write() as tx:
            authority = await self._permitted(tx, incident_id, account, Deed.CONFIRM_KILLING)
            found = await refusal_overrides.find(tx, authority.incident_id, lock=True)
            if found is None or found.confirmed_by is not None:
                raise ConflictError("There is nothing to confirm of this incident.")
            rules.require_second_attestor(account, attested_by=found.attested_by)
            _require_recoded(authority)
            confirmed = await refusal_overrides.confirm(tx, found, account.name, self._parts.clock.now())
            details = {"rule": "P02", "attestedBy": found.attested_by}
            await self._tell(tx, account, _CONFIRM, authority, "confirmed", details)
        return confirmed

    async def _permitted(self, tx: Transaction, incident_id: str, account: Account, deed: Deed) -> IncidentAuthority:
        require_permission(account, deed)
        await incidents.hold(tx, incident_id)
        authority = await authority_of(tx, incident_id, self._parts.policy, self._parts.clock.now())
        rules.require_authority(authority.incident)
        return authority

    async def _tell(
        self,
        tx: Transaction,
        account: Account,
        action: str,
        authority: IncidentAuthority,
        outcome: str,
        details: dict[str, Any],
    ) -> None:
        await self._parts.audit.append(
            tx,
            actor=account.name,
            action=action,
            subject=authority.incident_id,
            outcome=outcome,
            authority={"policyHash": self._parts.policy.hash},
            details={"incidentType": authority.incident.incident_type, **details},
        )

    def _watching(self, account: Account, action: str, incident_id: str) -> AbstractAsyncContextManager[None]:
        return self._refusals.watching(actor=account.name, action=action, subject=incident_id, authority={})


def _require_recoded(authority: IncidentAuthority) -> None:
    if not rules.is_recoded_killing(authority.incident):
        raise ConflictError(
            "This is no killing that dispatch coded as a disturbance before: there is nothing to attest to."
        )
