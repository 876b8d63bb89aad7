"""The search of a lead is repeated in the version that it names, and shows nobody."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from rtcc_bridge.errors import ConflictError, NotFoundError
from rtcc_bridge.gallery.identity import GalleryKind
from rtcc_bridge.gallery.sources import FolderSource
from rtcc_bridge.leads.parts import SearchFacts
from rtcc_bridge.matching.modelpack import ModelPack
from rtcc_bridge.matching.pipeline import FaceEmbedder
from rtcc_bridge.matching.search_index import open_index
from rtcc_bridge.matching.types import Estimate, FaceCrop, Float32Array
from rtcc_bridge.policy.accounts import DEMO_ACCOUNTS
from rtcc_bridge.probes.repeat import RepeatedSearch, SearchRepeater
from rtcc_bridge.probes.search import FoundCandidates
from tests.gallery_kit import ADMINISTRATOR, PACK, SOURCE_WORDS, GalleryKit, open_kit, template_of, templates_of
from tests.probe_kit import ProbeKit, face_search, gallery_parts, record_of, search_handler

AUDITOR = DEMO_ACCOUNTS["auditor"]
PROBE = "ann-1"


class _Embedder:
    """Sees ann on every crop."""

    def templates(self, crops: Sequence[FaceCrop]) -> Float32Array:
        return templates_of([PROBE] * len(crops))


@dataclass
class _Found:
    """Searches the gallery as it is now."""

    gallery: GalleryKit
    candidates: FoundCandidates | None = None
    gallery_kind: str = "demo"

    def search_batch(self, crops: Sequence[FaceCrop]) -> list[FoundCandidates]:
        assert self.candidates is not None
        return [self.candidates for _ in crops]

    async def look(self) -> None:
        follower = self.gallery.follower()
        await follower.follow_once()
        index = follower.current.index
        (found,) = index.search(template_of(PROBE)[None], 20, -1)
        facts = SearchFacts(
            gallery="city",
            gallery_version=index.snapshot.version,
            gallery_size=3,
            model_pack="test-pack",
            model_hash=PACK.template_hash,
            list_length=20,
            threshold=-1.0,
            estimated_fpir=Estimate(0.05, 0.01, 0.1),
        )
        self.candidates = FoundCandidates(tuple(found), facts)


async def _lead(kit: ProbeKit, gallery: GalleryKit) -> str:
    """A lead with everybody who is in the gallery on its list."""
    await kit.authorized()
    found = _Found(gallery)
    await found.look()
    search = face_search(found)
    async with search.batcher:
        await search_handler(kit, search).handle(record_of((await kit.requests())[-1]))
    (lead,) = await kit.events("lead.candidates")
    return str(lead["leadId"])


def _repeater(kit: ProbeKit, gallery: GalleryKit, pack_hash: str = PACK.template_hash) -> SearchRepeater:
    return SearchRepeater(
        gallery_parts(kit),
        gallery.follower(),
        cast("FaceEmbedder", _Embedder()),
        cast("ModelPack", SimpleNamespace(pack_hash=pack_hash)),
        open_index,
    )


async def _enroll(gallery: GalleryKit, root: Path, *names: str) -> None:
    for name in names:
        (root / name).mkdir(parents=True)
        (root / name / "1").write_text(f"{name}-1")
    source = FolderSource(root, **SOURCE_WORDS)
    await gallery.enroller().enroll(source, "city", GalleryKind.DEMO, account=ADMINISTRATOR)


async def test_a_search_is_repeated_in_its_version_and_says_what_is_gone(kit: ProbeKit, tmp_path: Path) -> None:
    async with open_kit(kit.database, tmp_path / "gallery", kit.clock, kit.metrics) as gallery:
        await _enroll(gallery, tmp_path / "first", "ann", "bob", "cat")
        lead_id = await _lead(kit, gallery)
        repeater = _repeater(kit, gallery)
        assert await repeater.repeat(lead_id, AUDITOR) == RepeatedSearch("city", 1, 3, 3, 0, same=True)
        await _enroll(gallery, tmp_path / "second", "dan", "eve")
        await gallery.expunger().expunge_subject("city", "bob", "court order 7", ADMINISTRATOR)
        assert await repeater.repeat(lead_id, AUDITOR) == RepeatedSearch("city", 1, 3, 2, 1, same=True)
        entries = [row["entry"] for row in await kit.audited("lead.search_repeated")]
    assert [(entry["actor"], entry["outcome"]) for entry in entries] == [("auditor", "same")] * 2
    assert {entry["details"]["removedSince"] for entry in entries} == {0, 1}


async def test_a_list_that_does_not_come_out_is_said(
    kit: ProbeKit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_kit(kit.database, tmp_path / "gallery", kit.clock, kit.metrics) as gallery:
        await _enroll(gallery, tmp_path / "first", "ann", "bob", "cat")
        lead_id = await _lead(kit, gallery)
        repeater = _repeater(kit, gallery)
        listed = repeater._listed

        async def turned(lead: object) -> list[object]:
            return list(reversed(await listed(lead)))  # type: ignore[arg-type]  # passed on as it came

        monkeypatch.setattr(repeater, "_listed", turned)
        found = await repeater.repeat(lead_id, AUDITOR)
    assert (found.listed, found.same) == (3, False)


async def test_what_cannot_be_repeated_is_said(kit: ProbeKit, tmp_path: Path) -> None:
    async with open_kit(kit.database, tmp_path / "gallery", kit.clock, kit.metrics) as gallery:
        await _enroll(gallery, tmp_path / "first", "ann")
        lead_id = await _lead(kit, gallery)
        with pytest.raises(NotFoundError, match="no lead"):
            await _repeater(kit, gallery).repeat("nothing", AUDITOR)
        with pytest.raises(ConflictError, match="configure these"):
            await _repeater(kit, gallery, "cd" * 32).repeat(lead_id, AUDITOR)
