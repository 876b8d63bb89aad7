"""Rotation of the master key, backup and restoration by command, beside a daemon and without one."""

import asyncio
import json
from datetime import timedelta
from functools import partial
from typing import Any

import aiohttp
import pytest

from rtcc_bridge.broker.client import EventProducer
from rtcc_bridge.clock import SystemClock
from rtcc_bridge.commands.console import EXIT_CONFIGURATION, EXIT_REJECTED
from rtcc_bridge.demo.pictures import portrait, rephotograph
from rtcc_bridge.storage import topic_pauses
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.topic_pauses import TopicPause
from tests.e2e.calls import URGENT, ClientOf, choose_on_threat, leads_of, on_floor, publish, until
from tests.e2e.conftest import Place
from tests.e2e.program import running_daemon
from tests.integration.installation import destroy_database


async def done(place: Place, *arguments: str) -> str:
    code, output = await place.command(*arguments)
    assert code == 0, output
    return output


async def key_status(place: Place) -> dict[str, Any]:
    output = await done(place, "keys", "status", "--json")
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return found


async def test_keys_are_rotated_while_stills_come_in_and_are_searched(
    daemon: Place, http: aiohttp.ClientSession, client_of: ClientOf
) -> None:
    client = client_of(daemon)
    incident = await publish(daemon, threat=True)
    await on_floor(client, incident)
    early = await client.attach(incident, URGENT, rephotograph(portrait()), "still.jpg")
    before = await key_status(daemon)
    assert before["left"] == 0
    rotating = asyncio.create_task(daemon.command("keys", "rotate"))
    probes: list[str] = []
    while not rotating.done():
        probes.append(await choose_on_threat(client, incident))
    code, output = await rotating
    assert "wrapped anew" in output
    assert probes
    probes.append(await choose_on_threat(client, incident))
    await client.choose(early["probeId"], early["faces"][0]["number"])
    for probe in (*probes, early["probeId"]):
        await client.approve(probe)  # so many cannot all be deferrals
        await until(partial(_has_lead, http, daemon, probe))
    assert code == 0 or "still need" in output
    if (await key_status(daemon))["left"]:  # an upload that was under way added a key under the old one a moment later
        await done(daemon, "keys", "rotate")
    after = await key_status(daemon)
    assert (after["left"], list(after["objectKeys"])) == (0, [after["current"]])
    assert after["objectKeys"][after["current"]] > sum(before["objectKeys"].values())
    assert after["current"] != before["current"]
    assert len((daemon.folder / "master.key").read_text().split()) == 2


async def _has_lead(http: aiohttp.ClientSession, place: Place, probe_id: str) -> bool:
    return len(await leads_of(http, place, probe_id)) == 1


@pytest.mark.timeout(400)  # eight starts of the program, and members of groups that the broker has to drop first
async def test_an_installation_is_backed_up_lost_and_restored(enrolled_place: Place) -> None:
    place = enrolled_place
    folder = place.folder / "backups" / "one"
    async with running_daemon(place.settings_file, place.address, place.log):
        assert "sha256 of its manifest" in await done(place, "backup", str(folder))
    code, output = await place.command("backup", str(folder))
    assert (code, "exists already" in output) == (EXIT_REJECTED, True), output
    assert "1 images" in await done(place, "gallery", "expunge", "portrait-01", "--reason", "court order 7")
    code, output = await place.command("restore", str(folder))
    assert (code, "holds data" in output) == (EXIT_REJECTED, True), output
    await destroy_database(place.database_url, place.folder)
    restored = await done(place, "restore", str(folder))
    assert "carried out again: 1 expungements" in restored
    stats = await done(place, "gallery", "stats")
    assert "images: 0" in stats
    async with running_daemon(place.settings_file, place.address, place.log):
        assert "objects in the store" in await done(place, "keys", "sweep", "--dry-run")


async def test_letters_are_counted_looked_at_and_replayed_by_filter(place: Place) -> None:
    topics = place.settings.kafka.topics
    headers = [
        ("dlq-topic", topics.incidents.encode()), ("dlq-partition", b"0"), ("dlq-offset", b"7"),
        ("dlq-reason", b"not_json"),
        ("dlq-last-failure", b"2026-11-24T12:00:00Z"), ("x-own", b"\x1b[2Jclear"),
    ]  # fmt: skip
    async with EventProducer(place.settings.kafka) as producer:
        await producer.send(topics.dead_letters, key=b"k", value=b"secret \x1b[2J", headers=headers, partition=0)
    assert "not_json" in await done(place, "dead-letters", "count")
    looked_at = await done(place, "dead-letters", "inspect", "0:0")
    assert "secret" not in looked_at
    assert "personal data" in looked_at
    assert "\x1b" not in looked_at
    with_payload = await done(place, "dead-letters", "inspect", "0:0", "--payload")
    assert "secret" in with_payload
    assert "\x1b" not in with_payload
    assert "would be put back" in await done(place, "dead-letters", "replay", "--reason", "not_json", "--dry-run")
    assert f"0:0 put back on {topics.incidents}" in await done(place, "dead-letters", "replay", "--reason", "not_json")
    assert "  replayed 2" in await done(place, "dead-letters", "list")
    code, output = await place.command("dead-letters", "replay", "0:0")
    assert (code, "--again" in output) == (EXIT_REJECTED, True), output


async def test_a_paused_topic_is_listed_and_resumed(place: Place) -> None:
    topic, now = place.settings.kafka.topics.incidents, SystemClock().now()
    assert await done(place, "topics", "pauses") == ""
    database = Database(place.settings.database)
    async with database.write() as tx:
        ends_at = now + timedelta(hours=1)
        await topic_pauses.put(tx, TopicPause(topic=topic, paused_at=now, ends_at=ends_at, reason="a flood"))
    await database.close()
    assert f"{topic}  paused {now.isoformat()}: a flood" in await done(place, "topics", "pauses")
    assert f"{topic} is resumed" in await done(place, "topics", "resume", topic)
    assert await done(place, "topics", "pauses") == ""


async def test_a_topic_that_is_not_paused_says_so(place: Place) -> None:
    assert await done(place, "topics", "pauses") == ""
    code, output = await place.command("topics", "resume", "rtcc.incidents")
    assert (code, "is not paused" in output) == (EXIT_REJECTED, True), output


async def test_a_master_key_that_the_backup_needs_is_asked_for_first(enrolled_place: Place) -> None:
    place = enrolled_place
    folder = place.folder / "backup"
    await done(place, "backup", str(folder))
    await destroy_database(place.database_url, place.folder)
    (place.folder / "master.key").unlink()
    code, output = await place.command("restore", str(folder))
    assert (code, "is not configured" in output) == (EXIT_CONFIGURATION, True), output
