"""An installation that comes back from a backup: without what was purged since, and with the holds that were placed."""

from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from rtcc_bridge.app.foundation import Core, open_core
from rtcc_bridge.app.retention import purge_keeper_for, retention_desk_for, retention_parts
from rtcc_bridge.app.upkeep import restore_parts
from rtcc_bridge.clock import SystemClock
from rtcc_bridge.errors import PolicyRefusalError, UnavailableError
from rtcc_bridge.policy.accounts import DEMO_ACCOUNTS
from rtcc_bridge.retention.holds import HoldOrder
from rtcc_bridge.retention.purge import Purger
from rtcc_bridge.settings import KafkaSettings
from rtcc_bridge.storage import object_keys, probes, purges, tables
from rtcc_bridge.storage.orders import DISCLOSURE_ORDERS, EXPORT_ORDERS, DisclosureOrderRecord, ExportOrderRecord
from rtcc_bridge.storage.purges import PurgeRecord
from rtcc_bridge.upkeep.backup import Backup
from rtcc_bridge.upkeep.restore import Restore, RestoreReport
from tests.integration.installation import Installation, silent
from tests.lead_parts import probe_record

ADMINISTRATOR = DEMO_ACCOUNTS["administrator"]
OLD = timedelta(days=100)
CASE = "26-000777"


@pytest.fixture
def installation(tmp_path: Path, database_url: str, kafka: KafkaSettings) -> Installation:
    return Installation(tmp_path, database_url, kafka)


@dataclass(frozen=True)
class Ended:
    """A search that was withdrawn long ago, with its sealed still."""

    probe_id: str
    still: str


async def ended(core: Core) -> Ended:
    sealed = await core.vault.seal("probe-original", b"the bytes of a still")
    now = SystemClock().now() - OLD
    probe = replace(
        probe_record(now),
        state="withdrawn",
        case_number=CASE,
        original_object=sealed.object_key,
        crop_object=None,
        updated_at=now,
    )
    async with core.database.write() as tx:
        await core.vault.record(tx, sealed)
        await probes.insert(tx, probe)
    return Ended(probe.probe_id, sealed.object_key)


async def backed_up(installation: Installation) -> Ended:
    """An installation whose backup knows the search."""
    async with open_core(installation.settings) as core:
        search = await ended(core)
        await Backup(core.database, core.vault, core.audit, installation.kafka, core.clock, "operator").run(
            installation.folder / "backup", silent
        )
    return search


async def lost_and_restored(installation: Installation) -> RestoreReport:
    await installation.destroy_database()
    async with open_core(installation.settings, restoring=True) as core:
        restore = Restore(restore_parts(core), installation.folder / "backup", "administrator")
        return await restore.run(silent)


async def probe_row(core: Core, search: Ended) -> dict[str, Any]:
    async with core.database.read() as tx:
        query = select(tables.probes).where(tables.probes.c.probe_id == search.probe_id)
        return dict((await tx.execute(query)).mappings().one())


async def purge_of(core: Core, search: Ended) -> PurgeRecord | None:
    async with core.database.read() as tx:
        return await purges.find(tx, search.probe_id)


async def test_what_was_purged_after_the_backup_does_not_come_back(installation: Installation) -> None:
    search = await backed_up(installation)
    async with open_core(installation.settings) as core:
        assert (await purge_keeper_for(core).purge_due(ADMINISTRATOR)).purged == 1
        purged = await purge_of(core, search)
    report = await lost_and_restored(installation)
    assert (report.purges_carried_out, report.keys_destroyed) == (1, 0)
    async with open_core(installation.settings) as core:
        row = await probe_row(core, search)
        assert (row["purged_at"] is not None, row["original_object"], row["case_number"]) == (True, None, "")
        again = await purge_of(core, search)
        assert purged is not None
        assert again is not None
        assert (again.objects, again.outcome) == (purged.objects, "withdrawn")
        async with core.database.read() as tx:
            assert await object_keys.known(tx, [search.still]) == set()
            entries = await tx.execute(
                select(tables.audit_entries.c.outcome).where(tables.audit_entries.c.action == "retention.purged")
            )
            assert [entry.outcome for entry in entries] == ["purged_again"]
        assert not (installation.objects / search.still).exists()
        assert (await purge_keeper_for(core).purge_due(ADMINISTRATOR)).purged == 0


async def test_a_restoration_that_is_run_again_purges_once(installation: Installation) -> None:
    search = await backed_up(installation)
    async with open_core(installation.settings) as core:
        assert (await purge_keeper_for(core).purge_due(ADMINISTRATOR)).purged == 1
    assert (await lost_and_restored(installation)).purges_carried_out == 1
    async with open_core(installation.settings) as core:
        entries = [entry async for entry in core.vault.ledger.entries()]
        assert await restore_parts(core).purges.carry_out_again(entries) == (0, 0)
        assert await purge_of(core, search) is not None


@pytest.mark.parametrize("by_case", [True, False])
async def test_a_hold_that_was_placed_after_the_backup_stands_again(installation: Installation, by_case: bool) -> None:
    search = await backed_up(installation)
    order = HoldOrder(case_number=CASE) if by_case else HoldOrder(probe_id=search.probe_id)
    async with open_core(installation.settings) as core:
        hold = await retention_desk_for(core).holds.place(ADMINISTRATOR, order, "preservation letter")
    report = await lost_and_restored(installation)
    assert (report.purges_carried_out, report.holds_placed) == (0, 1)
    async with open_core(installation.settings) as core:
        assert (await purge_keeper_for(core).purge_due(ADMINISTRATOR)).purged == 0
        desk = retention_desk_for(core)
        [standing] = await desk.holds.every(ADMINISTRATOR)
        assert (standing.hold_id, standing.probe_id) == (hold.hold_id, search.probe_id)
        await desk.holds.lift(ADMINISTRATOR, hold.hold_id, "over")
        assert (await purge_keeper_for(core).purge_due(ADMINISTRATOR)).purged == 1


async def test_a_hold_that_was_lifted_after_the_backup_is_lifted_again(installation: Installation) -> None:
    async with open_core(installation.settings) as core:
        search = await ended(core)
        hold = await retention_desk_for(core).holds.place(
            ADMINISTRATOR, HoldOrder(probe_id=search.probe_id), "preservation letter"
        )
        await Backup(core.database, core.vault, core.audit, installation.kafka, core.clock, "operator").run(
            installation.folder / "backup", silent
        )
        await retention_desk_for(core).holds.lift(ADMINISTRATOR, hold.hold_id, "over")
    await lost_and_restored(installation)
    async with open_core(installation.settings) as core:
        assert await retention_desk_for(core).holds.every(ADMINISTRATOR) == []
        assert (await purge_keeper_for(core).purge_due(ADMINISTRATOR)).purged == 1


async def test_orders_that_were_not_carried_out_by_the_backup_are_good_for_nothing(installation: Installation) -> None:
    """They may have been carried out since: nobody knows that any more (P17, P30)."""
    async with open_core(installation.settings) as core:
        now = core.clock.now()
        two: dict[str, Any] = {"asked_by": "a", "asked_at": now, "approved_by": "b", "approved_at": now}
        async with core.database.write() as tx:
            for ended in (None, now):
                name = f"ended {ended}"
                export = ExportOrderRecord(
                    order_id=name, gallery="city", with_pictures=True, reason="r", finished_at=ended, **two
                )
                await EXPORT_ORDERS.add(tx, export)
                disclosure = DisclosureOrderRecord(
                    order_id=name, lead_ids=["a lead"], court_order="order 26-7", made_at=ended, **two
                )
                await DISCLOSURE_ORDERS.add(tx, disclosure)
    await backed_up(installation)
    await lost_and_restored(installation)
    async with open_core(installation.settings) as core, core.database.read() as tx:
        exports, disclosures = await EXPORT_ORDERS.newest(tx, 9), await DISCLOSURE_ORDERS.newest(tx, 9)
    assert [one.order_id for one in exports] == [f"ended {now}"]
    assert [one.order_id for one in disclosures] == [f"ended {now}"]


async def test_a_purge_that_failed_before_a_hold_was_placed_is_not_carried_out(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was in the ledger already when the database went away; then somebody held what was still there."""
    search = await backed_up(installation)
    async with open_core(installation.settings) as core:

        async def fail(*_arguments: object) -> None:
            raise UnavailableError("the database went away")

        with monkeypatch.context() as patched:
            patched.setattr(purges, "add", fail)
            with pytest.raises(UnavailableError):
                await Purger(retention_parts(core)).purge(search.probe_id)
        holds = retention_desk_for(core).holds
        await holds.place(ADMINISTRATOR, HoldOrder(probe_id=search.probe_id), "preservation letter")
    report = await lost_and_restored(installation)
    assert (report.purges_carried_out, report.holds_placed) == (0, 1)
    async with open_core(installation.settings) as core:
        async with core.database.read() as tx:
            key = await core.vault.key_of(tx, search.still)
        assert await core.vault.unseal(search.still, key) == b"the bytes of a still"


async def test_a_hold_on_what_the_restoration_purged_is_refused(installation: Installation) -> None:
    search = await backed_up(installation)
    async with open_core(installation.settings) as core:
        assert (await purge_keeper_for(core).purge_due(ADMINISTRATOR)).purged == 1
    await lost_and_restored(installation)
    async with open_core(installation.settings) as core:
        with pytest.raises(PolicyRefusalError, match="nothing left to hold"):
            await retention_desk_for(core).holds.place(ADMINISTRATOR, HoldOrder(probe_id=search.probe_id), "a letter")


async def test_a_purge_that_was_interrupted_after_its_commit_is_finished(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process died between the commit and the deletion: the next one deletes the bytes and says so."""
    search = await backed_up(installation)
    async with open_core(installation.settings) as core:

        async def die(*_keys: str) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(core.vault, "delete", die)
            with pytest.raises(KeyboardInterrupt):
                await purge_keeper_for(core).purge_due(ADMINISTRATOR)
        assert (installation.objects / search.still).is_file()
    async with open_core(installation.settings) as core:
        await purge_keeper_for(core).purge_due(ADMINISTRATOR)
        assert not (installation.objects / search.still).exists()
        record = await purge_of(core, search)
        assert record is not None
        assert record.bytes_gone_at is not None
