"""The demo's examiners, requestor and their calls: two who look at the same pictures, each for themselves.

They have no other way to know that they mean the same candidate: each has references and an order of their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rtcc_bridge.demo.checklist import require
from rtcc_bridge.demo.client import Answer, DemoClient

EVIDENCE_ITEM: Final = "DEMO-1-7"
"""As the property room would number it."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A candidate as an examiner sees it. picture: its first one; none for an enrolled template without a picture."""

    ref: str
    picture: bytes | None


class DemoExaminers:
    """Examines a lead, reviews it, releases it and reports on it."""

    def __init__(self, client: DemoClient, components: Sequence[str]) -> None:
        """components: the parts of the face, as the API's own description lists them."""
        self._client = client
        self._components = components

    async def examine(self, lead_id: str) -> bytes:
        """The analyst keeps the first candidate with a picture and supports it; returns that picture."""
        place = f"leads/{lead_id}/examination"
        sheet = await self._client.get(place, "analyst")
        seen = await self._look(place, sheet, "analyst")
        kept = next((one for one in seen if one.picture is not None), None)
        require(kept is not None, "no candidate of the list has a picture")
        assert kept is not None
        assert kept.picture is not None
        await self._client.post(f"leads/{lead_id}/conclusions", "analyst", self._opinion(seen, kept))
        return kept.picture

    async def review(self, picture: bytes, lane: str = "routine") -> None:
        """The reviewer takes the longest waiting review of the lane, and supports whom the first examiner has kept."""
        waiting = (await self._client.get("reviews", "reviewer"))["items"]
        review = next(one for one in waiting if one["lane"] == lane)
        place = f"reviews/{review['reviewId']}"
        sheet = await self._client.post(f"{place}/take", "reviewer", {})
        seen = await self._look(place, sheet, "reviewer")
        kept = next((one for one in seen if one.picture == picture), None)
        require(kept is not None, "the reviewer's list is not the first examiner's")
        await self._client.post(f"{place}/opinion", "reviewer", self._opinion(seen, kept))

    async def release(self, lead_id: str) -> Answer:
        """The analyst releases the lead; returns what the requestor then reads."""
        await self._client.post(f"leads/{lead_id}/release", "analyst", {})
        return await self._client.get(f"leads/{lead_id}/release", "requestor")

    async def corroborate(self, lead_id: str, at: str) -> None:
        """at: when the evidence was obtained, as text of RFC 3339."""
        item = {"kind": "fingerprints", "itemNumber": EVIDENCE_ITEM, "obtainedAt": at}
        report = {"outcome": "corroborated", "investigator": "requestor", "evidence": [item]}
        await self._client.post(f"leads/{lead_id}/corroboration", "requestor", report)

    async def _look(self, place: str, sheet: Answer, account: str) -> list[Seen]:
        seen = []
        for candidate in sheet["candidates"]:
            ref = candidate["candidateRef"]
            path = f"{place}/candidates/{ref}/pictures/1"
            seen.append(Seen(ref, await self._client.picture(path, account) if candidate["pictures"] else None))
        return seen

    def _opinion(self, seen: Sequence[Seen], kept: Seen | None) -> Answer:
        """Everybody else is excluded at first sight; the one who is kept gets the whole form."""
        if kept is None:
            return {"excluded": [one.ref for one in seen]}
        findings = [{"component": component, "finding": "similar"} for component in self._components]
        compared = {"candidateRef": kept.ref, "findings": findings, "conclusion": "support"}
        return {"excluded": [one.ref for one in seen if one.ref != kept.ref], "compared": [compared]}
