"""Keeping and filing an examiner's opinion, and what becomes of the lead when all who have to conclude have done so.

Nothing is told of an opinion, to anybody, until then (P12): not in an event, not in the audit entry that an event
cites. The audit log gets a commitment: the hash of the opinion with a nonce that is kept beside it, so that it can be
proved later which opinion was filed, and not be guessed before.
"""

import hashlib
import secrets
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from rtcc_bridge.audit.canonical import canonical_json
from rtcc_bridge.audit.entries import SYSTEM
from rtcc_bridge.errors import ConflictError
from rtcc_bridge.leads import agreement, rounds
from rtcc_bridge.leads import lead as rules
from rtcc_bridge.leads.agreement import Agreement, ListOutcome, Verdicts
from rtcc_bridge.leads.comparison import (
    Aid,
    AidUse,
    Opinion,
    require_beside_form,
    require_complete,
    require_of_list,
    verdicts,
)
from rtcc_bridge.leads.conclusions import require_on_scale
from rtcc_bridge.leads.examiners import people_of, third_examiner
from rtcc_bridge.leads.life_parts import LifeParts
from rtcc_bridge.leads.parts import lead_of
from rtcc_bridge.policy.accounts import NOBODY, Account
from rtcc_bridge.policy.certificates import marks
from rtcc_bridge.storage import examinations, opinions
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.examinations import ExaminationRecord
from rtcc_bridge.storage.leads import LeadRecord
from rtcc_bridge.storage.opinions import OpinionRecord

AID_USED: Final = "examination.aid"
"""The action under which the use of an aid is audited."""


@dataclass(frozen=True, slots=True)
class Worksheet:
    """What an examiner has before them: the list in their own order, and what they have noted. No score, no rank.

    aids: what they have laid over the still. Only the desk notes that.
    """

    examination: ExaminationRecord
    opinion: Opinion
    aids: Sequence[AidUse] = ()


async def worksheet_of(tx: Transaction, examination: ExaminationRecord) -> Worksheet:
    """What this examiner has noted so far."""
    record = await opinions.find(tx, examination.examination_id)
    if record is None:
        return Worksheet(examination, Opinion())
    return Worksheet(examination, Opinion.model_validate(dict(record.opinion)), aids_of(record))


def aids_of(record: OpinionRecord) -> Sequence[AidUse]:
    """In the order of their first use."""
    return tuple(AidUse.model_validate(dict(one)) for one in record.aids or ())


async def use_aid(
    parts: LifeParts, tx: Transaction, examination: ExaminationRecord, use: AidUse, account: Account
) -> Worksheet:
    """Notes that an aid is used on a candidate, before it is; once more changes nothing.

    The audit log does not hold on whom: that somebody was kept for the form is no hint for a reviewer to have (P12).
    Neither does it hold in which round: everybody reads their own entries, and a third one would know that two differ.

    Raises PolicyRefusalError (P13) when the candidate was not kept, ConflictError when it was concluded or closed.
    """
    _require_open(examination)
    sheet = await worksheet_of(tx, examination)
    require_beside_form(use, sheet.opinion)
    if use in sheet.aids:
        return sheet
    used = Worksheet(examination, sheet.opinion, (*sheet.aids, use))
    await _put(parts, tx, used, None)
    details = {"aid": use.aid.value}
    await parts.note(tx, account, AID_USED, examination.examination_id, "used", details)
    return used


async def keep(parts: LifeParts, tx: Transaction, examination: ExaminationRecord, opinion: Opinion) -> Worksheet:
    """Keeps a draft: exclusions with one key, forms that are half filled in.

    Raises PolicyRefusalError (P13) when it is not about this list, ConflictError when it was concluded or closed.
    """
    _require_open(examination)
    require_of_list(opinion, examination.refs)
    sheet = replace(await worksheet_of(tx, examination), opinion=opinion)
    await _put(parts, tx, sheet, None)
    return sheet


async def file(
    parts: LifeParts, tx: Transaction, examination: ExaminationRecord, opinion: Opinion, account: Account
) -> Worksheet:
    """Files the conclusion, which nobody changes any more.

    Raises PolicyRefusalError (P13) for what is missing, ConflictError when it was concluded or closed.
    """
    _require_open(examination)
    require_complete(opinion, examination.refs)
    require_on_scale(verdicts(opinion).values(), parts.policy.conclusions.scale)
    nonce = secrets.token_hex(32)
    sheet = replace(await worksheet_of(tx, examination), opinion=opinion)
    await _put(parts, tx, sheet, nonce)
    filed = replace(examination, filed_at=parts.clock.now())
    await examinations.change(tx, filed)
    details = {
        "commitment": commitment(opinion, nonce),
        **marks(account.certificates, parts.policy.certificates, parts.clock.now()),
    }
    await parts.note(tx, account, "examination.conclude", examination.examination_id, "concluded", details)
    return replace(sheet, examination=filed)


def commitment(opinion: Opinion, nonce: str) -> str:
    """SHA-256 over the nonce and the canonical opinion, in hex."""
    written = canonical_json({"nonce": nonce, "opinion": opinion.model_dump(mode="json", by_alias=True)})
    return hashlib.sha256(written).hexdigest()


async def concluded(tx: Transaction, lead_ids: Iterable[str]) -> Mapping[str, Mapping[int, Verdicts]]:
    """By lead, and by round, what each examiner came to, by the lead's references.

    A lead on which somebody has to conclude is left out (P12).
    """
    expected = defaultdict[str, list[ExaminationRecord]](list)
    for one in await examinations.of_leads(tx, lead_ids):
        expected[str(one.lead_id)].append(one)
    over = {
        lead_id: {one.round: one for one in each if one.filed_at is not None}
        for lead_id, each in expected.items()
        if not any(one.filed_at is None and one.closed_at is None for one in each)
    }
    filed = await opinions.find_all(tx, [one.examination_id for each in over.values() for one in each.values()])
    return {
        lead_id: {
            number: _by_the_leads_references(one, filed[one.examination_id])
            for number, one in each.items()
            if one.examination_id in filed
        }
        for lead_id, each in over.items()
    }


async def standing(tx: Transaction, lead_id: str) -> Agreement | None:
    """What the examiners agree on as far as they have concluded; None while somebody has to, or two differ."""
    expected = await examinations.of_lead(tx, lead_id)
    filed = await opinions.filed_of_lead(tx, lead_id)
    if len(filed) < agreement.ENOUGH or len(filed) < len(expected):
        return None
    heard = [_by_the_leads_references(one, filed[one.round]) for one in expected]
    return agreement.of_two(*heard) if len(heard) == agreement.ENOUGH else agreement.of_three(*heard)


async def aids_used(tx: Transaction, lead_id: str) -> Mapping[str, Collection[Aid]]:
    """What any examiner has used on a candidate, by the lead's references: for whoever may know what all think."""
    filed, used = await opinions.filed_of_lead(tx, lead_id), defaultdict[str, set[Aid]](set)
    for examination in await examinations.of_lead(tx, lead_id):
        for use in aids_of(filed[examination.round]) if examination.round in filed else ():
            if (ref := examination.meaning(use.candidate_ref)) is not None:
                used[ref].add(use.aid)
    return used


async def settle(parts: LifeParts, tx: Transaction, lead: LeadRecord) -> None:
    """Looks at what was just filed on a lead that the caller has locked.

    While two have not concluded there is nothing to do. Two who differ get a third, whom the system assigns; where
    nobody can be asked yet, it waits for somebody (`handover`). Where two of three do not say the same, the lead closes
    as inconclusive. What was agreed on waits for its release.
    """
    expected = await examinations.of_lead(tx, lead.lead_id)
    if len(expected) < agreement.ENOUGH or any(one.filed_at is None for one in expected):
        return
    found = await standing(tx, lead.lead_id)
    if found is None and len(expected) == agreement.ENOUGH:
        people = await people_of(tx, lead, but_round=rounds.THIRD)
        third = await third_examiner(tx, parts.examiners, people) or NOBODY
        await rounds.open_blind(tx, lead, rounds.THIRD, parts.clock.now(), reserved_for=third.person)
    elif found is None or found.outcome is ListOutcome.INCONCLUSIVE:
        await close_inconclusive(parts, tx, lead)


async def close_inconclusive(parts: LifeParts, tx: Transaction, lead: LeadRecord) -> None:
    """The examiners could not tell, did not agree, or nobody was left to ask. Raises ConflictError."""
    after = rules.close_inconclusive(lead_of(lead))
    await parts.leads.step(tx, lead, after, "lead.inconclusive", SYSTEM, {"candidateCount": 0, "candidates": []})


def _require_open(examination: ExaminationRecord) -> None:
    if examination.closed_at is not None:
        raise ConflictError("The lead has ended: there is nothing to examine any more.")
    if examination.filed_at is not None:
        raise ConflictError("You have concluded already, and a conclusion is not changed.")


def _by_the_leads_references(examination: ExaminationRecord, record: OpinionRecord) -> Verdicts:
    given = verdicts(Opinion.model_validate(dict(record.opinion)))
    return {ref: given[own] for own, ref in examination.candidates}


async def _put(parts: LifeParts, tx: Transaction, sheet: Worksheet, nonce: str | None) -> None:
    record = OpinionRecord(
        examination_id=sheet.examination.examination_id,
        opinion=sheet.opinion.model_dump(mode="json", by_alias=True),
        aids=[use.model_dump(mode="json", by_alias=True) for use in sheet.aids] or None,
        nonce=nonce,
        updated_at=parts.clock.now(),
    )
    await opinions.put(tx, record)
