"""What independent evidence said (P18): reported by the investigator, asked for before the lead ends, extended."""

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from pydantic import AwareDatetime, Field

from rtcc_bridge.errors import ConflictError, InvalidInputError, PolicyRefusalError
from rtcc_bridge.leads import lead as rules
from rtcc_bridge.leads.events import Part
from rtcc_bridge.leads.evidence import MOST_ITEMS, require_evidence, require_independent, require_kinds
from rtcc_bridge.leads.gates import require_in_time
from rtcc_bridge.leads.lead import Outcome
from rtcc_bridge.leads.life_parts import LifeParts
from rtcc_bridge.leads.parts import lead_of
from rtcc_bridge.policy.accounts import Account, same_person
from rtcc_bridge.policy.permissions import Deed, require_permission
from rtcc_bridge.policy.policy_parts import EvidenceKind
from rtcc_bridge.probes.reasons import stated_words
from rtcc_bridge.storage import corroborations, releases
from rtcc_bridge.storage.corroborations import CorroborationRecord
from rtcc_bridge.storage.leads import LeadRecord

LONGEST_EXTENSION_HOURS: Final = 24 * 30

_EVENTS: Final[Mapping[Outcome, str]] = MappingProxyType(
    {
        Outcome.CORROBORATED: "lead.corroborated",
        Outcome.REFUTED: "lead.refuted",
        Outcome.UNRESOLVED: "lead.unresolved",
    }
)


class EvidenceItem(Part):
    """One item of independent evidence."""

    kind: EvidenceKind
    item_number: str = Field(min_length=1, max_length=64, pattern=r"\S", description="As the property room has it.")
    obtained_at: AwareDatetime = Field(description="When it was obtained; not in the future.")


class OutcomeReport(Part):
    """What a named investigator found."""

    outcome: Outcome = Field(description="corroborated, refuted or unresolved.")
    investigator: str = Field(min_length=1, max_length=256, pattern=r"\S", description="Who vouches for it.")
    evidence: tuple[EvidenceItem, ...] = Field(
        default=(), max_length=MOST_ITEMS, description="At least one item where the lead is corroborated."
    )


class CorroborationDesk:
    """Where outcomes are reported, and leads get more time for one."""

    def __init__(self, parts: LifeParts) -> None:
        self._parts = parts

    async def report(self, lead_id: str, account: Account, report: OutcomeReport) -> LeadRecord:
        """Records the outcome.

        Raises PolicyRefusalError (P10; P14, P18: its time is over; P18: not the requestor's lead, no independent
        evidence), NotFoundError, ConflictError (not released, or its outcome is known).
        """
        action = "lead.outcome"
        async with self._parts.watching(account, action, lead_id):
            require_permission(account, Deed.REPORT_OUTCOME)
            async with self._parts.on_lead(lead_id, action) as (tx, lead):
                release = await releases.find(tx, lead_id)
                if release is None:
                    raise ConflictError("This lead was not released: there is nothing to report on.")
                if not same_person(release.requestor, account.name):
                    raise PolicyRefusalError("P18", "The investigator who has the lead reports its outcome.")
                require_in_time(lead, self._parts.clock.now())
                self._require_evidence(report, await releases.first_disclosed_at(tx, release))
                after = rules.report_outcome(lead_of(lead), report.outcome)
                kinds = sorted({item.kind.value for item in report.evidence})
                fields = {"corroboration": {"state": report.outcome.value, "evidenceKinds": kinds}}
                details = {"items": len(report.evidence), "evidenceKinds": kinds}
                event_type = _EVENTS[report.outcome]
                await corroborations.add(tx, self._record(lead_id, account, report))
                return await self._parts.leads.step(tx, lead, after, event_type, account.name, fields, details)

    async def extend(self, lead_id: str, account: Account, hours: int, reason: str) -> LeadRecord:
        """Gives a lead more time, counted from now, with a reason that stays in the audit log.

        Raises PolicyRefusalError (P10; P14, P18: its time is over), NotFoundError, InvalidInputError (no reason; no
        time), ConflictError (ended, or it would end sooner than before).
        """
        action = "lead.extend"
        async with self._parts.watching(account, action, lead_id):
            require_permission(account, Deed.EXTEND_LEAD)
            stated = stated_words(reason, "a reason")
            if not 1 <= hours <= LONGEST_EXTENSION_HOURS:
                raise InvalidInputError(f"Extend a lead by 1 to {LONGEST_EXTENSION_HOURS} hours.", "fields")
            async with self._parts.on_lead(lead_id, action) as (tx, lead):
                rules.extend(lead_of(lead))
                now = self._parts.clock.now()
                require_in_time(lead, now)
                until = now + timedelta(hours=hours)
                if until <= lead.expires_at:
                    raise ConflictError("The lead has more time than that already.")
                details = {"reason": stated, "hours": hours, "sequence": lead.sequence}
                await self._parts.note(tx, account, action, lead_id, "extended", details)
                return await self._parts.leads.extend(tx, lead, until)

    def _require_evidence(self, report: OutcomeReport, disclosed_at: datetime) -> None:
        if report.outcome not in _EVENTS:
            raise InvalidInputError("The outcome is corroborated, refuted or unresolved.", "fields")
        require_evidence(corroborated=report.outcome is Outcome.CORROBORATED, items=len(report.evidence))
        require_kinds({item.kind for item in report.evidence}, self._parts.policy.corroboration.evidence_kinds)
        now = self._parts.clock.now()
        for item in report.evidence:
            require_independent(item.kind, obtained_at=item.obtained_at, disclosed_at=disclosed_at, now=now)

    def _record(self, lead_id: str, account: Account, report: OutcomeReport) -> CorroborationRecord:
        return CorroborationRecord(
            corroboration_id=secrets.token_urlsafe(16),
            lead_id=lead_id,
            outcome=report.outcome.value,
            evidence=[item.model_dump(mode="json", by_alias=True) for item in report.evidence],
            investigator=report.investigator.strip(),
            reported_by=account.name,
            reported_at=self._parts.clock.now(),
        )
