"""How a case was disposed of: what was released of it is held until somebody has recorded that (P24).

That a case was taken up again outlives every restoration, as a hold does.
"""

import secrets
from datetime import date
from enum import StrEnum
from typing import Final

from rtcc_bridge.audit.commitments import Name, NameKind
from rtcc_bridge.errors import InvalidInputError, NotFoundError, PolicyRefusalError
from rtcc_bridge.policy import case_numbers
from rtcc_bridge.policy.accounts import Account, Role, same_person
from rtcc_bridge.policy.permissions import Deed, require_permission
from rtcc_bridge.retention.parts import RetentionParts
from rtcc_bridge.storage import dispositions, retention
from rtcc_bridge.storage.dispositions import DispositionRecord

_ACTION: Final = "retention.disposition"


class Disposition(StrEnum):
    """How a case can end, and that it goes on all the same."""

    CONVICTION = "conviction"
    ACQUITTAL = "acquittal"
    DISMISSAL = "dismissal"
    PROSECUTION_DECLINED = "prosecution_declined"
    UNFOUNDED = "unfounded"
    CLOSED_WITHOUT_CHARGE = "closed_without_charge"
    REOPENED = dispositions.REOPENED
    """It was taken up again: it is searched for (P01), and what was released of it is held, as before it was closed."""


class DispositionDesk:
    """Where dispositions are recorded. The newest one of a case counts, so that one that was wrong is put right."""

    def __init__(self, parts: RetentionParts) -> None:
        self._parts = parts

    async def record(
        self, account: Account, case_number: str, disposition: Disposition, disposed_on: date
    ) -> DispositionRecord:
        """The period that the policy sets is counted from now, not from the day that is named. Commits.

        Raises PolicyRefusalError (P10; P24: another's case), NotFoundError (nothing of this case is kept),
        InvalidInputError (no case, a day to come), UnavailableError.
        """
        async with self._parts.watching(account, _ACTION, "retention"):
            require_permission(account, Deed.RECORD_DISPOSITION)
            case, now = case_numbers.case_number(case_number), self._parts.clock.now()
            if not case:
                raise InvalidInputError("Name the case.", "fields")
            if disposed_on > now.date():
                raise InvalidInputError(
                    "A case is disposed of when it has happened: the day is still to come.", "fields"
                )
            async with (
                self._parts.database.read() as tx
            ):  # before anything is noted: of a purged case no name comes back
                _require_concerned(account, [requestor for _, requestor in await retention.kept_of_case(tx, case)])
            name = Name(NameKind.CASE, case)
            await self._parts.audit.prepare(name)
            async with self._parts.database.write() as tx:
                kept = await retention.kept_of_case(tx, case, lock=True)
                _require_concerned(account, [requestor for _, requestor in kept])
                record = DispositionRecord(
                    disposition_id=secrets.token_urlsafe(16),
                    case_number=case,
                    disposition=disposition.value,
                    disposed_on=disposed_on.isoformat(),
                    recorded_by=account.name,
                    recorded_at=now,
                )
                await dispositions.add(tx, record)
                if disposition is Disposition.REOPENED:  # as a hold, which it is for what was released (P24)
                    held = [probe_id for probe_id, _ in kept]
                    ledger = self._parts.vault.ledger
                    await ledger.note_reopened(now, disposition_id=record.disposition_id, probes=held)
                details = {"disposition": record.disposition, "disposedOn": record.disposed_on, "searches": len(kept)}
                await self._parts.note(
                    tx, account.name, _ACTION, record.disposition_id, "recorded", details, {"case": name}
                )
        return record


def _require_concerned(account: Account, requestors: list[str]) -> None:
    if not requestors:
        raise NotFoundError("Nothing that was searched for this case is kept.")
    if account.roles & {Role.SUPERVISOR, Role.ADMINISTRATOR}:
        return
    if not any(same_person(account.name, requestor) for requestor in requestors):
        raise PolicyRefusalError(
            "P24", "An investigator records how a case was disposed of for which they have asked for a search."
        )
