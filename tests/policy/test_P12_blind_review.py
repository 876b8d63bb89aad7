"""P12: the review is blind, proved by the bytes that the reviewer's session can fetch after two opposite opinions.

Two worlds are played through with the same randomness and the same clock, and differ in the first examiner's opinion
alone. Then the reviewer fetches every address that the program has, with every id that can be known, acts where a
reviewer may try to, and reads the live feed from its beginning. Of what comes back nothing is left out but what tells
the machine's time (`Date`, times of work, the process's own figures), which no opinion can be read from.
"""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from hashlib import sha256
from itertools import product
from pathlib import Path
from shutil import copyfile
from typing import Any

import pytest
from pydantic import SecretStr

from rtcc_bridge.errors import PolicyRefusalError
from rtcc_bridge.leads.comparison import Aid, AidUse, ComparedCandidate, Opinion
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.policy.accounts import DEMO_ACCOUNTS
from rtcc_bridge.settings import DatabaseSettings
from rtcc_bridge.storage import outbox, tables
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.web.openapi import OPERATIONS
from rtcc_bridge.web.pages import PAGES
from tests.databases import TestServer
from tests.doubles import ManualClock
from tests.life_kit import FIRST, PEER, THIRD, LifeKit, build_life, opinion
from tests.probe_kit import OTHER_ANALYST, Gallery, face_search, form, record_of, search_handler, upload
from tests.website import Website, acting, clip_form, running_site

PATHS = sorted({operation.path for operation in OPERATIONS if operation.method == "GET"} | {
    path for method, path, _ in PAGES if method == "GET"
})  # fmt: skip
FEEDS = ("/api/v1/feed", "/wall/feed")
CONCLUDED = "examination.conclude"
TIMES_OF_WORK = re.compile(
    rb"^(process_\S+|rtcc_bridge_\w+_seconds_(sum|bucket)\S*|rtcc_bridge_(feed_clients|ready)\S*) .*$", re.MULTILINE
)


class Pinned:
    """Stands in for `secrets`: the same numbers in the same order in each world."""

    def __init__(self) -> None:
        self._drawn = 0

    def _draw(self) -> str:
        self._drawn += 1
        return sha256(str(self._drawn).encode()).hexdigest()

    def token_urlsafe(self, _bytes: int = 32) -> str:
        return self._draw()[:22]

    def token_hex(self, count: int = 32) -> str:
        return self._draw()[: 2 * count]

    def choice(self, some: list[Any]) -> Any:
        return some[int(self._draw(), 16) % len(some)]

    def shuffle(self, some: list[Any]) -> None:
        some.sort(key=lambda one: sha256((self._draw() + repr(one)).encode()).hexdigest())


@pytest.fixture
def pin(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    def begin() -> None:
        pinned = Pinned()
        for name in ("token_urlsafe", "token_hex", "choice"):
            monkeypatch.setattr(f"secrets.{name}", getattr(pinned, name))
        monkeypatch.setattr("secrets.SystemRandom.shuffle", pinned.shuffle)

    return begin


@asynccontextmanager
async def world(folder: Path, server: TestServer | None, template: Path) -> AsyncIterator[tuple[Website, LifeKit]]:
    """A site on a database of its own. template: a SQLite file with the schema."""
    async with a_database(folder, server, template) as url:
        database = Database(DatabaseSettings(url=SecretStr(url)))
        try:
            async with running_site(database, ManualClock(), Metrics(), folder, roles=()) as site:
                yield site, build_life(site.kit)
        finally:
            await database.close()


@asynccontextmanager
async def a_database(folder: Path, server: TestServer | None, template: Path) -> AsyncIterator[str]:
    if server is not None:
        async with server.fresh(with_schema=True) as url:
            yield url
        return
    yield f"sqlite+aiosqlite:///{copyfile(template, folder / 'world.sqlite3')}"


async def play(site: Website, life: LifeKit, first_opinion: str, *, imminent: bool) -> None:
    """From the incident to the first examiner's opinion, which is the only thing that differs."""
    await site.report("INC-1")
    if imminent:
        await site.alert("INC-1")
    async with site.client.post("/api/v1/incidents/INC-1/clips", data=clip_form(), headers=acting("analyst")) as answer:
        assert answer.status == 201
    probe = await site.attach("INC-1")
    probe = await site.post(f"/probes/{probe['probeId']}/face", "analyst", {"number": 1})
    if not imminent:
        await site.post(f"/probes/{probe['probeId']}/approve", "supervisor")
    found = [await life.enrol(f"person {number}") for number in range(4)]
    search = face_search(Gallery(finds=lambda _crop: found))
    async with search.batcher:
        handler = search_handler(site.kit, search)
        for row in await site.kit.requests():
            await handler.handle(record_of(row))
    [lead] = await site.kit.rows(tables.leads)
    lead_id = lead["lead_id"]
    await life.leads.acknowledge(lead_id, FIRST)
    listed = await life.listed(lead_id)
    given = opinion(listed)
    if first_opinion == "support":
        given = opinion(listed, support=listed[:2], inconclusive=listed[2:3], note="the same notch in the left helix")
    laid_over = listed[0] if first_opinion == "support" else listed[1]
    form = Opinion(excluded=tuple(listed[3:]), compared=(ComparedCandidate(candidate_ref=laid_over),))
    await life.life.examination.keep(lead_id, FIRST, form)
    await life.life.examination.use_aid(lead_id, FIRST, AidUse(candidate_ref=laid_over, aid=Aid.OVERLAY))
    await life.life.examination.conclude(lead_id, FIRST, given)
    await site.settle()


async def ids_of(site: Website) -> dict[str, list[str]]:
    """Everything that an address can name, the reviewer's own and all others."""
    rows = {
        "incidentId": (tables.incidents, "incident_id"),
        "probeId": (tables.probes, "probe_id"),
        "clipId": (tables.clips, "clip_id"),
        "leadId": (tables.leads, "lead_id"),
        "reviewId": (tables.examinations, "examination_id"),
        "gallery": (tables.galleries, "name"),
    }
    found = {name: [row[column] for row in await site.kit.rows(table)] for name, (table, column) in rows.items()}
    listed = [ref for row in await site.kit.rows(tables.examinations) for pair in row["candidates"] for ref in pair]
    found["candidateRef"] = sorted(set(listed))
    found["entryId"] = [row["entry_id"] for row in await site.kit.rows(tables.audit_entries, action=CONCLUDED)]
    return found | {"number": ["1"], "name": ["lead.candidates.json"]}


async def fetched(site: Website, account: str) -> dict[str, bytes]:
    """What this account's session gets: by address, status, headers and body."""
    known = await ids_of(site)
    answers: dict[str, bytes] = {}
    for path in PATHS:
        names = re.findall(r"\{(\w+)\}", path)
        for values in product(*(known[name] for name in names)):
            address = path
            for name, value in zip(names, values, strict=True):
                address = address.replace(f"{{{name}}}", value)
            answers[f"GET {address}"] = await ask(site, "GET", address, account)
    for lead_id in known["leadId"]:
        for act in ("acknowledge", "release", "examination", "conclusions"):
            path = f"/api/v1/leads/{lead_id}/{act}"
            answers[f"POST {path}"] = await ask(site, "POST", path, account)
    return answers


async def ask(site: Website, method: str, address: str, account: str) -> bytes:
    headers = acting(account)
    if address in FEEDS:
        headers["Last-Event-ID"] = "0"
    body: dict[str, object] | None = {} if method == "POST" else None
    async with site.client.request(method, address, headers=headers, json=body, allow_redirects=False) as answer:
        content = await feed_of(site, answer.content) if address in FEEDS else await answer.read()
        told = sorted((name, value) for name, value in answer.headers.items() if name not in {"Date", "Content-Length"})
    content = content.replace(site.address.encode(), b"")
    if address == "/metrics":
        content = TIMES_OF_WORK.sub(b"", content)
    return f"{answer.status} {told}\n".encode() + content


async def feed_of(site: Website, content: Any) -> bytes:
    """Everything on the feed, without the comments that keep the connection open."""
    async with site.kit.database.read() as tx:
        last = f"id: {await outbox.latest_position(tx)}\n".encode()
    read = b""
    while last not in read or not read.endswith(b"\n\n"):
        read += await content.readany()
    return b"\n".join(line for line in read.split(b"\n") if not line.startswith(b":")).rstrip(b"\n")


@pytest.mark.parametrize("imminent", [False, True], ids=["routine", "imminent"])
async def test_nothing_that_the_reviewer_can_fetch_differs_with_the_first_opinion(
    tmp_path_factory: pytest.TempPathFactory,
    database_server: TestServer | None,
    sqlite_template: Path,
    pin: Callable[[], None],
    *,
    imminent: bool,
) -> None:
    seen: list[dict[str, bytes]] = []
    published: list[list[Any]] = []
    logs: list[list[dict[str, Any]]] = []
    for first_opinion in ("support", "exclusion"):
        async with world(tmp_path_factory.mktemp("world"), database_server, sqlite_template) as (site, life):
            pin()
            await play(site, life, first_opinion, imminent=imminent)
            [review] = [row for row in await site.kit.rows(tables.examinations) if row["round"] == 2]
            await site.post(f"/reviews/{review['examination_id']}/take", PEER.name)
            seen.append({**await fetched(site, PEER.name), **await fetched_by_another(site)})
            published.append(await on_every_topic(site))
            logs.append(await entries(site))
    support, exclusion = seen
    assert support.keys() == exclusion.keys()
    assert len(support) > 60
    assert {address for address in support if support[address] != exclusion[address]} == set()
    for own in ("/api/v1/reviews", "/review"):
        seen_list = support[f"GET {own}/{review['examination_id']}"]
        assert seen_list.startswith(b"200"), "the reviewer does see the list"
    assert b"notch" not in b"".join(support.values())
    assert len(published[0]) >= 5
    assert published[0] == published[1], "nor do the events on any topic, the feed's among them"
    assert_logs_are_blind(*logs)


async def on_every_topic(site: Website) -> list[Any]:
    """What goes out, in order; the topic of checkpoints has roots alone."""
    rows = await site.kit.rows(tables.outbox)
    return [(row["topic"], row["key"], row["event"]) for row in sorted(rows, key=lambda row: row["event_id"])]


async def entries(site: Website) -> list[dict[str, Any]]:
    """The whole audit log; with the same randomness an act has the same id in each world.

    Of the commitments to names it has which they are of: each world's keys for them are its own (P22).
    """
    rows = sorted(await site.kit.rows(tables.audit_entries), key=lambda row: str(row["entry_id"]))
    return [{**row["entry"], "names": sorted(row["entry"].get("names", {}))} for row in rows]


def assert_logs_are_blind(support: list[dict[str, Any]], exclusion: list[dict[str, Any]]) -> None:
    """Entry by entry the logs are the same but for the commitment to the opinion, which nobody can guess from it.

    So a reviewer to whom somebody hands an export, a receipt or a checkpoint has no hint in it.
    """
    assert len(support) > 10
    assert len(support) == len(exclusion)
    differing = [pair for pair in zip(support, exclusion, strict=True) if pair[0] != pair[1]]
    assert {one["action"] for pair in differing for one in pair} == {CONCLUDED}
    for one, other in differing:
        held = [entry["details"].pop("commitment") for entry in (one, other)]
        assert one == other
        assert held[0] != held[1]


async def fetched_by_another(site: Website) -> dict[str, bytes]:
    """Somebody else's screen is in sight as well: that of an analyst who could have been the reviewer."""
    return {f"{THIRD.name}: {address}": got for address, got in (await fetched(site, THIRD.name)).items()}


async def test_the_proof_would_see_a_leak(
    tmp_path_factory: pytest.TempPathFactory,
    database_server: TestServer | None,
    sqlite_template: Path,
    pin: Callable[[], None],
) -> None:
    """The first examiner's own session does differ: what is compared above is not blind itself."""
    seen = []
    for first_opinion in ("support", "exclusion"):
        async with world(tmp_path_factory.mktemp("world"), database_server, sqlite_template) as (site, life):
            pin()
            await play(site, life, first_opinion, imminent=False)
            seen.append(await fetched(site, FIRST.name))
    support, exclusion = seen
    differing = {address for address in support if support[address] != exclusion[address]}
    [lead_id] = {address.split("/")[-2] for address in differing if address.endswith("/examination")}
    own_entries = "GET /activity"  # with the commitment to the opinion
    assert differing == {f"GET /api/v1/leads/{lead_id}/examination", f"GET /examine/{lead_id}", own_entries}


@pytest.mark.parametrize("account", [PEER, THIRD], ids=lambda account: account.name)
async def test_the_case_is_closed_to_whoever_may_review_it_blind(life: LifeKit, account: Any) -> None:
    """The reviewer sees two pictures: no requestor, no case, no legal basis, not the still among its bystanders."""
    lead_id = await life.taken()
    [lead] = await life.kit.rows(tables.leads, lead_id=lead_id)
    probe_id = lead["probe_id"]
    for call in (life.kit.desk.open(probe_id, account), life.kit.desk.preview(probe_id, account)):
        with pytest.raises(PolicyRefusalError) as caught:
            await call
        assert caught.value.rule == "P12"
    [refusal] = await life.kit.audited("probe.preview")
    assert refusal["outcome"] == "refused"
    for allowed in (FIRST, DEMO_ACCOUNTS["supervisor"]):
        assert (await life.kit.desk.open(probe_id, allowed)).probe_id == probe_id


@pytest.mark.parametrize("account", [PEER, THIRD], ids=lambda account: account.name)
async def test_what_dispatch_wrote_is_closed_to_whoever_may_review_it_blind(life: LifeKit, account: Any) -> None:
    """Notes and case number too, under the incident's own id and that of one which was merged into it."""
    lead_id = await life.taken()
    [lead] = await life.kit.rows(tables.leads, lead_id=lead_id)
    [probe] = await life.kit.rows(tables.probes, probe_id=lead["probe_id"])
    notes = life.kit.desk.case_notes
    await life.kit.incident("merged", status="merged", merged_into=probe["incident_id"])
    for incident_id in (probe["incident_id"], "merged"):
        with pytest.raises(PolicyRefusalError) as caught:
            await notes.open(incident_id, account)
        assert caught.value.rule == "P12"
    assert [row["outcome"] for row in await life.kit.audited("incident.notes")] == ["refused", "refused"]
    await life.kit.incident("another")
    assert (await notes.open("another", account)).incident_id == "another"
    for allowed in (FIRST, DEMO_ACCOUNTS["supervisor"]):
        assert (await notes.open(probe["incident_id"], allowed)).incident_id == probe["incident_id"]


@pytest.mark.parametrize("same", ["incident", "case number"])
async def test_another_still_of_the_case_is_closed_as_long(life: LifeKit, same: str) -> None:
    """It tells the same case: who holds the review of one does not read it through the other."""
    desk, where = life.kit.desk, await life.kit.incident("incident-1" if same == "incident" else "incident-2")
    other = await desk.attach(where, form(case_number="26-000123"), OTHER_ANALYST, upload(b"another picture" * 50))
    open_to_all = await life.kit.incident("incident-3")
    unrelated = await desk.attach(open_to_all, form(case_number="26-9"), OTHER_ANALYST, upload(b"a third one" * 50))
    lead_id = await life.taken()
    await life.conclude(lead_id, (0,))
    [review] = await life.kit.rows(tables.examinations, lead_id=lead_id, round=2)
    await life.life.review.take(review["examination_id"], PEER)
    for call in (
        desk.open(other.probe_id, PEER),
        desk.preview(other.probe_id, PEER),
        desk.case_notes.open(where, PEER),
    ):
        with pytest.raises(PolicyRefusalError, match="open to you when") as caught:
            await call
        assert caught.value.rule == "P12"
    assert [row["outcome"] for row in await life.kit.audited("probe.view")] == ["refused"]
    assert (await desk.open(unrelated.probe_id, PEER)).probe_id == unrelated.probe_id
    for allowed in (OTHER_ANALYST, FIRST, DEMO_ACCOUNTS["supervisor"]):
        assert (await desk.open(other.probe_id, allowed)).probe_id == other.probe_id
    await life.review(lead_id, PEER, (0,))
    await life.life.release.release(lead_id, FIRST, ())
    assert (await desk.open(other.probe_id, PEER)).probe_id == other.probe_id


async def test_what_dispatch_wrote_is_closed_while_its_case_number_is_examined_elsewhere(life: LifeKit) -> None:
    await life.kit.incident("incident-2", case_number="26-000123")
    await life.taken()
    with pytest.raises(PolicyRefusalError) as caught:
        await life.kit.desk.case_notes.open("incident-2", PEER)
    assert caught.value.rule == "P12"


async def test_a_review_names_neither_the_lead_nor_its_references(life: LifeKit) -> None:
    lead_id = await life.taken(people=5)
    await life.conclude(lead_id, (0,))
    [item] = await life.life.review.queue(PEER)
    sheet = await life.life.review.take(item.examination_id, PEER)
    assert set(sheet.examination.refs) & set(await life.listed(lead_id)) == set()
    assert len(sheet.examination.refs) == 5, "the excluded ones are among them"


async def test_the_order_of_a_review_says_nothing_of_the_first_ones(life: LifeKit) -> None:
    orders = set()
    for _ in range(6):
        lead_id = await life.taken(people=6)
        await life.conclude(lead_id, (0,))
        listed = await life.listed(lead_id)
        [row] = await life.kit.rows(tables.examinations, lead_id=lead_id, round=2)
        orders.add(tuple(listed.index(ref) for _, ref in row["candidates"]))
    assert len(orders) > 1
    assert orders != {tuple(range(6))}


async def test_how_a_lead_stands_is_told_to_its_first_examiner_once_they_have_concluded(life: LifeKit) -> None:
    lead_id = await life.taken()
    with pytest.raises(PolicyRefusalError, match="Conclude first") as early:
        await life.life.standing.of_lead(lead_id, FIRST)
    assert early.value.rule == "P12"
    await life.conclude(lead_id, (0,))
    assert (await life.life.standing.of_lead(lead_id, FIRST)).agreed is None
    assert {entry["outcome"] for entry in await life.kit.audited("lead.standing")} == {"refused"}, (
        "nothing was told yet"
    )
    await life.review(lead_id, PEER, (0,))
    agreed = (await life.life.standing.of_lead(lead_id, FIRST)).agreed
    assert agreed is not None
    assert list(agreed.supported) == [(await life.listed(lead_id))[0]]


async def test_how_a_lead_stands_does_not_tell_that_two_have_differed(life: LifeKit) -> None:
    lead_id = await life.taken()
    await life.conclude(lead_id, (0,))
    before = await life.life.standing.of_lead(lead_id, FIRST)
    await life.review(lead_id, PEER, (1,))  # a third one is asked now
    assert await life.life.standing.of_lead(lead_id, FIRST) == before


@pytest.mark.parametrize("account", [PEER, THIRD], ids=lambda account: account.name)
async def test_how_a_lead_stands_is_told_to_no_reviewer(life: LifeKit, account: Any) -> None:
    lead_id = await life.agreed()
    with pytest.raises(PolicyRefusalError) as caught:
        await life.life.standing.of_lead(lead_id, account)
    assert caught.value.rule == "P12"
