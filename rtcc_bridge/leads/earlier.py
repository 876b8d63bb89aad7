"""What came of a picture that was searched before (P12): for the supervisor who decides, and for examiners afterwards.

The same picture is the same bytes, or the same face cut out of others, such as a copy without its metadata. Both are
told by their hashes: no face is ever looked for in other cases.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from rtcc_bridge.errors import NotFoundError
from rtcc_bridge.leads.examiners import require_face_concluded
from rtcc_bridge.leads.life_parts import LifeParts
from rtcc_bridge.policy.accounts import Account
from rtcc_bridge.policy.permissions import Deed, require_permission
from rtcc_bridge.storage import leads, probes
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
                await require_face_concluded(tx, account, probe)
                found = [
                    EarlierSearch(one, await leads.of_probe(tx, one.probe_id), _same(one, probe))
                    for one in await probes.earlier_of_picture(tx, probe)
                ]
                await self._parts.note(tx, account, action, probe_id, "shown", {"earlier": len(found)})
                return found


def _same(earlier: ProbeRecord, probe: ProbeRecord) -> SamePicture:
    return SamePicture.STILL if earlier.original_sha256 == probe.original_sha256 else SamePicture.FACE
