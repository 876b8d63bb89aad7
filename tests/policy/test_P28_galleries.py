"""P28: a live gallery is searched, and filled, only with a model that has shown what it can do.

What makes a pack qualify is tested in `tests/unit/qualification/test_qualified.py`.
"""

from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from rtcc_bridge.app.galleries import kind_here
from rtcc_bridge.cli import main
from rtcc_bridge.commands.console import EXIT_REJECTED
from rtcc_bridge.errors import PolicyRefusalError, UnavailableError
from rtcc_bridge.gallery.identity import GalleryKind, PackIdentity
from rtcc_bridge.gallery.sources import FolderSource
from rtcc_bridge.qualification.qualified import Qualification
from rtcc_bridge.settings import Settings
from rtcc_bridge.storage import tables
from tests.command_kit import leave_logging
from tests.gallery_kit import ADMINISTRATOR, PACK, SOURCE_WORDS, GalleryKit
from tests.probe_kit import Gallery, ProbeKit, face_search, record_of, search_handler


async def test_a_live_gallery_is_not_searched_with_a_model_that_does_not_qualify(kit: ProbeKit) -> None:
    probe = await kit.authorized()
    live = Gallery(kind="live")
    search = face_search(live)
    async with search.batcher:
        handler = search_handler(kit, search)
        await handler.handle(record_of((await kit.requests())[0]))
        told = await handler.evaluation_problem()  # to the board, and to whoever waits for the search
        assert told is not None
        assert "signed evaluation" in told
        live.closed = UnavailableError("the gallery is not loaded yet")  # which is told for itself
        assert await handler.evaluation_problem() is None
        live.closed = None
        live.kind = "demo"
        assert await handler.evaluation_problem() is None
    assert live.seen == []
    assert await kit.rows(tables.leads) == []
    assert kit.count("policy_refusals_total", rule="P28") == 1
    assert (await kit.desk.find(probe.probe_id)).state == "authorized", "the operator can still correct the settings"


async def test_outside_the_demo_no_gallery_of_a_demo_stands_in_for_a_live_one(kit: ProbeKit) -> None:
    """Else the kind that somebody names at the command would do instead of an evaluation."""
    await kit.authorized()
    demo = Gallery(kind="demo")
    search = face_search(demo)
    request = record_of((await kit.requests())[0])
    async with search.batcher:
        await search_handler(kit, search, model_problem_at=lambda _now: "", is_demo=False).handle(request)
        assert demo.seen == []
        assert await kit.rows(tables.leads) == []
        assert kit.count("policy_refusals_total", rule="P28") == 1
        await search_handler(kit, search).handle(request)
    assert len(demo.seen) == 1


def test_outside_the_demo_no_command_makes_a_gallery_of_a_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_logging(monkeypatch, "gallery")
    (tmp_path / "settings.yaml").write_text("profile: production\n")
    words = ("--provenance", "booking desk", "--lawful-basis", "statute 12", "--retain-until", "2099-01-01")
    arguments = ["gallery", "enroll", str(tmp_path), *words, "--attest-adult", "--kind", "demo"]
    done = CliRunner().invoke(main, [*arguments, "--config", str(tmp_path / "settings.yaml")])
    assert (done.exit_code, "is not searched (P28)" in done.output) == (EXIT_REJECTED, True), done.output
    assert kind_here(Settings(profile="production")) is GalleryKind.LIVE
    assert kind_here(Settings()) is GalleryKind.DEMO


async def test_a_live_gallery_is_searched_until_the_evaluation_is_too_old(kit: ProbeKit) -> None:
    """The age is asked for at every search: a daemon that runs for a year does not outlive its evaluation."""
    await kit.authorized()
    live = Gallery(kind="live")
    search = face_search(live)
    evaluated_on = kit.clock.now().date() - timedelta(days=365)
    handler = search_handler(kit, search, model_problem_at=Qualification("", evaluated_on, 365).problem_at)
    async with search.batcher:
        await handler.handle(record_of((await kit.requests())[0]))
    assert len(live.seen) == 1
    too_old = Qualification("", evaluated_on - timedelta(days=1), 365)
    assert "366 days old" in too_old.problem_at(kit.clock.now())


@pytest.mark.parametrize("kind", list(GalleryKind))
async def test_a_live_gallery_is_not_filled_with_a_pack_without_a_calibration(
    galleries: GalleryKit, tmp_path: Path, kind: GalleryKind
) -> None:
    (tmp_path / "people" / "somebody").mkdir(parents=True)
    (tmp_path / "people" / "somebody" / "1.jpg").write_text("face")
    source = FolderSource(tmp_path / "people", **SOURCE_WORDS)
    uncalibrated = PackIdentity(PACK.name, PACK.template_hash, PACK.template_length, calibrated=False)
    enroller = galleries.enroller(pack=uncalibrated)
    if kind is not GalleryKind.LIVE:
        assert (await enroller.enroll(source, "city", kind, account=ADMINISTRATOR)).enrolled == 1
        return
    with pytest.raises(PolicyRefusalError, match="has no calibration") as refused:
        await enroller.enroll(source, "city", kind, account=ADMINISTRATOR)
    assert refused.value.rule == "P28"
    async with galleries.database.read() as tx:
        assert (await tx.execute(tables.galleries.select())).all() == []
    calibrated = PackIdentity(PACK.name, PACK.template_hash, PACK.template_length, calibrated=True)
    receipt = await galleries.enroller(pack=calibrated).enroll(source, "city", kind, account=ADMINISTRATOR)
    assert receipt.enrolled == 1


async def test_a_gallery_of_no_known_kind_is_not_searched(kit: ProbeKit) -> None:
    await kit.authorized()
    unknown = Gallery(kind="archive")
    search = face_search(unknown)
    async with search.batcher:
        await search_handler(kit, search, model_problem_at=lambda _now: "").handle(record_of((await kit.requests())[0]))
    assert unknown.seen == []
    assert kit.count("policy_refusals_total", rule="P28") == 1
