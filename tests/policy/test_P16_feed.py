"""P16: the feed carries references and nothing else, also of a lead that was released; who sees more leaves a trace."""

import json

from rtcc_bridge.storage import tables
from rtcc_bridge.web.views import lead_view
from tests.life_kit import FIRST, REQUESTOR, LifeKit


async def on_feed(life: LifeKit) -> list[dict[str, object]]:
    rows = sorted(await life.kit.rows(tables.outbox), key=lambda row: int(row["id"]))
    return [row["event"] for row in rows if row["on_feed"]]


async def test_the_conclusions_of_a_released_lead_stand_on_its_topic_and_not_on_the_feed(life: LifeKit) -> None:
    lead_id = await life.released((0, 1))
    [topic] = [row for row in await life.kit.rows(tables.outbox) if row["event_type"] == "lead.released"]
    assert not topic["on_feed"]
    assert [one["conclusion"] for one in topic["event"]["data"]["candidates"]] == ["support", "support"]
    feed = await on_feed(life)
    shown = feed[-1]
    assert (shown["type"], shown["data"]["reviewState"]) == ("floor.lead", "released")  # type: ignore[index]  # parsed JSON
    text = json.dumps(feed)
    for secret in ("conclusion", "support", "analyst", "reviewer", "requestor", "dissent"):
        assert secret not in text.replace("no_longer_supported", ""), secret
    record = await life.life.release.received(lead_id, REQUESTOR)
    assert "conclusion" not in lead_view(record.lead).model_dump_json(by_alias=True)


async def test_later_changes_of_a_released_lead_say_no_more(life: LifeKit) -> None:
    lead_id = await life.released()
    async with life.kit.database.write() as tx:
        assert await life.leads.follow_merge(tx, "incident-1", "incident-9") == 1
    feed = await on_feed(life)
    assert feed[-1]["data"]["incidentId"] == "incident-9"  # type: ignore[index]  # parsed JSON
    assert "conclusion" not in json.dumps(feed)
    await life.life.withdrawal.withdraw(lead_id, FIRST, "a reason")
    assert (await on_feed(life))[-1]["type"] == "lead.withdrawn"


async def test_an_exercise_reaches_neither_the_live_topic_nor_the_feed_when_it_is_released(life: LifeKit) -> None:
    lead_id = await life.agreed()
    async with life.kit.database.write() as tx:
        await tx.execute(tables.leads.update().values(exercise=True))
    await life.life.release.release(lead_id, FIRST, ())
    [row] = [row for row in await life.kit.rows(tables.outbox) if row["event_type"] == "lead.released"]
    assert (row["topic"], row["on_feed"]) == ("rtcc.leads.exercise", False)
    assert [event for event in await on_feed(life) if event["type"] == "floor.lead"] == []


async def test_a_look_at_what_was_released_is_audited_before_it_is_had(life: LifeKit) -> None:
    lead_id = await life.released()
    received = await life.life.release.received(lead_id, REQUESTOR)
    ref = received.release.findings["candidates"][0]["candidateRef"]
    await life.life.pictures.released_candidate(lead_id, REQUESTOR, ref, 1)
    looks = await life.kit.audited("lead.receive")
    assert {(look["actor"], look["outcome"]) for look in looks} == {("requestor", "shown")}
    [picture] = await life.kit.audited("lead.picture")
    assert picture["entry"]["details"] == {"candidateRef": ref, "picture": 1}
