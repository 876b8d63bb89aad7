"""Repeats the search of a lead, to show that its list is what that version of the gallery gives.

It shows nobody's name, score or rank: only whether the same people come out in the same order. No search is opened by
it either, since the face, the gallery and the version are those of a search that had authority.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from rtcc_bridge.errors import ConflictError, NotFoundError
from rtcc_bridge.gallery.follower import GalleryFollower
from rtcc_bridge.gallery.parts import GalleryParts
from rtcc_bridge.gallery.versions import PastVersion, past_version
from rtcc_bridge.matching.modelpack import ModelPack
from rtcc_bridge.matching.pipeline import CandidateFinder, FaceEmbedder
from rtcc_bridge.matching.search import SearchIndex
from rtcc_bridge.matching.snapshot import GallerySnapshot
from rtcc_bridge.policy.accounts import Account
from rtcc_bridge.policy.permissions import Deed, require_permission
from rtcc_bridge.probes.stored_crop import open_crop
from rtcc_bridge.storage import leads, probes
from rtcc_bridge.storage.leads import LeadRecord

_REPEAT: Final = "lead.search_repeated"
_NO_THRESHOLD: Final = -2.0
"""Below every similarity score: the list is cut at its length alone, and has to begin with what was listed."""


@dataclass(frozen=True, slots=True)
class RepeatedSearch:
    """What came out. listed: people on the lead's list whose images are still there, out of `listed_then`.

    removed_since: images that the version searched and that were removed after it. same: whether those who are left
    come out again, first and in the same order.
    """

    gallery: str
    version: int
    listed_then: int
    listed: int
    removed_since: int
    same: bool


class SearchRepeater:
    """Repeats searches of one gallery."""

    def __init__(
        self,
        parts: GalleryParts,
        follower: GalleryFollower,
        embedder: FaceEmbedder,
        pack: ModelPack,
        open_index: Callable[[GallerySnapshot], SearchIndex],
    ) -> None:
        self._parts = parts
        self._database = parts.database
        self._vault = parts.vault
        self._follower = follower
        self._embedder = embedder
        self._pack = pack
        self._open_index = open_index

    async def repeat(self, lead_id: str, account: Account) -> RepeatedSearch:
        """Commits an audit entry. Raises NotFoundError when there is no such lead, or its face or list is gone.

        PolicyRefusalError (P10), ConflictError when it was made in another gallery or by another model pack,
        ConfigurationError when the gallery does not fit the pack, IntegrityError, UnavailableError.
        """
        async with self._parts.watching(account, _REPEAT, lead_id):
            require_permission(account, Deed.REPEAT_SEARCH)
        async with self._database.read() as tx:
            lead = await leads.find(tx, lead_id)
            probe = None if lead is None else await probes.find(tx, lead.probe_id)
        if lead is None or probe is None:
            raise NotFoundError(f"there is no lead {lead_id}")
        facts = lead.data.get("search")
        if facts is None:
            raise ConflictError(f"lead {lead_id} came without a search: its picture was too poor")
        await self._follower.follow_once()
        current = self._follower.current.snapshot
        if (facts["gallery"], facts["modelHash"]) != (current.name, self._pack.pack_hash):
            raise ConflictError(
                f"the search was made in gallery {facts['gallery']} with the model pack {facts['modelPack']} "
                f"({facts['modelHash'][:12]}): configure these to repeat it"
            )
        then = [int(row["subjectId"]) for row in await self._listed(lead)]
        past = await past_version(self._database, current, facts["galleryVersion"])
        crop = await open_crop(self._database, self._vault, probe)
        found = await asyncio.to_thread(self._search, past, crop, facts["listLength"])
        there = set(past.snapshot.subject_ids[past.snapshot.alive].tolist())
        left = [subject_id for subject_id in then if subject_id in there]
        result = RepeatedSearch(
            current.name, past.snapshot.version, len(then), len(left), past.removed_since, found[: len(left)] == left
        )
        await self._tell(lead_id, result, account.name)
        return result

    def _search(self, past: PastVersion, crop: Any, length: int) -> list[int]:
        finder = CandidateFinder(self._embedder, self._open_index(past.snapshot))
        (candidates,) = finder.candidates([crop], length, _NO_THRESHOLD)
        return [candidate.subject_id for candidate in candidates]

    async def _listed(self, lead: LeadRecord) -> list[dict[str, Any]]:
        """The sealed list by rank; empty for a lead without candidates."""
        if lead.candidates_object is None:
            return []
        async with self._database.read() as tx:
            key = await self._vault.key_of(tx, lead.candidates_object)
        found: list[dict[str, Any]] = json.loads(await self._vault.unseal(lead.candidates_object, key))["candidates"]
        return sorted(found, key=lambda row: int(row["rank"]))

    async def _tell(self, lead_id: str, result: RepeatedSearch, actor: str) -> None:
        async with self._database.write() as tx:
            await self._parts.audit.append(
                tx,
                actor=actor,
                action=_REPEAT,
                subject=lead_id,
                outcome="same" if result.same else "different",
                authority={},
                details={
                    "gallery": result.gallery,
                    "galleryVersion": result.version,
                    "listedThen": result.listed_then,
                    "listed": result.listed,
                    "removedSince": result.removed_since,
                },
            )
