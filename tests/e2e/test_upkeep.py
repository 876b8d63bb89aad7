"""Rotation of the master key, backup and restoration by command, beside a daemon and without one."""

import asyncio
import base64
import json
from functools import partial
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from rtcc_bridge.app.foundation import open_core
from rtcc_bridge.broker.client import EventProducer
from rtcc_bridge.commands.console import EXIT_CONFIGURATION, EXIT_FAILED, EXIT_REJECTED, EXIT_UNAVAILABLE
from rtcc_bridge.demo.client import CallError
from rtcc_bridge.demo.pictures import portrait, rephotograph
from rtcc_bridge.storage.objects import SealedObject
from tests.e2e.calls import URGENT, ClientOf, choose_on_threat, leads_of, on_floor, publish, until
from tests.e2e.conftest import Place
from tests.e2e.program import running_daemon
from tests.integration.installation import destroy_database
from tests.transit_server import TOKEN, TransitServer, transit_server

MASTER_KEY_VARIABLE = "RTCC_BRIDGE_OBJECTS__MASTER_KEY"


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


async def test_keys_of_the_environment_are_wrapped_anew_after_the_operator_has_set_a_new_one(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (base64.b64encode(fill * 32).decode() for fill in (b"a", b"b"))
    place.changes["objects"] = {"master_key_file": None}
    monkeypatch.setenv(MASTER_KEY_VARIABLE, first)
    sealed = await sealed_objects(place, 2)
    code, output = await place.command("keys", "rotate")
    assert (code, "`rtcc-bridge keys rotate --no-new-key`" in output) == (EXIT_CONFIGURATION, True), output
    monkeypatch.setenv(MASTER_KEY_VARIABLE, f"{second} {first}")
    assert (await key_status(place))["left"] == 2
    for count in (2, 0):
        assert f"{count} object keys are wrapped anew" in await done(place, "keys", "rotate", "--no-new-key")
    monkeypatch.setenv(MASTER_KEY_VARIABLE, second)
    assert (await key_status(place))["left"] == 0
    await require_readable(place, sealed)


async def test_a_key_management_service_that_goes_away_is_told_in_one_sentence(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed = await sealed_objects(place, 3)
    monkeypatch.setattr("tests.transit_server.TransitServer", LeavingServer)
    async with transit_server() as server:
        beside = {"transit_url": server.address, "transit_token": TOKEN}
        place.changes["objects"] = beside
        code, output = await place.command("keys", "rotate")
        assert code == EXIT_UNAVAILABLE, output
        assert sentences(output) == ["error: the key management service answered encrypt/rtcc-bridge with 503"]
        assert server.fail_with is not None, "it was there until it had to wrap"
    code, output = await place.command("keys", "rotate")
    assert code == EXIT_UNAVAILABLE, output
    assert sentences(output) == ["error: the key management service does not answer: ClientConnectorError"]
    place.changes["objects"] = dict.fromkeys(beside)
    await require_readable(place, sealed)


class LeavingServer(TransitServer):
    """Is away from the moment that it has to wrap a key."""

    async def encrypt(self, request: web.Request) -> web.Response:
        self.fail_with = 503
        return web.json_response({"errors": []}, status=503)


async def sealed_objects(place: Place, count: int) -> list[SealedObject]:
    async with open_core(place.settings) as core:
        sealed = [await core.vault.seal("picture", b"a picture") for _ in range(count)]
        async with core.database.write() as tx:
            await core.vault.record(tx, *sealed)
    return sealed


async def require_readable(place: Place, objects: list[SealedObject]) -> None:
    async with open_core(place.settings) as core:
        for sealed in objects:
            async with core.database.read() as tx:
                key = await core.vault.key_of(tx, sealed.object_key)
            assert await core.vault.unseal(sealed.object_key, key) == b"a picture"


def sentences(output: str) -> list[str]:
    """What a command says beside its log."""
    return [line for line in output.splitlines() if not line.startswith("{")]


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
    code, output = await place.command("dead-letters", "replay", "--reason", "not_json")
    assert (code, "its record is not on" in output) == (EXIT_FAILED, True), output
    put_back = await done(place, "dead-letters", "replay", "--reason", "not_json", "--unverified")
    assert f"0:0 put back on {topics.incidents}" in put_back
    assert "  replayed 2" in await done(place, "dead-letters", "list")
    code, output = await place.command("dead-letters", "replay", "0:0")
    assert (code, "--again" in output) == (EXIT_REJECTED, True), output


async def test_a_flooded_topic_is_paused_listed_and_resumed_and_the_other_one_goes_on_meanwhile(
    enrolled_place: Place, client_of: ClientOf
) -> None:
    place, client = enrolled_place, client_of(enrolled_place)
    topic = place.settings.kafka.topics.incidents
    place.changes["kafka"] = {"dead_letter_rate_limit": 3, "dead_letter_pause_seconds": 3600}
    async with running_daemon(place.settings_file, place.address, place.log):
        assert await done(place, "topics", "pauses") == ""
        async with EventProducer(place.settings.kafka) as producer:
            for _ in range(4):
                await producer.send(topic, key=b"k", value=b"{not json")
        listed = ""

        async def is_listed() -> bool:
            nonlocal listed
            listed = await done(place, "topics", "pauses")
            return listed != ""

        await until(is_listed)
        assert f"{topic}  paused " in listed
        assert ": more than 3 dead letters in 60 s; tried again by itself " in listed
        held_up = await publish(place, threat=False)
        await on_floor(client, await publish(place, threat=True))
        with pytest.raises(CallError):
            await client.incident(held_up)
        assert f"{topic} is resumed" in await done(place, "topics", "resume", topic)
        await on_floor(client, held_up)
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
