"""A few minutes of a busy floor, played to the demo's daemon: something for every panel to show."""

import asyncio
import random
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

import aiohttp

from rtcc_bridge.app.simulation import open_simulator
from rtcc_bridge.demo.client import Answer, CallError, DemoClient, ProbeRequest
from rtcc_bridge.demo.examiners import DemoExaminers
from rtcc_bridge.demo.pictures import portrait, rephotograph
from rtcc_bridge.demo.stage import Stage
from rtcc_bridge.demo.story import central_face
from rtcc_bridge.simulate import Simulator, incident_data, publish_incident, publish_threat, threat_data

EVENTS_PER_SECOND: Final = 6.0
SECONDS_BETWEEN_STILLS: Final = 3.0
SECONDS_BETWEEN_BAD_RECORDS: Final = 12.0
STILLS_FOR_ONE_RELEASE: Final = 5
"""The others wait for their examination, as they do where people are few."""
VIOLENT: Final = ProbeRequest("violent_offense", "Criminal investigation", "CASE-1")
THREAT: Final = ProbeRequest("imminent_threat", "Imminent threat to life", "CASE-2")


@dataclass(frozen=True, slots=True)
class Floor:
    """Who works on it."""

    client: DemoClient
    examiners: DemoExaminers
    outside: Simulator
    still: bytes
    chance: random.Random
    one_lead_at_a_time: asyncio.Lock

    async def incident(self, kind: str, *, threat: bool) -> str:
        """One that the floor knows."""
        name = f"DEMO-{secrets.token_hex(3)}"
        now = self.outside.clock.now()
        if threat:
            data = threat_data(f"{name}-alert", "Active shooter", now, incident_ids=(name,))
            await publish_threat(self.outside.producer, self.outside.topics, "alert", data)
        else:
            data = incident_data(name, kind, 1, now, location="Demonstration square")
            await publish_incident(self.outside.producer, self.outside.topics, "reported", data)
        async with asyncio.timeout(30):
            while True:
                try:
                    await self.client.incident(name)
                except CallError:
                    await asyncio.sleep(0.05)
                else:
                    return name

    async def one_still(self, *, threat: bool, released: bool) -> None:
        """From the upload to the acknowledged lead, or on to its release; people take their time."""
        incident = await self.incident("SHOOT", threat=threat)
        try:
            probe = await self.client.attach(incident, THREAT if threat else VIOLENT, self.still, "still.jpg")
        except CallError:  # on a machine that is busy other stills are being read: one search less on the pictures
            return
        probe = await self.client.choose(probe["probeId"], central_face(probe))
        await asyncio.sleep(self.chance.uniform(1, 12))
        await self._approve(probe)
        await asyncio.sleep(self.chance.uniform(1, 25))
        for lead in await self.client.leads_of(incident):
            with suppress(CallError):  # one that has ended meanwhile
                await self.client.acknowledge(lead["data"]["leadId"])
                if released:
                    await self._release(lead["data"]["leadId"], "imminent" if threat else "routine")

    async def _release(self, lead_id: str, lane: str) -> None:
        """Two examine it, and agree. One lead after the other, so that the review that waits is this one's."""
        async with self.one_lead_at_a_time:
            picture = await self.examiners.examine(lead_id)
            await asyncio.sleep(self.chance.uniform(1, 6))
            await self.examiners.review(picture, lane)
            await self.examiners.release(lead_id)

    async def one_refusal(self) -> None:
        """What policy never permits: a search at a protest (P02)."""
        incident = await self.incident("CIVDIS", threat=False)
        with suppress(CallError):
            await self.client.attach(incident, VIOLENT, self.still, "still.jpg")

    async def one_bad_record(self) -> None:
        await self.outside.producer.send(self.outside.topics.incidents, key=None, value=b"not a record")

    async def _approve(self, probe: Answer) -> None:
        with suppress(CallError):
            await self.client.approve(probe["probeId"])


@asynccontextmanager
async def busy_floor(stage: Stage) -> AsyncIterator[None]:
    """Goes on in the background until the block ends."""
    async with (
        open_simulator(stage.settings.kafka, threat_share=0.04) as outside,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as http,
    ):
        client = DemoClient(http, stage.address)
        examiners = DemoExaminers(client, await client.components())
        floor = Floor(client, examiners, outside, rephotograph(portrait()), random.Random(4), asyncio.Lock())
        work = [
            asyncio.create_task(outside.run(EVENTS_PER_SECOND)),
            asyncio.create_task(_attach_stills(floor)),
            asyncio.create_task(_send_bad_records(floor)),
        ]
        try:
            yield
            for task in work:
                if task.done():
                    task.result()
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)


async def _attach_stills(floor: Floor) -> None:
    async with asyncio.TaskGroup() as group:
        number = 0
        while True:
            number += 1
            group.create_task(floor.one_still(threat=number % 3 == 0, released=number % STILLS_FOR_ONE_RELEASE == 0))
            if number % 5 == 0:
                group.create_task(floor.one_refusal())
            await asyncio.sleep(SECONDS_BETWEEN_STILLS)


async def _send_bad_records(floor: Floor) -> None:
    while True:
        await asyncio.sleep(SECONDS_BETWEEN_BAD_RECORDS)
        await floor.one_bad_record()
