"""The live feed over sockets: order, resumption, limits, clients that are too slow, and the end."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse

from rtcc_bridge.metrics import Metrics
from rtcc_bridge.publishing.lead_constants import LEAD_CONSTANTS
from rtcc_bridge.storage import tables
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.web import feed_hub
from tests.doubles import ManualClock
from tests.nasty_texts import NASTY_TEXTS
from tests.outages import Outages
from tests.website import WAIT_SECONDS, Website, running_site, until


@dataclass(frozen=True)
class Event:
    id: str | None
    type: str | None
    data: Any


class Stream:
    """A strict reader of server-sent events: any line that the standard does not know fails the test."""

    def __init__(self, answer: ClientResponse) -> None:
        self._answer = answer
        self.last_id: str | None = None

    async def block(self) -> list[tuple[str, str]]:
        """The fields of the next block; a comment has an empty name."""
        fields: list[tuple[str, str]] = []
        async with asyncio.timeout(WAIT_SECONDS):
            while (line := (await self._answer.content.readline()).decode()) not in {"\n", ""}:
                assert line.endswith("\n")
                name, colon, value = line[:-1].partition(":")
                assert colon
                assert name in {"", "id", "event", "data", "retry"}
                fields.append((name, value.removeprefix(" ")))
        if not fields:
            raise EOFError
        self.last_id = dict(fields).get("id", self.last_id)
        return fields

    async def event(self) -> Event:
        while "data" not in (fields := dict(await self.block())):
            pass
        return Event(fields.get("id"), fields.get("event"), json.loads(fields["data"]))

    async def events(self, count: int) -> list[Event]:
        return [await self.event() for _ in range(count)]


@pytest.fixture
async def site(database: Database, clock: ManualClock, metrics: Metrics, tmp_path: Path) -> AsyncIterator[Website]:
    async with running_site(database, clock, metrics, tmp_path) as running:
        yield running


@asynccontextmanager
async def following(site: Website, after: int | str | None = None, query: str = "") -> AsyncIterator[Stream]:
    headers = {} if after is None else {"Last-Event-ID": str(after)}
    async with site.client.get(f"/api/v1/feed{query}", headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        assert answer.headers["Content-Type"] == "text/event-stream"
        assert answer.headers["Cache-Control"] == "no-store"
        yield Stream(answer)


async def test_a_client_hears_what_happens_from_now_on(site: Website) -> None:
    await site.report("INC-1")
    async with following(site) as stream:
        assert [name for name, _ in await stream.block()] == ["retry"]
        assert await stream.block() == [("id", "1")]  # it can resume even if the connection is lost right now
        await site.report("INC-2")
        await site.alert("INC-2", headline="Armed person")
        first, second = await stream.events(2)
    assert (first.id, first.type) == ("2", "floor.incident")
    assert first.data["specversion"] == "1.0"
    assert first.data["data"]["incidentId"] == "INC-2"
    assert (second.id, second.type) == ("3", "floor.threat")
    assert second.data["data"]["threats"][0]["headline"] == "Armed person"


async def test_p15_p16_a_lead_on_the_feed_has_its_constants_and_no_name_or_score(site: Website) -> None:
    await site.report("INC-1", notes=["a note"], caseNumber="26-000123")
    async with following(site) as stream:
        await site.lead("INC-1", people=2)
        event = await stream.event()
    assert event.type == "lead.candidates"
    assert {name: event.data["data"][name] for name in LEAD_CONSTANTS} == LEAD_CONSTANTS
    text = json.dumps(event.data)
    for word in ("score", "rank", "subject_ref", "person ", "26-000123", "a note", "the requestor"):
        assert word not in text.replace('"unifiedScore"', "")


async def test_a_client_resumes_after_the_last_event_that_it_saw_without_gap_or_repetition(site: Website) -> None:
    async with following(site) as stream:
        await site.report("INC-0")
        await stream.event()
        seen = stream.last_id
    for number in range(1, 6):
        await site.report(f"INC-{number}")
    async with following(site, after=seen) as stream:
        missed = await stream.events(5)
        await site.report("INC-6")
        live = await stream.event()
    assert [int(event.id or 0) for event in (*missed, live)] == [2, 3, 4, 5, 6, 7]


async def test_replay_in_pages_joins_the_live_feed(
    database: Database, clock: ManualClock, metrics: Metrics, tmp_path: Path
) -> None:
    settings = {"feed_replay_limit": 3}
    async with running_site(database, clock, metrics, tmp_path, web_settings=settings) as site:
        for number in range(10):
            await site.report(f"INC-{number}")
        async with following(site, query="?after=0") as stream:
            early = await stream.events(4)
            await site.report("INC-late")
            rest = await stream.events(7)
    assert [event.id for event in (*early, *rest)] == [str(number) for number in range(1, 12)]


async def test_another_process_on_the_same_database_serves_the_same_places(
    site: Website, database: Database, clock: ManualClock, tmp_path: Path
) -> None:
    """The second hub is never told that the feed moved: it looks by itself."""
    (tmp_path / "second").mkdir()
    async with running_site(database, clock, Metrics(), tmp_path / "second", relay=False) as second:
        async with following(site) as one, following(second) as other:
            await site.report("INC-1")
            assert await one.event() == await other.event()
        await site.report("INC-2")
        async with following(second, after=1) as resumed:
            assert (await resumed.event()).data["data"]["incidentId"] == "INC-2"


@pytest.mark.parametrize("after", ["999", "1"])
async def test_a_client_that_cannot_resume_is_told_to_load_anew(site: Website, after: str) -> None:
    """Its place is one that this database never had, or one that is kept no longer."""
    for number in range(4):
        await site.report(f"INC-{number}")
    async with database_write(site) as tx:
        await tx.execute(tables.outbox.delete().where(tables.outbox.c.feed_position <= 2))
    async with following(site, after=after) as stream:
        assert (await stream.event()).type == "feed.reset"
        assert await stream.block() == [("id", "4")]
        await site.report("INC-new")
        assert (await stream.event()).id == "5"


def database_write(site: Website) -> Any:
    return site.kit.database.write()


async def test_the_connection_is_kept_open_by_comments(site: Website) -> None:
    async with following(site) as stream:
        await stream.block()
        await stream.block()
        assert (await stream.block())[0][0] == ""


async def test_text_from_outside_cannot_forge_events(site: Website) -> None:
    async with following(site) as stream:
        for number, nasty in enumerate(NASTY_TEXTS):
            await site.report(f"INC-{number}", location={"text": nasty})
            event = await stream.event()
            assert (event.type, event.data["data"]["location"]["text"]) == ("floor.incident", nasty)


async def test_clients_beyond_the_limit_are_told_to_come_back(
    database: Database, clock: ManualClock, metrics: Metrics, tmp_path: Path
) -> None:
    async with running_site(database, clock, metrics, tmp_path, web_settings={"feed_clients": 2}) as site:
        async with following(site), following(site):
            assert site.kit.count("feed_clients") == 2
            async with site.client.get("/api/v1/feed") as answer:
                assert answer.status == 503
                assert int(answer.headers["Retry-After"]) >= 1
        await until(lambda: site.kit.count("feed_clients") == 0)
        async with following(site):
            pass


async def test_a_client_that_reads_too_slowly_is_dropped_and_the_others_go_on(
    site: Website, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_hub, "CLIENT_QUEUE", 4)
    reader, writer = await asyncio.open_connection(site.client.host, site.client.port, limit=1024)
    writer.write(b"GET /api/v1/feed HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    await until(lambda: site.kit.count("feed_clients") == 1)
    long_text = "x" * 500_000
    async with following(site) as healthy:
        for number in range(200):
            await site.report(f"INC-{number}", location={"text": long_text})
            assert (await healthy.event()).id == str(number + 1)
            if site.kit.count("feed_clients") == 1:
                break
        else:
            pytest.fail("the slow client was never dropped")
    writer.close()
    del reader


async def test_a_database_that_is_away_for_a_while_costs_no_event(site: Website, outages: Outages) -> None:
    async with following(site) as stream:
        await site.report("INC-1")
        await stream.event()
        async with outages.away("outbox"):
            site.hub.on_feed_moved()
            async with site.client.get("/api/v1/feed?after=0") as answer:
                assert answer.status == 503
        await site.report("INC-2")
        assert (await stream.event()).data["data"]["incidentId"] == "INC-2"


async def test_the_stream_ends_when_the_daemon_stops(site: Website) -> None:
    async with following(site) as stream:
        await stream.block()
        await stream.block()
        site.hub.close()
        with pytest.raises(EOFError):
            await stream.event()
    async with site.client.get("/api/v1/feed") as answer:
        assert answer.status == 503


async def test_every_event_arrives_once_and_in_order_at_many_clients(site: Website) -> None:
    async def follow() -> list[str | None]:
        async with following(site, after=0) as stream:
            return [event.id for event in await stream.events(30)]

    async def write() -> None:
        for number in range(30):
            await site.report(f"INC-{number}")

    *found, _ = await asyncio.gather(*(follow() for _ in range(8)), write())
    assert found == [[str(number) for number in range(1, 31)]] * 8
