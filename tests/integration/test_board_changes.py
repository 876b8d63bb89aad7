"""`/board/changes`: the part of the board that is loaded anew, and what the board can be narrowed to."""

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from rtcc_bridge.metrics import Metrics
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.web.board_pages import CHANGED_AT_ONCE
from tests.doubles import ManualClock
from tests.website import Website, running_site


@pytest.fixture
async def site(database: Database, clock: ManualClock, metrics: Metrics, tmp_path: Path) -> AsyncIterator[Website]:
    async with running_site(database, clock, metrics, tmp_path) as running:
        yield running


async def changes(site: Website, *incidents: str, **others: str) -> str:
    query = urlencode([("incident", name) for name in incidents] + list(others.items()))
    async with site.client.get(f"/board/changes?{query}") as answer:
        assert answer.status == 200
        return await answer.text()


async def test_it_holds_the_named_open_incidents_and_the_leads_when_asked_and_nothing_restricted(
    site: Website,
) -> None:
    odd = 'A & B "=%'
    for name in ("one", "another", odd, "closed"):
        await site.report(name, notes=["what dispatch wrote"], reportNumber="26-000123")
    await site.report("closed", incidentStatusCommonRegistryText="closed")
    await site.lead("one")
    found = await changes(site, "one", odd, "closed", "never seen")
    assert found.count('class="card incident') == 2
    assert 'data-key="one"' in found
    assert "A &amp; B &#34;=%" in found
    assert 'id="leads"' not in found
    assert ">3</p>" in found  # how many are open
    with_leads = await changes(site, **{"with-leads": ""})
    assert with_leads.count('class="card lead') == 1
    assert with_leads.count('<p class="needs">Investigative lead only - needs corroboration</p>') == 1
    for restricted in ("what dispatch wrote", "26-000123"):
        assert restricted not in found + with_leads


async def test_a_narrowed_board_gets_what_it_shows_and_every_imminent_threat(site: Website) -> None:
    await site.report("urgent", incidentCommonPriorityNumber=0)
    await site.report("calm", incidentCommonPriorityNumber=5)
    await site.report("threat", incidentCommonPriorityNumber=9)
    await site.alert("threat")
    found = await changes(site, "urgent", "calm", "threat", priority="2")
    assert [name for name in ("urgent", "calm", "threat") if f'data-key="{name}"' in found] == ["urgent", "threat"]
    assert ">2</p>" in found


@pytest.mark.parametrize(
    "query",
    [
        "priority=11",
        "priority=-1",
        "priority=a",
        "exercises=only",
        "leads=everything",
        f"type={'x' * 65}",
        f"incident={'x' * 257}",
        "&".join(f"incident={number}" for number in range(CHANGED_AT_ONCE + 1)),
    ],
)
async def test_what_the_form_does_not_offer_is_refused_in_words(site: Website, query: str) -> None:
    async with site.client.get(f"/board/changes?{query}") as answer:
        problem = await answer.json(content_type="application/problem+json")
    assert answer.status == 422
    assert problem["detail"]
