"""What came of a picture that was searched before (P12): for the supervisor who decides, and for examiners afterwards.

The same picture is the same bytes, or the same face cut out of others, such as a copy without its metadata. Both are
told by their hashes: no face is ever looked for in other cases.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from rtcc_bridge.errors import NotFoundError, PolicyRefusalError
from rtcc_bridge.leads.examiners import EXAMINED_IN, decides_and_never_examines, waits_for_examiners
from rtcc_bridge.leads.life_parts import LifeParts
from rtcc_bridge.policy.accounts import Account, same_person
from rtcc_bridge.policy.permissions import Deed, require_permission
from rtcc_bridge.probes.state import WAITING
from rtcc_bridge.storage import examinations, leads, probes
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.leads import LeadRecord
from rtcc_bridge.storage.probes import ProbeRecord


class SamePicture(StrEnum):
    """In what two probes are the same."""

    STILL = "still"
    FACE = "face"


@dataclass(frozen=True, slots=True)
class EarlierSearch:
    """A search of the same picture. lead: what came of it; None where it was never searched."""

    probe: ProbeRecord
    lead: LeadRecord | None
    same: SamePicture


class EarlierSearchDesk:
    """Where earlier searches of a picture are looked up."""

    def __init__(self, parts: LifeParts) -> None:
        self._parts = parts

    async def of_probe(self, probe_id: str, account: Account) -> Sequence[EarlierSearch]:
        """The searches of the same picture before this one, the oldest first; each look is audited before it is had.

        Raises PolicyRefusalError (P10; P12: the account may still have to examine the face), NotFoundError.
        """
        action = "probe.earlier"
        async with self._parts.watching(account, action, probe_id):
            require_permission(account, Deed.SEE_EARLIER)
            async with self._parts.database.write() as tx:
                probe = await probes.find(tx, probe_id)
                if probe is None:
                    raise NotFoundError("There is no such probe.")
                await _require_concluded(tx, account, probe)
                found = [
                    EarlierSearch(one, await leads.of_probe(tx, one.probe_id), _same(one, probe))
                    for one in await probes.earlier_of_picture(tx, probe)
                ]
                await self._parts.note(tx, account, action, probe_id, "shown", {"earlier": len(found)})
                return found


async def _require_concluded(tx: Transaction, account: Account, probe: ProbeRecord) -> None:
    """P12: who may still have to examine the face is not told what came of it before. Raises PolicyRefusalError."""
    if decides_and_never_examines(account):
        return
    lead = await leads.of_probe(tx, probe.probe_id)
    is_done = probe.state not in WAITING if lead is None else not await _may_examine(tx, account, lead)
    others = await leads.of_picture(tx, {probe.probe_id}, EXAMINED_IN)
    if not is_done or any([await _may_examine(tx, account, other) for other in others]):
        raise PolicyRefusalError(
            "P12",
            "Examine the face first: what came of it in earlier searches is open to you when you have concluded, or "
            "when nobody has to any more.",
        )


async def _may_examine(tx: Transaction, account: Account, lead: LeadRecord) -> bool:
    """Whether the account may still be asked what it thinks of this lead's face."""
    if not waits_for_examiners(lead):
        return False
    own = [
        one
        for one in await examinations.of_lead(tx, lead.lead_id)
        if one.examiner is not None and same_person(one.examiner, account.name)
    ]
    return not own or any(one.filed_at is None for one in own)


def _same(earlier: ProbeRecord, probe: ProbeRecord) -> SamePicture:
    return SamePicture.STILL if earlier.original_sha256 == probe.original_sha256 else SamePicture.FACE
