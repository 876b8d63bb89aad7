"""Seeded cases with a known answer: they stand in the review queue like any other, and are never a lead.

A case is made of pictures that the agency has enrolled: one of a person stands for the still, and the list holds
others of that person, or nobody's, among those of other people. Nothing of it is written to the outbox, and how it was
answered is told to the administrator alone.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pydantic import Field

from rtcc_bridge.errors import InvalidInputError, NotFoundError, PolicyRefusalError
from rtcc_bridge.leads import rounds
from rtcc_bridge.leads.agreement import ListOutcome, outcome_of
from rtcc_bridge.leads.comparison import Opinion, verdicts
from rtcc_bridge.leads.conclusions import is_support
from rtcc_bridge.leads.events import Part
from rtcc_bridge.leads.life_parts import LifeParts
from rtcc_bridge.matching.types import Lane
from rtcc_bridge.policy.accounts import Account, person_id
from rtcc_bridge.policy.permissions import Deed, require_permission
from rtcc_bridge.policy.rules import LIVE_GALLERY
from rtcc_bridge.storage import examinations, galleries, opinions, proficiency_cases
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.examinations import ExaminationRecord
from rtcc_bridge.storage.proficiency_cases import ProficiencyCaseRecord

MOST_OTHERS: Final = 50
MOST_RESULTS: Final = 500


class NewCase(Part):
    """A case to seed."""

    gallery: str = Field(min_length=1, max_length=128, description="A training or demo gallery.")
    person: str = Field(min_length=1, max_length=256, description="Reference of whoever stands for the still.")
    others: tuple[str, ...] = Field(
        min_length=1, max_length=MOST_OTHERS, description="References of other people, who are on the list."
    )
    listed: bool = Field(description="Whether the list holds the person; without, nobody on it is the right answer.")
    reserved_for: str | None = Field(
        default=None,
        min_length=1,
        max_length=256,
        description="The one analyst who gets it; whoever comes first if none.",
    )


@dataclass(frozen=True, slots=True)
class CaseResult:
    """How a case was answered. right: none while it was not.

    Right is to support the person and nobody else; where the person is not listed, to support nobody. An inconclusive
    answer is neither right nor wrong.
    """

    case_id: str
    seeded_at: datetime
    listed: bool
    examiner: str | None
    filed_at: datetime | None
    outcome: ListOutcome | None
    right: bool | None


class ProficiencyDesk:
    """Where the administrator seeds cases and reads how they were answered."""

    def __init__(self, parts: LifeParts) -> None:
        self._parts = parts

    async def seed(self, account: Account, new: NewCase) -> str:
        """Puts a case into the review queue; returns its id.

        Raises PolicyRefusalError (P10; P07: a live gallery is for actual searches), NotFoundError (gallery or person),
        InvalidInputError (the person has too few pictures, or is among the others).
        """
        action = "proficiency.seed"
        async with self._parts.watching(account, action, "proficiency"):
            require_permission(account, Deed.SEED_CASES)
            async with self._parts.database.write() as tx:
                case = await self._case(tx, account, new)
                await proficiency_cases.add(tx, case)
                await examinations.add(tx, self._review(case, new.reserved_for))
                await self._parts.note(
                    tx, account, action, case.case_id, "seeded", {"candidates": len(case.candidates)}
                )
                return case.case_id

    async def results(self, account: Account) -> Sequence[CaseResult]:
        """How the newest cases were answered; each look is audited. Raises PolicyRefusalError (P10)."""
        action = "proficiency.results"
        async with self._parts.watching(account, action, "proficiency"):
            require_permission(account, Deed.SEED_CASES)
            async with self._parts.database.write() as tx:
                await self._parts.note(tx, account, action, "proficiency", "shown")
                return await answers(tx)

    async def _case(self, tx: Transaction, account: Account, new: NewCase) -> ProficiencyCaseRecord:
        gallery = await galleries.find(tx, new.gallery)
        if gallery is None:
            raise NotFoundError("There is no such gallery.")
        if gallery.kind == LIVE_GALLERY:
            raise PolicyRefusalError("P07", "Cases are seeded from a training gallery: the live one is for searches.")
        if new.person in new.others:
            raise InvalidInputError("The person is not among the others: say with `listed` that they are.", "fields")
        still, *rest = await self._images(tx, new.gallery, new.person, at_least=2 if new.listed else 1)
        candidates: list[Mapping[str, Any]] = [
            {"ref": secrets.token_urlsafe(16), "imageIds": await self._images(tx, new.gallery, ref), "isPerson": False}
            for ref in dict.fromkeys(new.others)
        ]
        if new.listed:
            candidates.append({"ref": secrets.token_urlsafe(16), "imageIds": rest, "isPerson": True})
        return ProficiencyCaseRecord(
            case_id=secrets.token_urlsafe(16),
            gallery=new.gallery,
            probe_image=still,
            candidates=candidates,
            seeded_by=account.name,
            seeded_at=self._parts.clock.now(),
        )

    async def _images(self, tx: Transaction, gallery: str, subject_ref: str, at_least: int = 1) -> list[int]:
        subject = await galleries.find_subject(tx, gallery, subject_ref)
        if subject is None:
            raise NotFoundError("One of these people is not in the gallery.")
        living = await galleries.living_images(tx, gallery, subject_id=subject)
        found = [image.image_id for image in living if image.image_object is not None]
        if len(found) < at_least:
            raise InvalidInputError(
                "One of these people has too few pictures in the gallery for such a case.", "fields"
            )
        return found

    def _review(self, case: ProficiencyCaseRecord, reserved_for: str | None) -> ExaminationRecord:
        listed = rounds.shuffled([str(candidate["ref"]) for candidate in case.candidates])
        return ExaminationRecord(
            examination_id=secrets.token_urlsafe(16),
            lead_id=None,
            case_id=case.case_id,
            round=rounds.PEER,
            lane=Lane.ROUTINE.value,
            candidates=[[own, ref] for own, ref in listed],
            reserved_for=None if reserved_for is None else person_id(reserved_for),
            examiner=None,
            opened_at=case.seeded_at,
            taken_at=None,
            filed_at=None,
            closed_at=None,
        )


async def answers(tx: Transaction) -> Sequence[CaseResult]:
    """How the newest cases were answered: for the administrator alone."""
    cases = {case.case_id: case for case in await proficiency_cases.newest(tx, MOST_RESULTS)}
    return [await _result(tx, cases[str(one.case_id)], one) for one in await examinations.of_cases(tx, cases)]


async def _result(tx: Transaction, case: ProficiencyCaseRecord, review: ExaminationRecord) -> CaseResult:
    person = {str(one["ref"]) for one in case.candidates if one["isPerson"]}
    outcome = right = None
    record = await opinions.find(tx, review.examination_id) if review.filed_at is not None else None
    if record is not None:
        given = verdicts(Opinion.model_validate(dict(record.opinion)))
        outcome = outcome_of(given)
        if outcome is not ListOutcome.INCONCLUSIVE:
            right = {review.meaning(own) for own, conclusion in given.items() if is_support(conclusion)} == person
    return CaseResult(case.case_id, case.seeded_at, bool(person), review.examiner, review.filed_at, outcome, right)
