"""P18, P12: a lead that a restoration takes over from its topic ends when that says so, and is examined no longer."""

import json
from typing import Any

from rtcc_bridge.cloud_event import rfc3339
from rtcc_bridge.leads.handover import hand_over_due
from rtcc_bridge.leads.readback import LeadReadback, PublishedLeads
from rtcc_bridge.storage import tables
from rtcc_bridge.storage.tables import examinations, lead_receivers, releases
from tests.life_kit import FIRST, PEER, SUPERVISOR, THIRD, LifeKit, under

DAY = 24 * 3600


async def restored(life: LifeKit, before: dict[str, Any], event_type: str) -> None:
    """The lead's row is again as in the backup, with what was still to be examined; then its topic is read.

    before: the row. event_type: of the one event that the backup does not know.
    """
    kit = life.kit
    [row] = await kit.rows(tables.outbox, event_type=event_type)
    async with kit.database.write() as tx:
        where = tables.leads.c.lead_id == before["lead_id"]
        await tx.execute(tables.leads.update().where(where).values(before))
        await tx.execute(examinations.update().where(examinations.c.filed_at.is_(None)).values(closed_at=None))
        await tx.execute(lead_receivers.delete())
        await tx.execute(releases.delete())
    published = PublishedLeads()
    published.add(row["topic"], json.dumps(row["event"]).encode())
    parts = kit.parts
    topic = parts.topics.leads_exercise
    report = await LeadReadback(kit.database, parts.outbox, parts.audit, kit.clock, topic).apply(published)
    assert report.taken_over == 1


async def test_a_lead_ends_when_its_topic_has_said_and_not_when_the_backup_did(life: LifeKit) -> None:
    await under(life, corroboration={"outcome_within_days": 1})
    lead_id = await life.agreed()
    [before] = await life.kit.rows(tables.leads, lead_id=lead_id)
    await life.life.release.release(lead_id, FIRST, ())
    [told] = await life.kit.events("lead.released")
    await restored(life, before, "lead.released")
    assert await life.state(lead_id) == "released"
    life.kit.clock.advance(DAY)
    assert await life.leads.expire_due() == 1
    [ended] = await life.kit.events("lead.expired")
    assert ended["expiresAt"] == told["expiresAt"] == rfc3339(life.kit.clock.now())


async def test_a_withdrawn_lead_leaves_the_queue_of_its_reviewers(life: LifeKit) -> None:
    lead_id = await life.taken()
    await life.conclude(lead_id, (0,))
    assert len(await life.life.review.queue(PEER)) == 1
    [before] = await life.kit.rows(tables.leads, lead_id=lead_id)
    await life.life.withdrawal.withdraw(lead_id, SUPERVISOR, "another camera")
    await restored(life, before, "lead.withdrawn")
    assert await life.life.review.queue(PEER) == []


async def test_nobody_is_asked_to_be_the_third_examiner_of_a_withdrawn_lead(life: LifeKit) -> None:
    lead_id = await life.taken()
    await life.conclude(lead_id, (0,))
    await life.review(lead_id, PEER)
    assert [one.round for one in await life.life.review.queue(THIRD)] == [3]
    [before] = await life.kit.rows(tables.leads, lead_id=lead_id)
    await life.life.withdrawal.withdraw(lead_id, SUPERVISOR, "another camera")
    await restored(life, before, "lead.withdrawn")
    life.kit.clock.advance(60 * DAY)
    assert await hand_over_due(life.parts) == 0
    assert await life.life.review.queue(THIRD) == []
