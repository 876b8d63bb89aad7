"""P10: a lead and a review are taken with certificates in date alone; what was taken is finished, and marked."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from rtcc_bridge.errors import PolicyRefusalError
from rtcc_bridge.policy.accounts import Account
from rtcc_bridge.policy.certificates import Certificate
from rtcc_bridge.policy.policy_parts import CertificateKind
from rtcc_bridge.storage import tables
from tests.life_kit import FIRST, PEER, LifeKit, opinion


def until(account: Account, end: datetime) -> Account:
    """The same person, with a refresher that ends at that moment."""
    refresher = Certificate(end - timedelta(days=30), until=end)
    return replace(account, certificates={**account.certificates, CertificateKind.YEARLY_REFRESHER.value: refresher})


async def test_without_a_certificate_nobody_takes_a_lead(life: LifeKit) -> None:
    lead_id = await life.lead()
    with pytest.raises(PolicyRefusalError, match="yearly_refresher") as refused:
        await life.leads.acknowledge(lead_id, until(FIRST, life.kit.clock.now()))
    assert refused.value.rule == "P10"
    [lead] = await life.kit.rows(tables.leads, lead_id=lead_id)
    assert lead["acknowledged_by"] is None
    assert await life.kit.rows(tables.examinations, lead_id=lead_id) == []
    [entry] = await life.kit.audited("lead.acknowledge")
    assert (entry["outcome"], entry["entry"]["details"]["rule"]) == ("refused", "P10")


async def test_without_a_certificate_nobody_takes_a_review(life: LifeKit) -> None:
    lead_id = await life.taken()
    await life.conclude(lead_id, (0,))
    [review] = await life.kit.rows(tables.examinations, lead_id=lead_id, round=2)
    with pytest.raises(PolicyRefusalError, match="yearly_refresher") as refused:
        await life.life.review.take(review["examination_id"], until(PEER, life.kit.clock.now()))
    assert refused.value.rule == "P10"
    [review] = await life.kit.rows(tables.examinations, lead_id=lead_id, round=2)
    assert review["examiner"] is None
    [entry] = await life.kit.audited("review.take")
    assert (entry["outcome"], entry["entry"]["details"]["rule"]) == ("refused", "P10")


async def test_an_examination_that_is_under_way_is_finished_and_marked(life: LifeKit) -> None:
    lead_id, end = await life.lead(), life.kit.clock.now() + timedelta(seconds=60)
    first = until(FIRST, end)
    taken = await life.leads.acknowledge(lead_id, first)
    life.kit.clock.advance(3600)
    assert await life.leads.acknowledge(lead_id, first) == taken
    await life.life.examination.conclude(lead_id, first, opinion(await life.listed(lead_id)))
    [entry] = await life.kit.audited("examination.conclude")
    assert datetime.fromisoformat(entry["entry"]["details"]["certificateExpiredSince"]) == end


async def test_a_review_that_is_under_way_is_finished_and_marked(life: LifeKit) -> None:
    lead_id = await life.taken()
    await life.conclude(lead_id, (0,))
    end = life.kit.clock.now() + timedelta(seconds=60)
    peer = until(PEER, end)
    [review] = await life.kit.rows(tables.examinations, lead_id=lead_id, round=2)
    sheet = await life.life.review.take(review["examination_id"], peer)
    life.kit.clock.advance(3600)
    await life.life.review.take(review["examination_id"], peer)
    await life.life.review.conclude(review["examination_id"], peer, opinion(sheet.examination.refs))
    marks = {
        entry["actor"]: entry["entry"]["details"].get("certificateExpiredSince")
        for entry in await life.kit.audited("examination.conclude")
    }
    assert marks[FIRST.name] is None
    assert datetime.fromisoformat(str(marks[PEER.name])) == end
