"""The whole demo with traces on and everything logged: what it tells operations, and what it must tell nobody."""

import base64
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from sqlalchemy import select

from rtcc_bridge.app.foundation import open_core
from rtcc_bridge.demo import story
from rtcc_bridge.demo.examiners import EVIDENCE_ITEM
from rtcc_bridge.demo.pictures import portrait, rephotograph
from rtcc_bridge.demo.run import play_and_check
from rtcc_bridge.demo.stage import DemoOptions, stage_set
from rtcc_bridge.matching.types import Float32Array
from rtcc_bridge.policy.accounts import DEMO_ACCOUNTS
from rtcc_bridge.storage import tables
from rtcc_bridge.telemetry.otlp import ATTRIBUTES, ERROR_TYPE, REFUSED
from tests.collector import Collector, Received, collecting
from tests.e2e.calls import ClientOf, on_floor, publish, until
from tests.e2e.conftest import Place
from tests.e2e.forbidden import Forbidden, add_what_was_searched, of_the_gallery, values_of
from tests.e2e.program import running_daemon, start

ROOT = Path(__file__).resolve().parents[2]
FILLERS = 1000
CASE, REQUESTOR, BASIS = "CASE-47110815", "requestor-of-this-test", "a legal basis that names somebody"
WORDS_OF_THE_PROGRAM = {"section": {"operations"}}
"""Values of a log line's fields that are spelt like an account: a section of the settings."""


@dataclass(frozen=True)
class Told:
    """What a demo has told: the daemon's log, its spans, and what must be in neither."""

    log: str
    collector: Collector
    forbidden: Forbidden

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.splitlines()]

    def named(self, name: str, **facts: str) -> list[Received]:
        wanted = {ATTRIBUTES[fact]: value for fact, value in facts.items()}
        return [span for span in self.collector.named(name) if wanted.items() <= span.facts.items()]

    def children(self, parent: Received, name: str | None = None) -> list[Received]:
        family = [span for span in self.collector.spans if span.trace_id == parent.trace_id]
        return [span for span in family if span.parent_id == parent.span_id and name in {None, span.name}]

    def child(self, parent: Received, name: str, **facts: str) -> Received:
        found = [span for span in self.children(parent, name) if span in self.named(name, **facts)]
        assert len(found) == 1, (name, found, self.children(parent))
        return found[0]


async def play_demo(folder: Path, monkeypatch: pytest.MonkeyPatch, collector: Collector) -> Told:
    settings = {
        "RTCC_BRIDGE_LOG__LEVEL": "DEBUG",
        "RTCC_BRIDGE_LOG__FORMAT": "json",
        "RTCC_BRIDGE_TRACING__ENDPOINT": collector.endpoint,
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    for name in ("VIOLENT", "THREAT"):
        monkeypatch.setattr(story, name, replace(getattr(story, name), case_number=CASE, legal_basis=BASIS))
    # The other lead goes to its requestor, who is one of the demo's accounts.
    monkeypatch.setattr(story, "THREAT", replace(story.THREAT, requestor=REQUESTOR))
    options = DemoOptions(None, None, 0, ROOT / ".cache/packs", ROOT / "config/policy.yaml", 1, fillers=FILLERS)
    console = Console(file=io.StringIO())
    async with stage_set(options, console, folder) as stage, open_core(stage.settings) as core:
        forbidden = await of_the_gallery(core)
        await play_and_check(stage, console)
        await add_what_was_searched(core, forbidden)
        async with core.database.read() as tx:
            reported = (await tx.execute(select(tables.corroborations))).all()
            acted = set((await tx.execute(select(tables.audit_entries.c.actor))).scalars())
    # Else nothing would be found because nothing was said.
    assert EVIDENCE_ITEM in str(reported)
    assert acted >= {"analyst", "reviewer", "requestor", "supervisor"}
    forbidden.texts |= {"case number": CASE, "requestor": REQUESTOR, "legal basis": BASIS}
    forbidden.texts["evidence item"] = EVIDENCE_ITEM
    forbidden.add_bytes("still", rephotograph(portrait()))
    master_key = (folder / "master.key").read_text().split()[0]
    forbidden.texts["master key"] = master_key
    return Told((folder / "daemon.log").read_text(), collector, forbidden)


def require_way_of_a_routine_search(told: Told) -> None:
    """A record of dispatch, a still, a face, an approval, a search in a batch, a lead: one trace."""
    (report,) = [span for span in told.collector.named("incident.event") if told.children(span, "probe.attach")]
    assert (report.kind, report.parent_id) == ("consumer", "")
    attached = [span for span in told.children(report, "probe.attach") if told.children(span)]
    assert len(attached) == 2, "the story searches with the still twice"
    for attach in attached:
        chosen = told.child(attach, "probe.choose_face")
        approved = told.child(chosen, "probe.approve")
        assert told.child(approved, "publish", topic="rtcc-bridge.probes.routine").kind == "producer"
        require_way_of_a_search(told, approved)


def require_way_of_an_urgent_search(told: Told) -> None:
    """The same for a threat, whose approval may follow: the choice itself gives authority."""
    (alert,) = [span for span in told.collector.named("threat.event") if told.children(span, "probe.attach")]
    chosen = told.child(told.child(alert, "probe.attach"), "probe.choose_face")
    told.child(chosen, "publish", topic="rtcc-bridge.probes.imminent")
    require_way_of_a_search(told, chosen)


def require_way_of_a_search(told: Told, authority: Received) -> None:
    search = told.child(authority, "probe.search")
    assert search.kind == "consumer"
    assert search.facts["rtcc_bridge.probe_id"] == authority.facts["rtcc_bridge.probe_id"]
    assert search.facts["rtcc_bridge.incident_id"] == authority.facts["rtcc_bridge.incident_id"]
    batch = told.child(search, "batch")
    assert batch.links == (search.span_id,)
    assert batch.facts == {"rtcc_bridge.batch_size": 1}
    assert sorted(span.name for span in told.children(batch)) == ["align", "embed", "search"]
    persist = told.child(search, "persist")
    published = told.children(persist, "publish")
    assert published, "the lead was published"
    assert {span.facts["messaging.destination.name"] for span in published} == {"rtcc.leads"}
    for taken in told.children(persist, "lead.acknowledge"):
        # That it was taken; on the imminent lane also that its review is open.
        assert {span.facts[ATTRIBUTES["topic"]] for span in told.children(taken, "publish")} == {"rtcc.leads"}


def require_nothing_forbidden(told: Told) -> None:
    spans = b"\n".join(told.collector.bodies).decode("utf-8", errors="replace")
    found = {where: told.forbidden.found_in(text) for where, text in (("log", told.log), ("spans", spans))}
    assert found == {"log": [], "spans": []}
    assert {name for span in told.collector.spans for name in span.facts} <= {*ATTRIBUTES.values(), ERROR_TYPE, REFUSED}
    assert [line for line in told.lines if DEMO_ACCOUNTS.keys() & set(values_of(_without_own_words(line)))] == []
    facts = {str(fact) for span in told.collector.spans for fact in span.facts.values()}
    assert DEMO_ACCOUNTS.keys() & facts == set()


def _without_own_words(line: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in line.items() if value not in WORDS_OF_THE_PROGRAM.get(name, ())}


def require_log_lines_that_tell_their_work(told: Told) -> None:
    begun = [line for line in told.lines if line["event"] == "begun"]
    spans = {(span.trace_id, span.name): span for span in told.collector.spans}
    for work in ("probe.attach", "probe.choose_face", "probe.approve", "probe.search", "lead.acknowledge"):
        of_work = [line for line in begun if line["work"] == work]
        assert of_work, work
        for line in of_work:
            assert (line["trace_id"], work) in spans
    after_choice = [line for line in begun if line["work"] in {"probe.choose_face", "probe.approve"}]
    for line in after_choice:
        about = spans[line["trace_id"], "probe.choose_face"].facts
        assert line["incident_id"] == about["rtcc_bridge.incident_id"]
        assert line["probe_id"]
    assert all({"event", "level", "timestamp", "logger"} <= line.keys() for line in told.lines)


@pytest.mark.timeout(300)
async def test_a_demo_is_one_trace_a_search_and_tells_nothing_of_people(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with collecting() as collector:
        told = await play_demo(tmp_path, monkeypatch, collector)
    require_nothing_forbidden(told)
    require_way_of_a_routine_search(told)
    require_way_of_an_urgent_search(told)
    require_log_lines_that_tell_their_work(told)
    assert len(collector.named("lead.acknowledge")) == 2


@pytest.mark.once
async def test_a_start_that_fails_logs_no_secret(place: Place) -> None:
    """Everything that is secret in the settings at once, with a database that does not answer."""
    secrets: Sequence[str] = ("a-password-of-the-database", "a-token-of-transit")
    environment = {
        "RTCC_BRIDGE_LOG__LEVEL": "DEBUG",
        "RTCC_BRIDGE_DATABASE__URL": f"postgresql+asyncpg://rtcc:{secrets[0]}@127.0.0.1:1/rtcc",
        "RTCC_BRIDGE_DATABASE__START_PATIENCE_SECONDS": "0.5",
        "RTCC_BRIDGE_OBJECTS__TRANSIT_URL": "http://127.0.0.1:1",
        "RTCC_BRIDGE_OBJECTS__TRANSIT_TOKEN": secrets[1],
    }
    with collecting() as collector:
        environment["RTCC_BRIDGE_TRACING__ENDPOINT"] = collector.endpoint
        process = await start(
            ["serve", "--config", str(place.settings_file)], place.log, real_workers=False, **environment
        )
        assert await process.wait() != 0
    told = place.log.read_text()
    assert "traces are sent" in told
    assert [secret for secret in secrets if secret in told] == []


@pytest.mark.once
async def test_a_collector_that_never_answers_holds_up_no_daemon(enrolled_place: Place, client_of: ClientOf) -> None:
    """One that hangs in its shutdown would end with another code, or be killed."""
    with collecting() as collector:
        collector.answers.clear()
        enrolled_place.changes["tracing"] = {"endpoint": collector.endpoint, "timeout_seconds": 60}
        async with running_daemon(enrolled_place.settings_file, enrolled_place.address, enrolled_place.log) as process:
            await on_floor(client_of(enrolled_place), await publish(enrolled_place, threat=False))
            await until(lambda: collector.requests > 0)
        assert process.returncode == 0
    told = [json.loads(line) for line in enrolled_place.log.read_text().splitlines()]
    about_traces = [line["event"] for line in told if "traces" in line["event"]]
    assert about_traces == ["traces are sent", "the last traces were not sent in time"]


def test_what_is_forbidden_is_known_again_in_whatever_form() -> None:
    forbidden = Forbidden(references={"portrait-01"})
    template = unit_vector(128)
    picture = bytes(range(256))
    forbidden.add_template(template)
    forbidden.add_bytes("picture", picture)
    forbidden.add_score("score", 0.8123456789)
    told = [
        "of portrait-01, who",
        "0.8123456",
        str(template.tolist()),
        json.dumps({"template": template.tolist()}),
        template.tobytes().hex(),
        base64.b64encode(b"x" + template.tobytes()).decode(),
        json.dumps(repr(template.tobytes())),
        base64.b64encode(b"xy" + picture).decode(),
        repr(picture),
        str(list(picture)),
    ]
    assert [text for text in told if not forbidden.found_in(text)] == []
    assert forbidden.found_in("portrait-012 took 0.81 s and 0.123456 s") == []


def unit_vector(length: int) -> Float32Array:
    vector = np.random.default_rng(1).standard_normal(length).astype(np.float32)
    unit: Float32Array = vector / np.float32(np.linalg.norm(vector))
    return unit
