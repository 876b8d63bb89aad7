"""P24, proved from outside: bytes that were planted by a real upload are nowhere after their purge.

Looked at are the database's files, the object store, everything below the daemon's folder and its temporary one, the
memory of each process of the daemon, and the installation that a backup from before the purge is restored into.
"""

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from pydantic import SecretStr
from sqlalchemy import select, text, update

from rtcc_bridge.app.foundation import Core, open_core
from rtcc_bridge.demo.client import DemoClient
from rtcc_bridge.demo.pictures import portrait, rephotograph
from rtcc_bridge.matching.embed import open_embedder
from rtcc_bridge.matching.modelpack import ModelPack
from rtcc_bridge.matching.pipeline import FaceEmbedder
from rtcc_bridge.probes.stored_crop import open_crop
from rtcc_bridge.settings import DatabaseSettings
from rtcc_bridge.storage import corroborations, probes, releases, tables
from rtcc_bridge.storage.corroborations import CorroborationRecord
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.releases import ReceiverRecord
from tests.databases import TestServer
from tests.e2e.calls import URGENT, ClientOf, leads_of, on_floor, publish, until
from tests.e2e.conftest import Place
from tests.e2e.program import running_daemon
from tests.integration.installation import destroy_database
from tests.memory_scan import family, found_in_files, found_in_memory, windows

pytestmark = pytest.mark.timeout(240)

AGE = timedelta(days=40)


@dataclass(frozen=True)
class Planted:
    """What was searched, and everything of it by which it would be known. keys: the wrapped keys of its objects; names:
    of people in the rows that belong to its lead."""

    probe_id: str
    lead_id: str
    objects: tuple[str, ...]
    pieces: Mapping[str, bytes]
    keys: Mapping[str, bytes]
    names: Mapping[str, bytes]


def marked(picture: bytes) -> bytes:
    """The JPEG with a comment of bytes that nobody else has: what the decoder skips, and a copy of the file keeps."""
    comment = secrets.token_bytes(4096)
    return picture[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + picture[2:]


async def planted(core: Core, pack: ModelPack, probe_id: str, lead_id: str, still: bytes) -> Planted:
    """Reads back, with the keys, what the daemon has sealed, and makes the template that the matcher has made."""
    async with core.database.read() as tx:
        probe = await probes.find(tx, probe_id)
        query = select(tables.leads.c.candidates_object).where(tables.leads.c.lead_id == lead_id)
        listed = (await tx.execute(query)).scalar_one()
        assert probe is not None
        objects = tuple(name for name in (probe.original_object, probe.crop_object, listed) if name is not None)
        keys = {name: await core.vault.key_of(tx, name) for name in objects}
    contents = {name: await core.vault.unseal(name, keys[name]) for name in objects}
    assert contents[objects[0]] == still
    embedder = FaceEmbedder(await asyncio.to_thread(open_embedder, pack))
    template = embedder.templates([await open_crop(core.database, core.vault, probe)])
    assert template.dtype == np.float32
    pieces = {
        **windows("the still", still),
        **windows("the crop", contents[objects[1]], 48),
        **windows("the list", contents[objects[2]], 48, 4),
        **windows("the template", template.tobytes(), 32, 8),
    }
    for what in ("still", "crop", "list", "template"):
        assert any(name.startswith(f"the {what}") for name in pieces)
    wrapped = {f"the key of {name}": key.wrapped_key for name, key in keys.items()}
    return Planted(probe_id, lead_id, objects, pieces, wrapped, await named(core, lead_id))


async def named(core: Core, lead_id: str) -> Mapping[str, bytes]:
    """Writes down, as after a release, who had the lead and who said what came of it: names that nobody else bears."""
    names = {who: f"{who} {secrets.token_hex(16)}" for who in ("receiver", "investigator", "reporter")}
    now = core.clock.now()
    received = ReceiverRecord(lead_id=lead_id, account=names["receiver"], received_at=now)
    report = CorroborationRecord(
        corroboration_id=secrets.token_hex(16),
        lead_id=lead_id,
        outcome="unresolved",
        evidence=[],
        investigator=names["investigator"],
        reported_by=names["reporter"],
        reported_at=now,
    )
    async with core.database.write() as tx:
        await releases.add_receiver(tx, received)
        await corroborations.add(tx, report)
    return {who: name.encode() for who, name in names.items()}


async def grow_old(core: Core, planted: Planted) -> None:
    """Everything about the search happened so long ago."""
    for table, column, value in (
        (tables.probes, tables.probes.c.probe_id, planted.probe_id),
        (tables.leads, tables.leads.c.lead_id, planted.lead_id),
    ):
        async with core.database.write() as tx:
            row = (await tx.execute(select(table.c.created_at, table.c.updated_at).where(column == value))).one()
            older: dict[str, Any] = {"created_at": row.created_at - AGE, "updated_at": row.updated_at - AGE}
            await tx.execute(update(table).where(column == value).values(older))


async def workers_of(daemon: int) -> frozenset[int]:
    return frozenset(family(daemon)[1:])


@pytest.fixture
async def scratch(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary folder of every process that is started from here."""
    folder = tmp_path_factory.mktemp("scratch")
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


@pytest.fixture
async def server_folder(database_url: str, database_server: TestServer | None) -> Path | None:
    """Where PostgreSQL keeps everything; None on SQLite, whose file lies in the daemon's folder."""
    if database_server is None:
        return None
    database = Database(DatabaseSettings(url=SecretStr(database_url)))
    try:
        async with database.read() as tx:
            return Path((await tx.execute(text("SHOW data_directory"))).scalar_one())
    finally:
        await database.close()


async def test_what_was_purged_is_nowhere(
    enrolled_place: Place,
    default_pack: ModelPack,
    http: aiohttp.ClientSession,
    client_of: ClientOf,
    scratch: Path,
    server_folder: Path | None,
) -> None:
    place = enrolled_place
    place.changes["intake"] = {"worker_rest_seconds": 3.0}
    client = client_of(place)
    still = marked(rephotograph(portrait()))
    async with running_daemon(place.settings_file, place.address, place.log, real_workers=True) as daemon:
        before = await workers_of(daemon.process_id)
        probe_id, lead_id = await searched(client, http, place, still)
        in_workers = [
            found
            for worker in await workers_of(daemon.process_id)
            for found in found_in_memory(windows("the still", still), worker)
        ]
        assert in_workers, "the scan finds what is there: a worker that has just read the still"
        async with open_core(place.settings) as core:
            known = await planted(core, default_pack, probe_id, lead_id, still)
            assert all((place.objects / name).is_file() for name in known.objects)
            if server_folder is not None:  # the newest rows may be in the server's memory alone
                async with core.database.write() as tx:
                    await tx.execute(text("CHECKPOINT"))
            found = in_files(known, place.folder, server_folder)
            assert all(any(name in one for one in found) for name in (*known.keys, *known.names))
            code, output = await place.command("backup", str(place.folder / "backup"))
            assert code == 0, output
            await client.post(f"leads/{lead_id}/withdraw", "supervisor", {"reason": "another camera"})
            await grow_old(core, known)
        code, output = await place.command("retention", "preview")
        assert code == 0, output
        assert probe_id in output
        code, output = await place.command("retention", "run", "--yes")
        assert (code, "1 searches purged" in output) == (0, True), output
        await until(lambda: _are_replaced(daemon.process_id, before))
        await until(lambda: _has_forgotten(daemon.process_id, known))
        for process_id in family(daemon.process_id):
            assert found_in_memory(known.pieces, process_id) == []
        assert not any((place.objects / name).exists() for name in known.objects)
        backup = place.folder / "backup"
        left = in_files(after_purge(known, server_folder), place.folder, server_folder, scratch)
        assert [one for one in left if not _is_a_name_in(backup, one)] == []
        code, output = await place.command("retention", "receipts")
        assert probe_id in output
        code, output = await place.command("retention", "hold", "--probe", probe_id, "--reason", "a letter")
        assert (code, "nothing left to hold" in output) == (4, True)
    await destroy_database(place.database_url, place.folder)
    code, output = await place.command("restore", str(backup))
    assert (code, "1 purges of searches" in output) == (0, True), output
    left = in_files(after_purge(known, server_folder), place.folder, server_folder, scratch)
    assert [one for one in left if not _is_a_name_in(backup, one)] == []
    assert not any((place.objects / name).exists() for name in known.objects)
    database = Database(DatabaseSettings(url=SecretStr(place.database_url)))
    try:
        async with database.read() as tx:
            row = (await tx.execute(select(tables.probes).where(tables.probes.c.probe_id == probe_id))).one()
            assert (row.purged_at is not None, row.case_number, row.faces) == (True, "", None)
            keys = await tx.execute(text("SELECT object_key FROM object_keys"))
            assert not set(known.objects) & {one.object_key for one in keys}
    finally:
        await database.close()


async def searched(client: DemoClient, http: aiohttp.ClientSession, place: Place, still: bytes) -> tuple[str, str]:
    """A search on the still that found the enrolled person; the ids of probe and lead."""
    incident = await publish(place, threat=True)
    await on_floor(client, incident)
    probe = await client.attach(incident, URGENT, still, "still.jpg")
    probe_id = str(probe["probeId"])
    await client.choose(probe_id, probe["faces"][0]["number"])
    found: list[str] = []

    async def has_lead() -> bool:
        found[:] = [str(lead["data"]["leadId"]) for lead in await leads_of(http, place, probe_id)]
        return bool(found)

    await until(has_lead)
    return probe_id, found[0]


def in_files(known: Planted, *folders: Path | None) -> list[str]:
    return found_in_files({**known.pieces, **known.keys, **known.names}, *filter(None, folders))


def after_purge(known: Planted, server_folder: Path | None) -> Planted:
    """What must be nowhere then. A wrapped key, or a name, stays in PostgreSQL's files until it uses the room
    (docs/retention.md); what it was the key of is gone."""
    return known if server_folder is None else replace(known, keys={}, names={})


def _is_a_name_in(backup: Path, found: str) -> bool:
    """A backup of before holds rows in the clear until it is deleted (docs/retention.md)."""
    return any(found.startswith(f"{who} in {backup}/tables/") for who in ("receiver", "investigator", "reporter"))


async def _are_replaced(daemon: int, before: frozenset[int]) -> bool:
    """Whether the workers that read the still have ended, and others are there."""
    now = await workers_of(daemon)
    return bool(now) and not now & before


async def _has_forgotten(daemon: int, known: Planted) -> bool:
    """A matcher forgets faces when it rests; everything else is asserted, not waited for."""
    templates: Mapping[str, bytes] = {name: one for name, one in known.pieces.items() if "the template" in name}
    return not found_in_memory(templates, daemon)
