"""P15: every lead says what it is not, in every format and at every step of its life."""

from typing import Any

import pytest

from rtcc_bridge.errors import IntegrityError
from rtcc_bridge.leads.corroboration import OutcomeReport
from rtcc_bridge.publishing.outbox import OutgoingEvent
from rtcc_bridge.storage import tables
from tests.life_kit import FIRST, REQUESTOR, SUPERVISOR, LifeKit

PROMISED: dict[str, str | bool] = {
    "classification": "INVESTIGATIVE_LEAD_ONLY",
    "positiveIdentification": False,
    "probableCause": False,
    "corroborationRequired": True,
    "lineupOnThisAlone": False,
    "notice": "Investigative lead only. This is not a positive identification and not probable cause for arrest. "
    "It needs corroboration by independent evidence, and no photo line-up may rest on it alone.",
}
"""Written out once more: what the program holds for a constant is what is attacked."""


def says_so(data: dict[str, Any]) -> bool:
    return all(data[name] == value and type(data[name]) is type(value) for name, value in PROMISED.items())


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


@pytest.mark.parametrize("name", PROMISED)
async def test_what_lacks_a_constant_does_not_leave_whoever_wrote_it(life: LifeKit, name: str) -> None:
    await life.taken()
    [lead] = await life.kit.rows(tables.leads)
    forged = {key: value for key, value in lead["data"].items() if key != name}
    event = OutgoingEvent(
        event_type="lead.withdrawn",
        topic="rtcc.leads",
        key=lead["incident_id"],
        subject=lead["lead_id"],
        data=forged,
        on_feed=True,
    )
    with pytest.raises(IntegrityError, match=name):
        async with life.kit.database.write() as tx:
            await life.kit.parts.outbox.put(tx, event)
    assert "lead.withdrawn" not in await life.types(lead["lead_id"])
