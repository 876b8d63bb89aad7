"""An installation that is lost and comes back: with everything that was there, and without what was removed."""

import asyncio
import hashlib
import json
import shutil
from collections import defaultdict
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update
from structlog.testing import capture_logs

from rtcc_bridge.app.foundation import open_core
from rtcc_bridge.app.upkeep import restore_parts
from rtcc_bridge.broker.client import EventProducer
from rtcc_bridge.broker.group_offsets import committed_offsets
from rtcc_bridge.broker.reading import read_to_end
from rtcc_bridge.clock import SystemClock
from rtcc_bridge.errors import ConfigurationError, ConflictError, IntegrityError, NotFoundError, UnavailableError
from rtcc_bridge.gallery.compact import SegmentCompactor
from rtcc_bridge.gallery.verify import GalleryVerifier
from rtcc_bridge.policy.accounts import DEMO_ACCOUNTS
from rtcc_bridge.settings import KafkaSettings
from rtcc_bridge.storage import (
    audit_entries,
    galleries,
    incidents,
    leads,
    outbox,
    processes,
    restorations,
    table_dump,
)
from rtcc_bridge.storage.galleries import RemovalKind
from rtcc_bridge.storage.tables import processes as processes_table
from rtcc_bridge.upkeep import restore as restore_module
from rtcc_bridge.upkeep.backup import Backup, BackupReport
from rtcc_bridge.upkeep.restore import POSITIONS_LEFT_OUT, VERSIONS_LEFT_OUT, Restore, RestoreReport
from tests.gallery_kit import stored_template_of
from tests.integration.installation import (
    GALLERY,
    Installation,
    enroll,
    expunge,
    living,
    picture_of,
    publish,
    record_lead,
    silent,
    templates,
)
from tests.integration.pipeline import Recorder, running, until
from tests.lead_parts import probe_record
from tests.ports import free_port

NOW = SystemClock().now()


@pytest.fixture
def installation(tmp_path: Path, database_url: str, kafka: KafkaSettings) -> Installation:
    return Installation(tmp_path, database_url, kafka)


async def back_up(installation: Installation, progress: Callable[[str, int, int], None] = silent) -> BackupReport:
    async with open_core(installation.settings) as core:
        backup = Backup(core.database, core.vault, core.audit, installation.kafka, core.clock, "operator")
        return await backup.run(installation.folder / "backup", progress)


class ExpungedAtSnapshots:
    """Follows a backup, and expunges the next person each time that it has read the database and copied nothing."""

    def __init__(self, installation: Installation, *names: str) -> None:
        self._installation = installation
        self._left = list(names)

    def __call__(self, what: str, done: int, _total: int) -> None:
        if (what, done) == ("segments", 0) and self._left:
            beside(self._expunge(self._left.pop(0)))

    async def _expunge(self, name: str) -> None:
        async with open_core(self._installation.settings) as core:
            assert (await expunge(core, name)).bytes_gone


async def restore(
    installation: Installation, progress: Callable[[str, int, int], None] = silent, **options: Any
) -> RestoreReport:
    async with open_core(installation.settings, restoring=True) as core:
        folder = installation.folder / "backup"
        return await Restore(restore_parts(core), folder, "administrator").run(progress, **options)


def beside(work: Coroutine[Any, Any, None]) -> None:
    """Does it as another process would; the caller's event loop stands still meanwhile."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work).result()


async def lead_events(kafka: KafkaSettings) -> Mapping[str, Mapping[int, set[str]]]:
    """For each lead and sequence number the contents that were ever published."""
    found: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
    async for record in read_to_end(kafka, kafka.topics.leads):
        event = json.loads(record.value)
        found[event["data"]["leadId"]][event["data"]["sequence"]].add(event["id"])
    return found


async def test_what_was_removed_after_the_backup_stays_removed_and_every_event_has_its_effect_once(
    installation: Installation, producer: EventProducer, tmp_path: Path
) -> None:
    async with open_core(installation.settings) as core:
        await enroll(core, tmp_path / "people", ada=["ada"], ben=["ben"])
        await installation.report(producer, "I-1", "I-2")
        await installation.consume(core, 2)
        listing_both = probe_record(NOW, incident_id="I-1")
        listing_ben = probe_record(NOW, incident_id="I-1")
        both = await record_lead(core, listing_both, "ada", "ben")
        ben = await record_lead(core, listing_ben, "ben")
        await publish(core)
        pictures = {name: await picture_of(core, name) for name in ("ada", "ben")}
    await back_up(installation)

    async with open_core(installation.settings) as core:
        await core.leads.acknowledge(ben.lead_id, DEMO_ACCOUNTS["analyst"])
        assert (await expunge(core, "ada")).leads_withdrawn == 1
        after = await record_lead(core, probe_record(NOW, incident_id="I-2"), "ben")
        await installation.report(producer, "I-3")
        await installation.consume(core, 3)
        await publish(core)
        async with core.database.read() as tx:
            lost_position = await outbox.latest_position(tx)
    published = await lead_events(installation.kafka)
    await installation.destroy_database()

    report = await restore(installation)
    assert (report.removals_carried_out, report.unknown_galleries) == (1, 0)
    assert (report.leads.taken_over, report.leads.withdrawn) == (2, 1)
    async with open_core(installation.settings) as core:
        assert await living(core) == {"ben"}
        assert (await templates(core) == stored_template_of("ada")).all(axis=1).sum() == 0
        assert (await templates(core) == stored_template_of("ben")).all(axis=1).sum() == 1
        async with core.database.read() as tx:
            with pytest.raises(NotFoundError, match="destroyed"):
                await core.vault.key_of(tx, pictures["ada"])
            kept = await core.vault.key_of(tx, pictures["ben"])
            head = await galleries.find(tx, GALLERY)
            assert await leads.find(tx, after.lead_id) is None
            states = {lead: await leads.find(tx, lead) for lead in (both.lead_id, ben.lead_id)}
            made, audited = await audit_entries.by_subject(tx, f"backup/{report.backup_id}")
            assert made.action == "system.backed_up"
            assert await outbox.oldest_position(tx) > POSITIONS_LEFT_OUT > lost_position
        assert await core.vault.unseal(pictures["ben"], kept) == b"ben"
        assert not (installation.objects / pictures["ada"]).exists()
        assert head is not None
        assert head.version > VERSIONS_LEFT_OUT
        assert audited.outcome == "restored"
        withdrawn, acknowledged = states[both.lead_id], states[ben.lead_id]
        assert withdrawn is not None
        assert acknowledged is not None
        assert (withdrawn.review_state, withdrawn.sequence) == ("withdrawn", 2)
        assert (acknowledged.sequence, acknowledged.acknowledged_at is not None) == (3, True)
        again = await committed_offsets(
            installation.kafka, f"{installation.kafka.group_prefix}.consumer", (installation.kafka.topics.incidents,)
        )
        assert sum(again[installation.kafka.topics.incidents].values()) == 2
        async with core.database.read() as tx:
            assert await incidents.get(tx, "I-3") is None
        await installation.consume(core, 3)
        async with core.database.read() as tx:
            assert await incidents.count(tx) == 3
        await publish(core)

    events = await lead_events(installation.kafka)
    for lead_id, sequences in events.items():
        assert sorted(sequences) == list(range(1, len(sequences) + 1)), "gapless"
        assert all(len(ids) == 1 for ids in sequences.values()), "one content for each number"
        assert published.get(lead_id, {}).items() <= sequences.items()
    assert sorted(events[after.lead_id]) == [1, 2]


async def test_the_objects_come_back_too_and_those_of_the_removed_do_not(
    installation: Installation, tmp_path: Path
) -> None:
    async with open_core(installation.settings) as core:
        await enroll(core, tmp_path / "people", ada=["ada"], ben=["ben"])
        pictures = {name: await picture_of(core, name) for name in ("ada", "ben")}
    report = await back_up(installation)
    assert report.objects == 3
    async with open_core(installation.settings) as core:
        await expunge(core, "ada")
    await installation.destroy_database()
    for kind in ("gallery-picture", "gallery-segment", "picture", "portrait"):
        shutil.rmtree(installation.objects / kind, ignore_errors=True)
    for picture in pictures.values():
        assert not (installation.objects / picture).exists()

    await restore(installation)
    async with open_core(installation.settings) as core:
        assert await living(core) == {"ben"}
        async with core.database.read() as tx:
            kept = await core.vault.key_of(tx, pictures["ben"])
        assert await core.vault.unseal(pictures["ben"], kept) == b"ben"
        assert not (installation.objects / pictures["ada"]).exists()
        assert (await templates(core) == stored_template_of("ben")).all(axis=1).sum() == 1


async def test_a_backup_during_which_somebody_is_expunged_can_be_restored(
    installation: Installation, tmp_path: Path
) -> None:
    async with open_core(installation.settings) as core:
        await enroll(core, tmp_path / "people", ada=["ada"], ben=["ben"], cat=["cat"])
    await back_up(installation, ExpungedAtSnapshots(installation, "ada", "cat"))
    await installation.destroy_database()
    shutil.rmtree(installation.objects / "gallery-segment")
    await restore(installation)
    async with open_core(installation.settings) as core:
        assert await living(core) == {"ben"}
        assert (await templates(core) == stored_template_of("ben")).all(axis=1).sum() == 1


async def test_a_backup_that_expungements_overtake_each_time_says_so_and_leaves_nothing(
    installation: Installation, tmp_path: Path
) -> None:
    names = [f"person-{number}" for number in range(6)]
    async with open_core(installation.settings) as core:
        await enroll(core, tmp_path / "people", **{name: [name] for name in names})
    with pytest.raises(UnavailableError, match="take the backup again"):
        await back_up(installation, ExpungedAtSnapshots(installation, *names))
    assert not [path for path in installation.folder.iterdir() if path.name.startswith("backup")]


async def test_an_object_that_was_destroyed_after_the_backup_stays_destroyed(installation: Installation) -> None:
    async with open_core(installation.settings) as core:
        gone, kept = await core.vault.seal("picture", b"purged"), await core.vault.seal("picture", b"kept")
        async with core.database.write() as tx:
            await core.vault.record(tx, gone, kept)
    await back_up(installation)
    async with open_core(installation.settings) as core, core.database.write() as tx:
        await core.vault.destroy(tx, gone.object_key)
        # Its bytes stay where they are, as after a process that died between the two.
    await installation.destroy_database()

    report = await restore(installation)
    assert report.keys_destroyed == 1
    async with open_core(installation.settings) as core:
        async with core.database.read() as tx:
            with pytest.raises(NotFoundError, match="destroyed"):
                await core.vault.key_of(tx, gone.object_key)
            key = await core.vault.key_of(tx, kept.object_key)
        assert await core.vault.unseal(kept.object_key, key) == b"kept"
    assert not (installation.objects / gone.object_key).exists()


async def test_a_broker_that_is_not_there_is_named(installation: Installation) -> None:
    address = f"127.0.0.1:{free_port()}"
    away = replace(installation, kafka=installation.kafka.model_copy(update={"bootstrap_servers": (address,)}))
    with pytest.raises(UnavailableError, match=f"no broker answers at {address}"):
        await back_up(away)


async def test_somebody_who_was_enrolled_and_expunged_after_the_backup_is_kept_out(
    installation: Installation, tmp_path: Path
) -> None:
    async with open_core(installation.settings) as core:
        await enroll(core, tmp_path / "people", ben=["ben"])
    await back_up(installation)
    async with open_core(installation.settings) as core:
        await enroll(core, tmp_path / "later", eve=["eve"])
        await expunge(core, "eve")
    await installation.destroy_database()
    await restore(installation)
    async with open_core(installation.settings) as core:
        await enroll(core, tmp_path / "again", eve=["eve"])
        assert await living(core) == {"ben"}


async def test_without_the_ledger_nothing_is_restored_unless_a_reason_is_recorded(
    installation: Installation, tmp_path: Path
) -> None:
    async with open_core(installation.settings) as core:
        await enroll(core, tmp_path / "people", ada=["ada"], ben=["ben"], cat=["cat"])
        await expunge(core, "cat")
    await back_up(installation)
    async with open_core(installation.settings) as core:
        await expunge(core, "ada")
    await installation.destroy_database()
    shutil.rmtree(installation.objects)
    with pytest.raises(ConflictError, match="--without-removals-ledger"):
        await restore(installation)

    report = await restore(installation, without_ledger="the array burnt")
    async with open_core(installation.settings) as core:
        assert await living(core) == {"ada", "ben"}
        async with core.database.read() as tx:
            made, audited = await audit_entries.by_subject(tx, f"backup/{report.backup_id}")
            assert made.action == "system.backed_up"
            head = await galleries.find(tx, GALLERY)
            assert head is not None
        assert audited.outcome == "restored_without_ledger"
        assert audited.entry["details"]["ledgerMissingBecause"] == "the array burnt"


async def test_a_ledger_that_lost_an_entry_is_noticed(installation: Installation, tmp_path: Path) -> None:
    async with open_core(installation.settings) as core:
        await enroll(core, tmp_path / "people", ada=["ada"], ben=["ben"])
        await expunge(core, "ada")
    await back_up(installation)
    await installation.destroy_database()
    next((installation.objects / "removals/entries").iterdir()).unlink()
    with pytest.raises(ConflictError, match="lacks 1 entries"):
        await restore(installation)


async def test_nobody_works_with_a_database_whose_restoration_was_interrupted(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_core(installation.settings) as core:
        await enroll(core, tmp_path / "people", ada=["ada"], ben=["ben"])
    await back_up(installation)
    async with open_core(installation.settings) as core:
        await expunge(core, "ada")
    await installation.destroy_database()

    async def dies(*_: object) -> None:
        raise ConnectionResetError

    with monkeypatch.context() as patched:
        patched.setattr(Restore, "_remove_again", dies)
        with pytest.raises(ConnectionResetError):
            await restore(installation)
    with pytest.raises(ConfigurationError, match="was not finished"):
        async with open_core(installation.settings):
            raise AssertionError

    await restore(installation)
    async with open_core(installation.settings) as core:
        assert await living(core) == {"ben"}
        async with core.database.read() as tx:
            assert await galleries.removed_digests(tx, GALLERY, RemovalKind.SUBJECT, ["x"]) == set()


async def test_nothing_is_restored_while_a_process_of_the_daemon_works_with_the_database(
    installation: Installation, tmp_path: Path
) -> None:
    async with open_core(installation.settings) as core:
        await enroll(core, tmp_path / "people", ben=["ben"])
    await back_up(installation)
    await installation.destroy_database()
    async with open_core(installation.settings) as core:
        async with core.database.write() as tx:
            await processes.report(tx, "started-anew", ("relay", "web"), {})
        with pytest.raises(ConflictError, match=r"\(relay, web\).*stop them all"):
            await restore(installation)
        async with core.database.write() as tx:
            assert await table_dump.is_empty(tx)
            assert await restorations.unfinished(tx) is None
            early = (await tx.execute(select(processes_table.c.seen_at))).scalar_one().replace(year=2000)
            await tx.execute(update(processes_table).values(seen_at=early))
    await restore(installation)


@pytest.mark.postgresql
async def test_a_process_that_starts_while_rows_are_loaded_is_noticed(
    installation: Installation, tmp_path: Path
) -> None:
    async with open_core(installation.settings) as core:
        await enroll(core, tmp_path / "people", ben=["ben"])
    await back_up(installation)
    await installation.destroy_database()

    async def start() -> None:
        async with open_core(installation.settings) as core, core.database.write() as tx:
            await processes.report(tx, "started-anew", ("web",), {})

    def progress(what: str, done: int, _total: int) -> None:
        if (what, done) == ("tables", 0):
            beside(start())

    with pytest.raises(ConflictError, match="stop them all"):
        await restore(installation, progress)
    async with open_core(installation.settings) as core, core.database.read() as tx:
        assert await table_dump.is_empty(tx)


async def test_nothing_is_restored_while_a_consumer_group_has_members(
    installation: Installation, tmp_path: Path
) -> None:
    async with open_core(installation.settings) as core:
        await enroll(core, tmp_path / "people", ben=["ben"])
    await back_up(installation)
    await installation.destroy_database()
    kafka = installation.kafka
    recorder = Recorder()
    async with running(kafka, {kafka.topics.incidents: recorder}), EventProducer(kafka) as producer:
        await installation.report(producer, "I-1")
        await until(lambda: bool(recorder.handled))
        with pytest.raises(ConflictError, match="has members"):
            await restore(installation)
    async with open_core(installation.settings) as core, core.database.read() as tx:
        assert await table_dump.is_empty(tx)
    await restore(installation)


async def test_data_is_never_restored_over_other_data(installation: Installation, tmp_path: Path) -> None:
    async with open_core(installation.settings) as core:
        await enroll(core, tmp_path / "people", ben=["ben"])
    await back_up(installation)
    with pytest.raises(ConflictError, match="holds data"):
        await restore(installation)


@pytest.mark.parametrize("file", ["tables/subjects.jsonl", "objects.jsonl", "ledger.jsonl", "an object"])
async def test_an_altered_backup_is_refused(installation: Installation, tmp_path: Path, file: str) -> None:
    async with open_core(installation.settings) as core:
        await enroll(core, tmp_path / "people", ada=["ada"], ben=["ben"])
        await expunge(core, "ada")
    await back_up(installation)
    await installation.destroy_database()
    folder = installation.folder / "backup"
    path = next((folder / "objects").glob("*/*")) if file == "an object" else folder / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    if file == "an object":
        (installation.objects / path.relative_to(folder / "objects")).unlink()
    with pytest.raises(IntegrityError, match="altered"):
        await restore(installation)


def sign_anew(folder: Path, name: str, content: bytes) -> None:
    """Alters a file of a backup and whatever tells its sha256, as somebody can who may write there."""
    manifest = json.loads((folder / "manifest.json").read_bytes())
    (folder / name).write_bytes(content)
    (entry,) = [one for one in manifest["files"] if one["name"] == name]
    entry["sha256"] = hashlib.sha256(content).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("name", ["removals/ledger.json", "removals/entries/x", "../x", "gallery-picture/..", "a/b/c"])
async def test_a_doctored_list_of_objects_writes_nothing_but_objects(
    installation: Installation, tmp_path: Path, name: str
) -> None:
    async with open_core(installation.settings) as core:
        await enroll(core, tmp_path / "people", ben=["ben"])
    await back_up(installation)
    await installation.destroy_database()
    folder = installation.folder / "backup"
    forged = {"object_key": name, "size_bytes": 1, "sha256": "0" * 64}
    sign_anew(folder, "objects.jsonl", json.dumps(forged).encode() + b"\n")
    with pytest.raises(IntegrityError, match="was altered"):
        await restore(installation)
    async with open_core(installation.settings) as core, core.database.read() as tx:
        assert await table_dump.is_empty(tx)


async def test_a_backup_that_was_altered_as_a_whole_is_noticed_by_the_sha256_of_its_manifest(
    installation: Installation, tmp_path: Path
) -> None:
    async with open_core(installation.settings) as core:
        await enroll(core, tmp_path / "people", ben=["ben"])
    report = await back_up(installation)
    await installation.destroy_database()
    folder = installation.folder / "backup"
    kept = (folder / "manifest.json").read_bytes()
    sign_anew(folder, "tables/subjects.jsonl", b"")
    with pytest.raises(IntegrityError, match="does not have the sha256"):
        await restore(installation, manifest_sha256=report.manifest_sha256)
    (folder / "manifest.json").write_bytes(kept)
    with pytest.raises(IntegrityError, match="altered"):
        await restore(installation, manifest_sha256=report.manifest_sha256)


async def test_an_object_that_was_damaged_in_the_store_is_replaced_by_its_copy(
    installation: Installation, tmp_path: Path
) -> None:
    async with open_core(installation.settings) as core:
        await enroll(core, tmp_path / "people", ben=["ben"])
        picture = await picture_of(core, "ben")
    made = await back_up(installation)
    await installation.destroy_database()
    damaged = bytearray((installation.objects / picture).read_bytes())
    damaged[-1] ^= 1
    (installation.objects / picture).write_bytes(damaged)
    report = await restore(installation, manifest_sha256=made.manifest_sha256.upper())
    assert (report.objects, report.objects_kept) == (1, 1)
    async with open_core(installation.settings) as core:
        async with core.database.read() as tx:
            key = await core.vault.key_of(tx, picture)
        assert await core.vault.unseal(picture, key) == b"ben"


async def test_a_backup_holds_no_plain_picture_and_no_master_key_and_is_for_the_owner_alone(
    installation: Installation, tmp_path: Path
) -> None:
    async with open_core(installation.settings) as core:
        await enroll(core, tmp_path / "people", ada=["very-plain-picture"])
    await back_up(installation)
    secret = (installation.folder / "master.key").read_bytes().strip()
    folder = installation.folder / "backup"
    files = [path for path in folder.rglob("*") if path.is_file()]
    for path in files:
        assert b"very-plain-picture" not in path.read_bytes()
        assert secret not in path.read_bytes()
        assert path.stat().st_mode & 0o077 == 0
    assert folder.stat().st_mode & 0o777 == 0o700
    assert files


async def test_what_a_killed_backup_left_is_named(installation: Installation) -> None:
    left = installation.folder / "yesterday.unfinished-0123abcd"
    left.mkdir()
    with capture_logs() as logs:
        await back_up(installation)
    assert [line["folder"] for line in logs if line["log_level"] == "warning"] == [str(left)]
    assert left.exists()


async def test_a_backup_that_fails_leaves_nothing(installation: Installation, tmp_path: Path) -> None:
    async with open_core(installation.settings) as core:
        await enroll(core, tmp_path / "people", ada=["ada"])
        (installation.objects / await picture_of(core, "ada")).unlink()
    with pytest.raises(IntegrityError, match="has a key and no bytes"):
        await back_up(installation)
    assert not [path for path in installation.folder.iterdir() if path.name.startswith("backup")]


def test_the_places_left_out_of_the_feed_fit_its_numbers() -> None:
    assert restore_module.POSITIONS_LEFT_OUT * 10**5 < 10**18


async def test_segments_that_were_merged_after_the_backup_come_back_without_whoever_was_removed(
    installation: Installation,
) -> None:
    """The ledger says that their keys were destroyed; what they held is sealed anew before they are taken away."""
    async with open_core(installation.settings) as core:
        await enroll(core, installation.folder / "first", ann=["ann-1"], bob=["bob-1"])
        await enroll(core, installation.folder / "second", cat=["cat-1"])
    await back_up(installation)
    async with open_core(installation.settings) as core:
        async with core.database.read() as tx:
            segments = await galleries.segments(tx, GALLERY, after=-1, up_to=100)
        assert await SegmentCompactor(core.database, core.vault, core.audit, core.clock)._merge(GALLERY, segments)
        await expunge(core, "ann")
    await installation.destroy_database()
    await restore(installation)
    async with open_core(installation.settings) as core:
        assert await living(core) == {"bob", "cat"}
        verifier = GalleryVerifier(core.database, core.vault)
        found = await verifier.verify(GALLERY, with_pictures=True, on_checked=silent)
        assert (found.segments, found.templates, found.pictures, found.findings) == (2, 2, 2, [])
