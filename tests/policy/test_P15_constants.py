"""P15: every lead says what it is not, in every format and at every step of its life."""

from typing import Any

from rtcc_bridge.leads.corroboration import OutcomeReport
from rtcc_bridge.publishing.lead_constants import LEAD_CONSTANTS
from rtcc_bridge.storage import tables
from tests.life_kit import FIRST, REQUESTOR, SUPERVISOR, LifeKit


def says_so(data: dict[str, Any]) -> bool:
    return all(data[name] == value and type(data[name]) is type(value) for name, value in LEAD_CONSTANTS.items())


async def test_every_event_of_a_whole_life_carries_the_constants(life: LifeKit) -> None:
    lead_id = await life.released()
    report = OutcomeReport.model_validate({"outcome": "unresolved", "investigator": "badge 4711"})
    await life.life.corroboration.report(lead_id, REQUESTOR, report)
    life.kit.clock.advance(3600)
    await life.life.corroboration.extend(lead_id, SUPERVISOR, 720, "the laboratory is late")
    await life.life.withdrawal.withdraw(lead_id, FIRST, "a reason")
    rows = [row for row in await life.kit.rows(tables.outbox) if "leadId" in row["event"]["data"]]
    assert {row["event_type"] for row in rows} == {
        "lead.candidates", "lead.acknowledged", "lead.in_review", "lead.released", "lead.unresolved", "lead.withdrawn",
        "floor.lead",
    }  # fmt: skip
    assert all(says_so(row["event"]["data"]) for row in rows)
    [stored] = await life.kit.rows(tables.leads)
    assert says_so(stored["data"])
