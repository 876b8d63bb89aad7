"""What dispatch wrote of an incident, and its case number: for who works on it, each look on record (P12, P16)."""

from dataclasses import dataclass
from typing import Final

from rtcc_bridge.errors import NotFoundError
from rtcc_bridge.leads.examiners import require_case_not_blind
from rtcc_bridge.policy.accounts import Account
from rtcc_bridge.policy.permissions import Deed, require_permission
from rtcc_bridge.probes.parts import ProbeParts
from rtcc_bridge.probes.refusals import RefusalLog
from rtcc_bridge.storage import incidents
from rtcc_bridge.storage.incidents import IncidentRecord

MOST_NOTES: Final = 100
_LOOK: Final = "incident.notes"


@dataclass(frozen=True, slots=True)
class CaseNotes:
    """What the floor does not see of an incident."""

    incident_id: str
    case_number: str | None
    notes: tuple[str, ...]


class CaseNotesDesk:
    """Opens them."""

    def __init__(self, parts: ProbeParts) -> None:
        self._parts = parts
        self._refusals = RefusalLog(parts.database, parts.audit, parts.metrics)

    async def open(self, incident_id: str, account: Account) -> CaseNotes:
        """Each look is audited before it is had (P16, P23).

        They are closed to the analysts who may still have to review a search of this case blind, or examine a picture
        of it in another. Raises PolicyRefusalError (P10; P12), NotFoundError, UnavailableError.
        """
        async with self._refusals.watching(actor=account.name, action=_LOOK, subject=incident_id, authority={}):
            require_permission(account, Deed.SEE_NOTES)
            async with self._parts.database.read() as tx:
                record = await incidents.get(tx, incident_id)
                if record is None:
                    raise NotFoundError("This incident was not seen on the feed.")
                await require_case_not_blind(tx, account, incident_id)
        async with self._parts.database.write() as tx:
            await self._parts.audit.append(
                tx, actor=account.name, action=_LOOK, subject=incident_id, outcome="shown", authority={}, details={}
            )
        return CaseNotes(incident_id, record.case_number, _texts(record))


def _texts(record: IncidentRecord) -> tuple[str, ...]:
    """The notes as text: each a text, or an object that holds one."""
    notes = record.data.get("notes") or ()
    texts = (note.get("text") or note.get("note") if isinstance(note, dict) else note for note in notes[:MOST_NOTES])
    return tuple(str(text) for text in texts if isinstance(text, str | int | float))
