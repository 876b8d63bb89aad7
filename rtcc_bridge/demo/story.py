"""The story that `rtcc-bridge demo --check` plays: from an event on the topic to a lead, and on to expungement."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from rtcc_bridge.demo.checklist import Checklist, require
from rtcc_bridge.demo.client import Answer, CallError, DemoClient, ProbeRequest
from rtcc_bridge.demo.examiners import DemoExaminers
from rtcc_bridge.demo.witness import Lead, LeadWitness

FLOOR_SECONDS = 15.0
LEAD_SECONDS = 30.0

VIOLENT = ProbeRequest(
    purpose="violent_offense", legal_basis="Criminal investigation, demonstration", case_number="DEMO-1"
)
THREAT = ProbeRequest(
    purpose="imminent_threat", legal_basis="Exigency: imminent threat to life, demonstration", case_number="DEMO-2"
)


@dataclass(frozen=True, slots=True)
class Story:
    """Who and what the story is played with."""

    client: DemoClient
    witness: LeadWitness
    checklist: Checklist
    publish_incident: Callable[[], Awaitable[str]]
    publish_threat: Callable[[], Awaitable[str]]
    expunge: Callable[[str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Searched:
    """A probe that went all the way, and the first event of its lead."""

    probe: Answer
    lead: Lead

    @property
    def data(self) -> Answer:
        data: Answer = self.lead["data"]
        return data


async def play(story: Story, picture: bytes, enrolled_ref: str) -> None:
    """A violent incident and an imminent threat, a search on each, acknowledgement, two examiners, release,
    corroboration, expungement, the same still again.

    Raises CheckFailedError, CallError, StillRefusedError or WitnessError at the first thing that is not as promised.
    """
    checklist = story.checklist
    async with checklist.step("a violent incident reaches the floor"):
        incident = await story.publish_incident()
        await on_floor(story, incident)
    async with checklist.step("an imminent threat reaches the floor"):
        threat = await story.publish_threat()
        seen = await on_floor(story, threat)
        require(bool(seen["imminent"]), "the threat's incident is not shown as imminent")
    async with checklist.step("a still on the violent incident: one face chosen, the supervisor approves, candidates"):
        routine = await search(story, incident, VIOLENT, picture)
        require_candidates(routine)
        require(routine.data["approval"]["state"] == "granted", "the routine search ran without its approval")
    async with checklist.step("the same still on the threat: candidates at once, approval may follow within the hour"):
        urgent = await search(story, threat, THREAT, picture)
        require_candidates(urgent)
        require(urgent.data["approval"]["state"] == "pending", "the imminent search did not wait for its approval")
    for searched, name in ((routine, "violent incident"), (urgent, "imminent threat")):
        async with checklist.step(f"the analyst acknowledges the lead of the {name}"):
            await acknowledge(story, searched)
            if searched is urgent:  # both examiners get its list at once
                await event_of(story, searched.data["leadId"], "lead.in_review")
    await examine(story, routine)
    async with checklist.step("the enrolled person is expunged; both leads are withdrawn"):
        await story.expunge(enrolled_ref)
        for searched in (routine, urgent):
            await event_of(story, searched.data["leadId"], "lead.withdrawn")
    async with checklist.step("the same still again: no candidate"):
        await once_dropped(story, incident, picture)


async def on_floor(story: Story, incident_id: str) -> Answer:
    """Waits until the floor knows the incident."""
    async with asyncio.timeout(FLOOR_SECONDS):
        while True:
            try:
                return await story.client.incident(incident_id)
            except CallError:
                await asyncio.sleep(0.02)


async def search(story: Story, incident_id: str, request: ProbeRequest, picture: bytes) -> Searched:
    """Attaches the still, chooses the face, lets the supervisor approve where it has to come first, awaits the lead.

    Raises StillRefusedError, CallError or WitnessError.
    """
    probe = await story.client.attach(incident_id, request, picture, "still.jpg")
    if probe["state"] == "faces_found":
        probe = await story.client.choose(probe["probeId"], central_face(probe))
    if probe["state"] == "awaiting_approval":
        probe = await story.client.approve(probe["probeId"])
    lead = await asyncio.to_thread(
        story.witness.wait_for, lambda event: event["data"]["probeId"] == probe["probeId"], LEAD_SECONDS
    )
    return Searched(probe, lead)


def central_face(probe: Answer) -> int:
    """The number of the face nearest to the picture's centre, which is whom a portrait is of."""

    def distance(face: Answer) -> float:
        box = face["box"]
        across = (box["left"] + box["right"] - probe["imageWidth"]) / 2
        down = (box["top"] + box["bottom"] - probe["imageHeight"]) / 2
        return float(across**2 + down**2)

    return int(min(probe["faces"], key=distance)["number"])


async def event_of(story: Story, lead_id: str, kind: str) -> Lead:
    """Waits for an event of a lead."""
    return await asyncio.to_thread(
        story.witness.wait_for,
        lambda event: event["type"] == kind and event["data"]["leadId"] == lead_id,
        LEAD_SECONDS,
    )


async def acknowledge(story: Story, searched: Searched) -> None:
    await story.client.acknowledge(searched.data["leadId"])
    event = await event_of(story, searched.data["leadId"], "lead.acknowledged")
    require(event["data"]["sequence"] > searched.data["sequence"], "the acknowledgement came before the candidates")


async def examine(story: Story, searched: Searched) -> None:
    """From the structured comparison to corroboration, by people who do not see what the other one thinks."""
    lead_id, checklist = searched.data["leadId"], story.checklist
    examiners = DemoExaminers(story.client, await story.client.components())
    async with checklist.step("the analyst compares the candidates by the structured form and concludes"):
        picture = await examiners.examine(lead_id)
        await event_of(story, lead_id, "lead.in_review")
    async with checklist.step("another analyst reviews the same pictures blind, and agrees"):
        await examiners.review(picture)
    async with checklist.step("the lead is released to the requestor, with its limits"):
        received = await examiners.release(lead_id)
        released = (await event_of(story, lead_id, "lead.released"))["data"]
        require(released["candidateCount"] == 1, "not just the one candidate was released on whom both agree")
        require(released["candidates"] == received["candidates"], "the topic and the requestor have other candidates")
        require(bool(received["limits"]), "the requestor is not told the limits of the method")
    async with checklist.step("the requestor reports independent evidence; the lead is corroborated"):
        await examiners.corroborate(lead_id, released["releasedAt"])
        outcome = (await event_of(story, lead_id, "lead.corroborated"))["data"]
        require(outcome["corroboration"]["evidenceKinds"] == ["fingerprints"], "the evidence is not what was reported")


def require_candidates(searched: Searched) -> None:
    require(searched.lead["type"] == "lead.candidates", f"expected candidates, got {searched.lead['type']}")
    require(searched.data["candidateCount"] >= 1, "the list of candidates is empty")


async def once_dropped(story: Story, incident_id: str, picture: bytes) -> None:
    """From the expungement on no lead may show the person, whether or not the matcher has heard of it yet."""
    again = await search(story, incident_id, VIOLENT, picture)
    require(again.lead["type"] == "lead.no_candidate", f"the expunged person led to {again.lead['type']}")
