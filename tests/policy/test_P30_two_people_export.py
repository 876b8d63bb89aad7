"""P30: what a live gallery holds leaves when two people want it, each signed in, once, and as it was approved."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from rtcc_bridge.app.foundation import open_core
from rtcc_bridge.app.galleries import gallery_parts
from rtcc_bridge.cli import main
from rtcc_bridge.commands.console import EXIT_REJECTED
from rtcc_bridge.errors import ConflictError, InvalidInputError, NotFoundError, PolicyRefusalError
from rtcc_bridge.gallery.additions import GalleryAdditions
from rtcc_bridge.gallery.export import ExportReceipt, GalleryExport
from rtcc_bridge.gallery.export_orders import ExportOrderDesk
from rtcc_bridge.gallery.identity import GalleryKind
from rtcc_bridge.gallery.sources import FolderSource
from rtcc_bridge.policy.accounts import DEMO_ACCOUNTS, Account, Role
from rtcc_bridge.settings import load_settings
from rtcc_bridge.storage.tables import audit_entries
from tests.command_kit import leave_logging
from tests.doubles import ManualClock
from tests.gallery_kit import ADMINISTRATOR, PACK, SOURCE_WORDS, GalleryKit
from tests.probe_kit import POLICY_FILE

SECOND = DEMO_ACCOUNTS["supervisor"]
AGAIN = Account(" Administrator ", frozenset({Role.SUPERVISOR}), login="the other account")
"""The same person by another account."""


@pytest.fixture
async def live(galleries: GalleryKit, tmp_path: Path) -> GalleryKit:
    (tmp_path / "people" / "somebody").mkdir(parents=True)
    (tmp_path / "people" / "somebody" / "1.jpg").write_text("face")
    source = FolderSource(tmp_path / "people", **SOURCE_WORDS)
    await galleries.enroller().enroll(source, "city", GalleryKind.LIVE, account=ADMINISTRATOR)
    await galleries.enroller().enroll(source, "training", GalleryKind.TRAINING, account=ADMINISTRATOR)
    await galleries.enroller().enroll(source, "demo", GalleryKind.DEMO, account=ADMINISTRATOR)
    return galleries


async def ordered(live: GalleryKit, *, with_pictures: bool = False, second: Account | None = SECOND) -> str:
    desk = ExportOrderDesk(live.parts())
    order = await desk.ask(ADMINISTRATOR, "city", "the system is replaced", with_pictures=with_pictures)
    if second is not None:
        await desk.approve(second, order.order_id)
    return order.order_id


async def export(
    live: GalleryKit,
    folder: Path,
    order_id: str | None,
    *,
    gallery: str = "city",
    pictures: bool = False,
    account: Account = ADMINISTRATOR,
) -> ExportReceipt:
    return await GalleryExport(live.parts()).export(
        gallery, folder, with_pictures=pictures, account=account, order_id=order_id, on_exported=lambda *_: None
    )


async def refused(live: GalleryKit, folder: Path, order_id: str | None, rule: str = "P30", **options: Any) -> None:
    """It is refused, nothing is written, and the refusal is in the log."""
    before = await refusals(live)
    with pytest.raises(PolicyRefusalError) as error:
        await export(live, folder, order_id, **options)
    assert error.value.rule == rule
    assert not _is_written(folder)
    assert sorted(await refusals(live)) == sorted([*before, rule])


def _is_written(folder: Path) -> bool:
    return folder.is_dir()


async def refusals(live: GalleryKit) -> list[str]:
    """The rules of the exports that were refused so far."""
    exports = await entries(live, "gallery.exported")
    return [entry["details"]["rule"] for entry in exports if entry["outcome"] == "refused"]


async def entries(live: GalleryKit, action: str) -> list[dict[str, Any]]:
    async with live.database.read() as tx:
        rows = await tx.execute(audit_entries.select().order_by(audit_entries.c.at, audit_entries.c.entry_id))
        return [row.entry for row in rows if row.action == action]


async def test_two_people_export_a_live_gallery_and_both_are_named(live: GalleryKit, tmp_path: Path) -> None:
    order_id = await ordered(live)
    assert (await export(live, tmp_path / "out", order_id)).images == 1
    [entry] = await entries(live, "gallery.exported")
    assert entry["outcome"] == "begun"
    assert entry["authority"] == {"order": order_id, "askedBy": "administrator", "approvedBy": "supervisor"}


async def test_without_an_order_or_the_second_person_nothing_leaves(live: GalleryKit, tmp_path: Path) -> None:
    await refused(live, tmp_path / "out", None)
    await refused(live, tmp_path / "out", await ordered(live, second=None))
    with pytest.raises(NotFoundError):
        await export(live, tmp_path / "out", "made up")


async def test_one_person_with_two_accounts_is_no_second_person(live: GalleryKit, tmp_path: Path) -> None:
    desk = ExportOrderDesk(live.parts())
    order_id = await ordered(live, second=None)
    for same in (ADMINISTRATOR, AGAIN, replace(AGAIN, name="ADMINISTRATOR")):
        with pytest.raises(PolicyRefusalError) as error:
            await desk.approve(same, order_id)
        assert error.value.rule == "P30"
    assert [entry["outcome"] for entry in await entries(live, "gallery.approve_export")] == ["refused"] * 3
    await refused(live, tmp_path / "out", order_id)


async def test_an_order_is_good_for_what_was_approved(live: GalleryKit, tmp_path: Path) -> None:
    order_id = await ordered(live)
    await refused(live, tmp_path / "out", order_id, pictures=True)
    await refused(live, tmp_path / "out", order_id, gallery="training")
    with_pictures = await ordered(live, with_pictures=True)
    assert (await export(live, tmp_path / "out", with_pictures, pictures=True)).pictures == 1


async def test_an_order_is_good_for_one_export_into_one_folder(live: GalleryKit, tmp_path: Path) -> None:
    order_id = await ordered(live)
    await export(live, tmp_path / "out", order_id)
    await refused(live, tmp_path / "elsewhere", order_id)
    (tmp_path / "out").rename(tmp_path / "taken away")
    await refused(live, tmp_path / "out", order_id)


async def test_an_interrupted_export_goes_on_into_its_folder_alone(live: GalleryKit, tmp_path: Path) -> None:
    order_id = await ordered(live)
    (tmp_path / "out").write_text("in the way")
    with pytest.raises(InvalidInputError):
        await export(live, tmp_path / "out", order_id)
    await refused(live, tmp_path / "elsewhere", order_id)
    (tmp_path / "out").unlink()
    assert (await export(live, tmp_path / "out", order_id)).images == 1


async def test_an_order_does_not_last(live: GalleryKit, tmp_path: Path, clock: ManualClock) -> None:
    approved, waiting = await ordered(live), await ordered(live, second=None)
    clock.advance(24 * 3600)
    await refused(live, tmp_path / "out", approved)
    with pytest.raises(PolicyRefusalError) as error:
        await ExportOrderDesk(live.parts()).approve(SECOND, waiting)
    assert error.value.rule == "P30"


async def test_an_order_is_approved_once(live: GalleryKit) -> None:
    order_id = await ordered(live)
    with pytest.raises(ConflictError):
        await ExportOrderDesk(live.parts()).approve(SECOND, order_id)
    with pytest.raises(NotFoundError):
        await ExportOrderDesk(live.parts()).approve(SECOND, "made up")


async def test_what_is_asked_for_needs_a_gallery_and_a_reason(live: GalleryKit) -> None:
    desk = ExportOrderDesk(live.parts())
    with pytest.raises(NotFoundError):
        await desk.ask(ADMINISTRATOR, "nowhere", "the system is replaced", with_pictures=False)
    with pytest.raises(InvalidInputError):
        await desk.ask(ADMINISTRATOR, "city", " ", with_pictures=False)


async def test_an_auditor_sees_who_ordered_what_and_the_look_is_audited(live: GalleryKit) -> None:
    order_id = await ordered(live)
    [found] = await ExportOrderDesk(live.parts()).every(DEMO_ACCOUNTS["auditor"])
    assert (found.order_id, found.asked_by, found.approved_by) == (order_id, "administrator", "supervisor")
    assert len(await entries(live, "gallery.see_exports")) == 1


async def test_a_training_gallery_holds_people_too_and_that_of_a_demo_needs_no_order(
    live: GalleryKit, tmp_path: Path
) -> None:
    await refused(live, tmp_path / "out", None, gallery="training")
    desk = ExportOrderDesk(live.parts())
    order = await desk.ask(ADMINISTRATOR, "training", "another model", with_pictures=False)
    await desk.approve(SECOND, order.order_id)
    assert (await export(live, tmp_path / "out", order.order_id, gallery="training")).images == 1
    assert (await export(live, tmp_path / "demo", None, gallery="demo")).images == 1


async def test_who_may_not_export_does_not_with_an_order_either(live: GalleryKit, tmp_path: Path) -> None:
    order_id = await ordered(live)
    await refused(live, tmp_path / "out", order_id, rule="P10", account=DEMO_ACCOUNTS["operations"])


def test_the_command_exports_no_live_gallery_without_an_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the production profile and in the demo's alike: it goes by the kind of the gallery."""
    leave_logging(monkeypatch, "gallery")
    (tmp_path / "settings.yaml").write_text(
        f"database:\n  url: sqlite+aiosqlite:///{tmp_path / 'floor.sqlite3'}\n"
        f"objects:\n  url: {(tmp_path / 'sealed').as_uri()}\n  master_key_file: {tmp_path / 'master.key'}\n"
        f"policy:\n  file: {POLICY_FILE}\n"
        f"audit:\n  journal_folder: {tmp_path / 'journal'}\n"
    )
    settings = load_settings(tmp_path / "settings.yaml")

    async def make() -> None:
        async with open_core(settings) as core:
            await GalleryAdditions(gallery_parts(core), PACK).open_gallery("city", GalleryKind.LIVE, "administrator")

    def run(*options: str) -> Result:
        arguments = ["gallery", "export", str(tmp_path / "out"), "--gallery", "city", *options]
        return CliRunner().invoke(main, [*arguments, "--config", str(tmp_path / "settings.yaml")])

    asyncio.run(make())
    for options, says in (((), "two people"), (("--order", "made up"), "no such order")):
        done = run(*options)
        assert (done.exit_code, says in done.output) == (EXIT_REJECTED, True), done.output
    assert run("--approved-by", "somebody").exit_code == 2, "a name that is typed in is no second person"
    assert not (tmp_path / "out").exists()
