"""Release to the requestor (P17): at most two candidates, after agreement; finding nobody is released the same way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from rtcc_bridge.errors import ConflictError, NotFoundError, PolicyRefusalError
from rtcc_bridge.leads import lead as rules
from rtcc_bridge.leads import opinions
from rtcc_bridge.leads.agreement import Agreement, ListOutcome
from rtcc_bridge.leads.examiners import require_face_concluded
from rtcc_bridge.leads.gates import require_in_time, require_not_ended, require_still_grounded
from rtcc_bridge.leads.lead import LeadResult, ReviewState
from rtcc_bridge.leads.life_parts import LifeParts, locked
from rtcc_bridge.leads.parts import lead_of
from rtcc_bridge.policy.accounts import Account, Role, person_id, same_person
from rtcc_bridge.policy.permissions import Deed, require_permission
from rtcc_bridge.storage import corroborations, releases, threats
from rtcc_bridge.storage.engine import Transaction, on_commit
from rtcc_bridge.storage.leads import LeadRecord
from rtcc_bridge.storage.releases import ReceiverRecord, ReleaseRecord

RELEASE_AT_MOST: Final = 2
"""The policy file may say one, and no more than this."""
MOST_RECEIVED: Final = 200

LIMITS: Final = (
    "Two pictures were compared by people who were trained for it. That is not an identification.",
    "Everybody in the gallery was compared; whoever is searched for need not be in it.",
    "People who look alike are found, and the more so the larger the gallery is.",
    "A poor picture hides what would tell two people apart.",
    "Do not show the candidate to a witness, and build no line-up on this lead alone.",
    "Report what independent evidence says, for or against: without an outcome the lead ends by itself.",
)
"""What the method cannot do, in plain words, for everybody who receives a lead."""


@dataclass(frozen=True, slots=True)
class ReceivedLead:
    """A released lead as its receiver sees it."""

    lead: LeadRecord
    release: ReleaseRecord


@dataclass(frozen=True, slots=True)
class ReceiptOfLead:
    """That somebody has had a lead, as it stands now. asked_at: when the outcome was last asked for."""

    lead: LeadRecord
    receiver: ReceiverRecord
    asked_at: datetime | None


class ReleaseDesk:
    """Where leads are handed over."""

    def __init__(self, parts: LifeParts) -> None:
        self._parts = parts

    async def release(self, lead_id: str, account: Account, chosen: Sequence[str]) -> LeadRecord:
        """Releases what was agreed on: the chosen candidates, or all of them where there are no more than two.

        Raises PolicyRefusalError (P10; P01, P02, P07, P08, P09: its incident does not permit the search any more; P11:
        not agreed on yet; P14, P18: its time is over; P17: too many, or not agreed on; the requestor's own account),
        NotFoundError, ConflictError (released already, or ended).
        """
        action = "lead.release"
        async with self._parts.watching(account, action, lead_id):
            require_permission(account, Deed.RELEASE_LEAD)
            async with self._parts.on_lead(lead_id, action) as (tx, lead):
                now = self._parts.clock.now()
                require_in_time(lead, now)
                requestor = (await require_still_grounded(tx, lead, self._parts.policy, now)).requestor
                if same_person(requestor, account.name):
                    raise PolicyRefusalError("P17", "The requestor receives a lead and does not release it.")
                found = await self._agreed(tx, lead)
                refs = _chosen(found, chosen, min(RELEASE_AT_MOST, self._parts.policy.review.release_at_most))
                return await self._release(tx, lead, account, requestor, found, refs)

    async def received(self, lead_id: str, account: Account) -> ReceivedLead:
        """The released lead, for its requestor or a supervisor, who then is one of its receivers (P19).

        Each look is audited before it is had. Raises PolicyRefusalError (P10; P01, P02, P07, P08: its incident ends it;
        P12: somebody who may have to examine the same face in another search; P14, P18: its time is over; P17: another
        one's lead), NotFoundError (not released), ConflictError (taken back: there is nothing to look at any more).
        """
        action = "lead.receive"
        async with self._parts.watching(account, action, lead_id):
            require_permission(account, Deed.RECEIVE_LEAD)
            async with self._parts.database.write() as tx:
                received = await self._received(tx, lead_id, account)
                now = self._parts.clock.now()
                await releases.add_receiver(
                    tx, ReceiverRecord(lead_id=lead_id, account=account.person, received_at=now)
                )
                await self._parts.note(tx, account, action, lead_id, "shown")
                return received

    async def all_received(self, account: Account) -> Sequence[ReceiptOfLead]:
        """The leads that this account has received, the newest first, each with when its outcome was last asked for.

        Raises PolicyRefusalError (P10).
        """
        async with self._parts.watching(account, "lead.received", "leads"):
            require_permission(account, Deed.RECEIVE_LEAD)
        async with self._parts.database.read() as tx:
            found = await releases.received_by(tx, account.person, MOST_RECEIVED)
            reminded = await corroborations.last_reminders(tx, [lead.lead_id for lead, _ in found])
        return [ReceiptOfLead(lead, receiver, reminded.get(lead.lead_id)) for lead, receiver in found]

    async def _received(self, tx: Transaction, lead_id: str, account: Account) -> ReceivedLead:
        lead = await locked(tx, lead_id)
        release = await releases.find(tx, lead_id)
        if release is None:
            raise NotFoundError("This lead was not released to anybody.")
        if Role.SUPERVISOR not in account.roles and not same_person(release.requestor, account.name):
            raise PolicyRefusalError("P17", "A lead is released to its requestor: this one is somebody else's.")
        if lead.review_state != ReviewState.RELEASED:
            raise ConflictError("This lead was taken back, and may not be used: acknowledge that.")
        now = self._parts.clock.now()
        require_in_time(lead, now)
        probe = await require_not_ended(tx, lead, self._parts.policy, now)
        if not same_person(release.requestor, account.name):  # whose own case it is: they were given it already
            await require_face_concluded(tx, account, probe)
        return ReceivedLead(lead, release)

    async def _agreed(self, tx: Transaction, lead: LeadRecord) -> Agreement:
        """A search that found nobody was decided by the search: there is nothing to agree on."""
        if lead.result == LeadResult.NO_CANDIDATE:
            return Agreement(ListOutcome.NO_CANDIDATE, {})
        found = await opinions.standing(tx, lead.lead_id)
        if found is None and lead.review_state in {ReviewState.UNREVIEWED, ReviewState.IN_REVIEW}:
            raise PolicyRefusalError(
                "P11", "Two examiners have to agree on a lead before it is released: wait for both."
            )
        return found or Agreement(ListOutcome.INCONCLUSIVE, {})

    async def _release(
        self,
        tx: Transaction,
        lead: LeadRecord,
        account: Account,
        requestor: str,
        found: Agreement,
        refs: Sequence[str],
    ) -> LeadRecord:
        now = self._parts.clock.now()
        after = rules.release(lead_of(lead), len(refs))
        listed = [candidate["candidateRef"] for candidate in lead.data["candidates"]]
        candidates = [
            {"candidateRef": ref, "conclusion": found.supported[ref].value} for ref in listed if ref in refs
        ]  # in the lead's random order
        dissent = [{"candidateRef": one.candidate_ref, "conclusion": one.conclusion.value} for one in found.dissent]
        until = self._ends(lead, now) if candidates else lead.expires_at
        fields = {"candidateCount": len(candidates), "candidates": candidates, "releasedAt": now, "expiresAt": until}
        lead = replace(lead, expires_at=until)
        details = {"listed": len(listed), "agreedOn": len(found.supported), "dissent": bool(dissent)}
        released = await self._parts.leads.step(tx, lead, after, "lead.released", account.name, fields, details)
        findings: Mapping[str, Any] = {"candidates": candidates, "dissent": dissent}
        record = ReleaseRecord(
            lead_id=lead.lead_id, released_by=account.name, requestor=requestor, released_at=now, findings=findings
        )
        await releases.add(tx, record)
        receiver = ReceiverRecord(lead_id=lead.lead_id, account=person_id(requestor), received_at=now)
        await releases.add_receiver(tx, receiver)
        await self._observe(tx, released)
        return released

    def _ends(self, lead: LeadRecord, now: datetime) -> datetime:
        """P18: so long the requestor has for the outcome, and no longer than the lead lives anyway."""
        return min(lead.expires_at, now + timedelta(days=self._parts.policy.corroboration.outcome_within_days))

    async def _observe(self, tx: Transaction, lead: LeadRecord) -> None:
        """From the first imminent threat of the incident, where there is one."""
        found = await threats.of_incident(tx, lead.incident_id)
        since = min((threat.sent_at for threat in found if threat.imminent), default=None)
        if since is not None:
            seconds = max(0.0, (self._parts.clock.now() - since).total_seconds())
            timer = self._parts.metrics.threat_to_release_seconds
            on_commit(tx, lambda: timer.observe(seconds))


def _chosen(found: Agreement, chosen: Sequence[str], at_most: int) -> Sequence[str]:
    """P17: which candidates go out."""
    wanted = list(dict.fromkeys(chosen)) or sorted(found.supported)
    if not set(wanted) <= found.supported.keys():
        raise PolicyRefusalError(
            "P17", "Only candidates on which the examiners agree are released: leave the others out."
        )
    if len(wanted) > at_most:
        raise PolicyRefusalError(
            "P17", f"At most {at_most} of a lead's candidates are released: choose which of those agreed on."
        )
    return wanted
