"""The API over sockets: from an incident to a lead, and every way in which it says no."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs
from yarl import URL

from rtcc_bridge.errors import BusyError, IntegrityError, InvalidInputError
from rtcc_bridge.matching.types import Verdict
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.policy.opening import OpenedPolicy
from rtcc_bridge.policy.policy_file import load_policy
from rtcc_bridge.publishing.lead_constants import LEAD_CONSTANTS
from rtcc_bridge.publishing.outbox import OutgoingEvent
from rtcc_bridge.storage import outbox, tables
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.telemetry import tracing
from tests.doubles import ManualClock
from tests.local_tracer import LocalTracer
from tests.outages import Outages
from tests.policy_kit import put_in_force, write_policy
from tests.probe_kit import STILL, face
from tests.website import FIELDS, Website, acting, clip_form, running_site, still_form


@pytest.fixture
async def site(database: Database, clock: ManualClock, metrics: Metrics, tmp_path: Path) -> AsyncIterator[Website]:
    async with running_site(database, clock, metrics, tmp_path) as running:
        yield running


async def test_a_still_becomes_a_lead_that_an_analyst_takes(site: Website) -> None:
    await site.report("INC-1")
    probe = await site.attach("INC-1")
    assert (probe["state"], [one["number"] for one in probe["faces"]]) == ("faces_found", [1])
    assert probe["faces"][0]["quality"]["unifiedScore"] == 70
    chosen = await site.post(f"/probes/{probe['probeId']}/face", "analyst", {"number": 1})
    assert (chosen["state"], chosen["approval"]["state"]) == ("awaiting_approval", "pending")
    waiting = await site.get("/probes", "supervisor")
    assert [one["probeId"] for one in waiting["items"]] == [probe["probeId"]]
    approved = await site.post(f"/probes/{probe['probeId']}/approve", "supervisor")
    assert approved["approval"]["approvedBy"] == "supervisor"
    await site.search_all([await site.kit.enrol("person")])
    lead = (await site.get(f"/probes/{probe['probeId']}", "analyst"))["lead"]
    assert {name: lead["data"][name] for name in LEAD_CONSTANTS} == LEAD_CONSTANTS
    assert (lead["data"]["result"], lead["data"]["candidateCount"]) == ("candidates", 1)
    taken = await site.post(f"/leads/{lead['data']['leadId']}/acknowledge", "analyst")
    assert taken["data"]["acknowledgedAt"] is not None
    listed = await site.get("/leads")
    assert [one["data"]["leadId"] for one in listed["items"]] == [lead["data"]["leadId"]]


async def test_p12_the_supervisor_is_told_what_came_of_the_same_picture(site: Website) -> None:
    await site.report("INC-1")
    first = (await site.attach("INC-1"))["probeId"]
    await site.post(f"/probes/{first}/face", "analyst", {"number": 1})
    await site.post(f"/probes/{first}/approve", "supervisor")
    await site.search_all([await site.kit.enrol("person")])
    site.kit.clock.advance(60)
    again = (await site.attach("INC-1"))["probeId"]
    await site.post(f"/probes/{again}/face", "analyst", {"number": 1})
    [waiting] = (await site.get("/probes", "supervisor"))["items"]
    assert (waiting["probeId"], waiting["earlierSearches"]) == (again, 1)
    [earlier] = (await site.get(f"/probes/{again}/earlier", "supervisor"))["items"]
    assert (earlier["probeId"], earlier["same"], earlier["state"]) == (first, "still", "searched")
    assert earlier["lead"]["data"]["reviewState"] == "unreviewed"
    async with site.client.get(f"/api/v1/probes/{again}/earlier", headers=acting("reviewer")) as answer:
        assert (answer.status, (await answer.json())["rule"]) == (403, "P12")
    for account, told in (("supervisor", True), ("analyst", False)):
        async with site.client.get(f"/probes/{again}", headers=acting(account)) as answer:
            page = await answer.text()
        assert ("The same picture before: 1 time" in page) == told
        assert (f'href="/probes/{first}"' in page) == told


async def test_the_upload_reaches_the_worker_and_the_vault_whole(site: Website) -> None:
    await site.report()
    picture = bytes(range(256)) * 4096
    async with site.client.post(
        "/api/v1/incidents/INC-1/probes", data=still_form(image=picture), headers=acting("analyst")
    ) as answer:
        probe = await answer.json()
    [row] = await site.kit.rows(tables.probes, probe_id=probe["probeId"])
    assert site.kit.workers.inspected == [picture]
    assert await site.kit.read(row["original_object"]) == picture


async def test_p16_the_floor_sees_no_note_and_no_case_number(site: Website) -> None:
    await site.report("INC-1", notes=["the caller names somebody"], caseNumber="26-77", location={"text": "Pier 4"})
    [shown] = (await site.get("/incidents"))["items"]
    one = await site.get("/incidents/INC-1")
    assert shown == one
    assert one["location"] == {"text": "Pier 4"}
    assert "somebody" not in json.dumps(one)
    assert "26-77" not in json.dumps(one)


async def test_incidents_under_threat_come_first_and_pages_join(site: Website) -> None:
    for number in range(5):
        await site.report(f"INC-{number}")
    await site.alert("INC-2")
    first = await site.get("/incidents?limit=2")
    second = await site.get("/incidents?limit=2&offset=2")
    third = await site.get("/incidents?limit=2&offset=4")
    seen = [one["incidentId"] for page in (first, second, third) for one in page["items"]]
    assert seen[0] == "INC-2"
    assert sorted(seen) == [f"INC-{number}" for number in range(5)]
    assert first["items"][0]["imminent"] is True
    assert first["total"] == 5


async def test_an_incident_may_have_any_name(site: Website) -> None:
    for name in ("a/b", "50% {now}?", "#<b>", "Überfall 7"):
        await site.report(name)
        url = URL(f"{site.address}/api/v1/incidents/{quote(name, safe='')}", encoded=True)
        async with site.client.session.get(url) as answer:
            assert (await answer.json())["incidentId"] == name


async def test_a_picture_without_a_usable_face_is_a_result(site: Website) -> None:
    await site.report()
    site.kit.workers.faces = (face(1, Verdict.REFUSED),)
    probe = await site.attach()
    assert probe["state"] == "rejected_quality"
    assert "too small to compare" in probe["stateReason"]
    assert probe["lead"]["data"]["result"] == "rejected_quality"


@pytest.mark.parametrize(
    ("changes", "status", "rule"),
    [
        ({"attestedOriginal": "false"}, 403, "P05"),
        ({"purpose": "curiosity"}, 403, "P02"),
        ({"purpose": "identify_incapacitated"}, 403, "P02"),
        ({"legalBasis": " "}, 403, "P01"),
        ({"requestor": None}, 403, "P01"),
        ({"attestedOriginal": "perhaps"}, 422, None),
        ({"legalBasis": "x" * 5000}, 422, None),
        ({"legalBasis": "x" * 50_000}, 422, None),
        ({"surprise": "x"}, 422, None),
    ],
)
async def test_a_form_that_may_not_pass_is_refused_with_its_rule_and_leaves_nothing(
    site: Website, changes: dict[str, str | None], status: int, rule: str | None
) -> None:
    await site.report()
    async with site.client.post(
        "/api/v1/incidents/INC-1/probes", data=still_form(changes), headers=acting("analyst")
    ) as answer:
        problem = await answer.json(content_type="application/problem+json")
    assert (answer.status, problem.get("rule"), problem["status"]) == (status, rule, status)
    assert await site.kit.rows(tables.probes) == []
    assert site.kit.object_files() == []
    assert site.kit.workers.inspected == []


async def test_an_unknown_incident_and_a_cancelled_one_are_refused(site: Website) -> None:
    await site.report("INC-2", incidentStatusCommonRegistryText="cancelled")
    for incident_id, status, rule in (("INC-1", 404, None), ("INC-2", 403, "P08")):
        async with site.client.post(
            f"/api/v1/incidents/{incident_id}/probes", data=still_form(), headers=acting("analyst")
        ) as answer:
            problem = await answer.json(content_type="application/problem+json")
        assert (answer.status, problem.get("rule")) == (status, rule)


async def test_p09_the_warrant_that_the_policy_asks_for_is_a_field_of_the_form(site: Website, tmp_path: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        content["jurisdiction"]["warrant_or_exigency_for"] = ["violent_offense"]

    file = write_policy(tmp_path / "policy.yaml", site.kit.clock.now().date(), change)
    await put_in_force(site.kit, OpenedPolicy(load_policy(file), "the policy is not signed", None))
    await site.report()
    async with site.client.post(
        "/api/v1/incidents/INC-1/probes", data=still_form(), headers=acting("analyst")
    ) as answer:
        problem = await answer.json(content_type="application/problem+json")
    assert (answer.status, problem["rule"], problem["type"]) == (403, "P09", "urn:rtcc-bridge:problem:policy.P09")
    async with site.client.get("/incidents/INC-1", headers=acting("analyst")) as answer:
        shown = await answer.text()
    assert 'name="warrantOrExigency"' in shown
    assert "the policy is not signed" in shown, "the demo says so on every page (P21)"
    probe = await site.attach(warrantOrExigency="Warrant 7")
    assert probe["warrantOrExigency"] == "Warrant 7"
    async with site.client.get(f"/probes/{probe['probeId']}", headers=acting("analyst")) as answer:
        assert "Warrant 7" in await answer.text()
    assert "Warrant 7" not in json.dumps(await site.get("/incidents/INC-1"))


async def test_what_a_worker_says_of_a_picture_reaches_the_analyst(site: Website) -> None:
    await site.report()
    site.kit.workers.error = InvalidInputError("the picture is cut off: send it again", "truncated")
    async with site.client.post(
        "/api/v1/incidents/INC-1/probes", data=still_form(), headers=acting("analyst")
    ) as answer:
        problem = await answer.json(content_type="application/problem+json")
    assert (answer.status, problem["detail"]) == (422, "the picture is cut off: send it again")
    assert site.kit.object_files() == []


async def test_a_busy_worker_says_when_to_come_back(site: Website) -> None:
    await site.report()
    site.kit.workers.error = BusyError("other pictures wait already", 7.0)
    async with site.client.post(
        "/api/v1/incidents/INC-1/probes", data=still_form(), headers=acting("analyst")
    ) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "7")


def multipart(*parts: tuple[str, bytes], end: bool = True) -> tuple[bytes, str]:
    body = b"".join(
        b'--edge\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
        % (name.encode(), b'; filename="a.jpg"' if name == "image" else b"", content)
        for name, content in parts
    )
    return body + (b"--edge--\r\n" if end else b""), "multipart/form-data; boundary=edge"


async def send_raw(site: Website, body: bytes | AsyncIterator[bytes], content_type: str) -> tuple[int, Any]:
    headers = {**acting("analyst"), "Content-Type": content_type}
    async with site.client.post("/api/v1/incidents/INC-1/probes", data=body, headers=headers) as answer:
        return answer.status, await answer.json(content_type=None)


ALL_FIELDS = tuple((name, value.encode()) for name, value in FIELDS.items())


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{}", "application/json", 415),
        (b"", "multipart/form-data", 400),
        (b"no boundary in here", "multipart/form-data; boundary=edge", 400),
        (*multipart(*ALL_FIELDS), 422),
        (*multipart(*ALL_FIELDS, ("purpose", b"again"), ("image", STILL)), 422),
        (*multipart(("purpose", b"\xff\xfe"), ("image", STILL)), 422),
        (*multipart(("purpose", b"a\0b"), ("image", STILL)), 422),
        (*multipart(*ALL_FIELDS, ("image", STILL), end=False), 400),
        (multipart(*ALL_FIELDS, ("image", STILL), end=False)[0][:-500], "multipart/form-data; boundary=edge", 400),
    ],
)
async def test_a_malformed_form_is_a_clear_problem_and_leaves_nothing(
    site: Website, body: bytes, content_type: str, status: int
) -> None:
    await site.report()
    answered, problem = await send_raw(site, body, content_type)
    assert (answered, problem["status"]) == (status, status)
    assert problem["detail"].endswith((".", "."))
    assert await site.kit.rows(tables.probes) == []
    assert site.kit.object_files() == []


async def test_an_upload_that_stops_half_way_leaves_nothing(site: Website) -> None:
    await site.report()
    body, content_type = multipart(*ALL_FIELDS, ("image", STILL * 500))
    reader, writer = await asyncio.open_connection(site.client.host, site.client.port)
    head = (
        f"POST /api/v1/incidents/INC-1/probes HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Demo-Account: analyst\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body[: len(body) // 2])
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    del reader
    await site.report("INC-2")  # the daemon goes on
    probe = await site.attach("INC-1")
    assert [row["probe_id"] for row in await site.kit.rows(tables.probes)] == [probe["probeId"]]
    assert len(site.kit.object_files()) == 1


async def test_an_upload_that_is_too_large_is_refused_before_it_is_read(
    database: Database, clock: ManualClock, metrics: Metrics, tmp_path: Path
) -> None:
    async with running_site(database, clock, metrics, tmp_path, intake={"max_upload_bytes": 1000}) as small:
        await small.report()
        status, problem = await send_raw(small, *multipart(*ALL_FIELDS, ("image", b"x" * 200_000)))
        assert (status, problem["type"]) == (413, "urn:rtcc-bridge:problem:too-large")
        assert small.kit.workers.inspected == []


async def test_an_upload_that_does_not_say_how_large_it_is_is_bounded(
    database: Database, clock: ManualClock, metrics: Metrics, tmp_path: Path
) -> None:
    async with running_site(database, clock, metrics, tmp_path, intake={"max_upload_bytes": 200_000}) as small:
        await small.report()
        body, content_type = multipart(*ALL_FIELDS, ("image", b""), end=False)

        async def unannounced() -> AsyncIterator[bytes]:
            yield body.removesuffix(b"\r\n")
            for _ in range(50):
                yield b"x" * 100_000

        status, problem = await send_raw(small, unannounced(), content_type)
        assert (status, problem["type"]) == (413, "urn:rtcc-bridge:problem:too-large")
        assert small.kit.workers.inspected == []
        assert small.kit.object_files() == []


async def test_a_form_that_never_ends_is_given_up(
    database: Database, clock: ManualClock, metrics: Metrics, tmp_path: Path
) -> None:
    settings = {"upload_timeout_seconds": 0.2}
    async with running_site(database, clock, metrics, tmp_path, web_settings=settings) as hasty:
        await hasty.report()
        reader, writer = await asyncio.open_connection(hasty.client.host, hasty.client.port)
        head = (
            "POST /api/v1/incidents/INC-1/probes HTTP/1.1\r\nHost: localhost\r\nX-Demo-Account: analyst\r\n"
            "Content-Type: multipart/form-data; boundary=edge\r\nContent-Length: 5000\r\n\r\n--edge\r\n"
        )
        writer.write(head.encode())
        async with asyncio.timeout(10):
            assert b" 408 " in await reader.readline()
        writer.close()


async def test_p04_bystanders_are_masked_in_the_picture_once_a_face_is_chosen(site: Website) -> None:
    await site.report()
    site.kit.workers.faces = (face(1), face(2, left=200.0))
    probe = await site.attach()
    image = f"/api/v1/probes/{probe['probeId']}/image"
    async with site.client.get(image, headers=acting("analyst")) as answer:
        assert (answer.status, answer.content_type) == (200, "image/jpeg")
        assert answer.headers["Cache-Control"] == "no-store"
    await site.post(f"/probes/{probe['probeId']}/face", "analyst", {"number": 2})
    async with site.client.get(image, headers=acting("supervisor")) as answer:
        assert answer.status == 200
    shown_before, shown_after = site.kit.workers.previewed
    assert (shown_before[0], len(shown_before[1])) == (None, 0)
    assert shown_after[0] is not None
    assert shown_after[0].box.left == 200.0
    assert [one.box.left for one in shown_after[1]] == [10.0]


@pytest.mark.parametrize(
    ("account", "method", "path"),
    [
        ("floor", "GET", "/probes"),
        ("analyst", "GET", "/probes"),
        ("floor", "GET", "/probes/{probe}"),
        ("requestor", "GET", "/probes/{probe}"),
        ("floor", "GET", "/probes/{probe}/image"),
        ("floor", "POST", "/probes/{probe}/face"),
        ("supervisor", "POST", "/probes/{probe}/face"),
        ("analyst", "POST", "/probes/{probe}/approve"),
        ("floor", "POST", "/leads/{lead}/acknowledge"),
        ("nobody", "GET", "/incidents"),
    ],
)
async def test_p10_an_account_without_the_role_is_refused_and_the_attempt_audited(
    site: Website, account: str, method: str, path: str
) -> None:
    await site.report()
    lead = (await site.lead())["data"]
    probe = await site.attach()
    address = "/api/v1" + path.format(probe=probe["probeId"], lead=lead["leadId"])
    body = {"number": 1} if method == "POST" else None
    refused = len(await site.kit.rows(tables.audit_entries, outcome="refused"))
    async with site.client.request(method, address, json=body, headers=acting(account)) as answer:
        problem = await answer.json(content_type="application/problem+json")
    assert (answer.status, problem["rule"], problem["type"]) == (403, "P10", "urn:rtcc-bridge:problem:policy.P10")
    audited = len(await site.kit.rows(tables.audit_entries, outcome="refused"))
    assert audited == refused + (account != "nobody")


async def test_a_lead_is_taken_by_one_analyst_and_a_second_time_changes_nothing(site: Website) -> None:
    await site.report()
    lead = (await site.lead())["data"]
    first = await site.post(f"/leads/{lead['leadId']}/acknowledge", "analyst")
    again = await site.post(f"/leads/{lead['leadId']}/acknowledge", "analyst")
    assert first == again
    assert await site.get(f"/leads/{lead['leadId']}") == first


async def test_steps_out_of_order_are_conflicts(site: Website) -> None:
    await site.report()
    probe = await site.attach()
    async with site.client.post(
        f"/api/v1/probes/{probe['probeId']}/approve", json={}, headers=acting("supervisor")
    ) as answer:
        assert (answer.status, answer.content_type) == (409, "application/problem+json")
    await site.post(f"/probes/{probe['probeId']}/face", "analyst", {"number": 1})
    async with site.client.post(
        f"/api/v1/probes/{probe['probeId']}/face", json={"number": 1}, headers=acting("analyst")
    ) as answer:
        assert answer.status == 409
    refused = await site.post(f"/probes/{probe['probeId']}/refuse", "supervisor", {"reason": "the basis is too thin"})
    assert (refused["state"], refused["stateReason"]) == ("refused", "the basis is too thin")


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/api/v1/nothing", None, 404),
        ("DELETE", "/api/v1/incidents", None, 405),
        ("GET", "/api/v1/incidents/unknown", None, 404),
        ("GET", "/api/v1/leads/unknown-unknown-0", None, 404),
        ("GET", "/api/v1/schemas/unknown.json", None, 404),
        ("GET", "/api/v1/incidents?limit=0", None, 422),
        ("GET", "/api/v1/incidents?limit=many", None, 422),
        ("GET", "/api/v1/incidents?offset=-1", None, 422),
        ("GET", "/api/v1/feed?after=soon", None, 422),
        ("POST", "/api/v1/probes/unknown-unknown-0/face", b"{", 400),
        ("POST", "/api/v1/probes/unknown-unknown-0/face", b'{"number": "one"}', 422),
        ("POST", "/api/v1/probes/unknown-unknown-0/face", b'{"number": 1, "other": 2}', 422),
        ("POST", "/api/v1/probes/unknown-unknown-0/face", b'{"number": 1}', 404),
        ("POST", "/api/v1/probes/unknown-unknown-0/refuse", b'{"reason": ""}', 422),
        ("POST", "/api/v1/probes/unknown-unknown-0/refuse", b"{" + b" " * 100_000, 413),
    ],
)
async def test_every_error_is_a_problem_document(
    site: Website, method: str, path: str, body: bytes | None, status: int
) -> None:
    account = "supervisor" if path.endswith("/refuse") else "analyst"
    headers = {**acting(account), "Content-Type": "application/json"}
    async with site.client.request(method, path, data=body, headers=headers) as answer:
        problem = await answer.json(content_type="application/problem+json")
    assert (answer.status, problem["status"]) == (status, status)
    assert problem["type"].startswith("urn:rtcc-bridge:problem:")
    assert set(problem) <= {"type", "title", "status", "detail", "rule", "correlationId"}
    assert problem["title"] == problem["title"].capitalize()
    if status == 405:
        assert "GET" in answer.headers["Allow"]


async def test_an_unforeseen_error_says_nothing_but_a_reference(site: Website, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_probe_id: str, _account: object) -> None:
        raise ZeroDivisionError("a secret of INC-1")

    monkeypatch.setattr(site.kit.desk, "open", broken)
    async with site.client.get("/api/v1/probes/any-any-any-any-0", headers=acting("analyst")) as answer:
        problem = await answer.json(content_type="application/problem+json")
    assert (answer.status, problem["type"]) == (500, "urn:rtcc-bridge:problem:internal")
    assert "secret" not in json.dumps(problem)
    assert len(problem["correlationId"]) == 16


async def test_what_is_logged_of_an_unforeseen_error_says_what_it_was_about(
    site: Website, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing of an earlier request."""

    async def broken(_probe_id: str, _account: object) -> None:
        raise ZeroDivisionError

    await site.report("INC-1")
    probe = await site.attach("INC-1")
    site.kit.workers.error = ZeroDivisionError()
    with capture_logs([merge_contextvars]) as logged:
        address = f"/api/v1/probes/{probe['probeId']}/face"
        async with site.client.post(address, json={"number": 1}, headers=acting("analyst")) as answer:
            assert answer.status == 500
        monkeypatch.setattr(site.kit.desk, "open", broken)
        async with site.client.get("/api/v1/probes/any-any-any-any-0", headers=acting("analyst")) as answer:
            assert answer.status == 500
    first, second = (line for line in logged if line["event"] == "request failed")
    assert (first["incident_id"], first["probe_id"]) == ("INC-1", probe["probeId"])
    assert not {"incident_id", "probe_id"} & second.keys()


async def test_a_trace_that_a_request_brings_is_linked_to_and_decides_nothing(site: Website) -> None:
    brought = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    tracer = LocalTracer()
    tracing.use(tracer)
    try:
        await site.report("INC-1")
        probe = await site.attach("INC-1")
        headers = {**acting("analyst"), "traceparent": brought}
        async with site.client.post(
            f"/api/v1/probes/{probe['probeId']}/face", json={"number": 1}, headers=headers
        ) as answer:
            assert answer.status == 200
    finally:
        tracing.use(None)
    attached, chosen = (span for span in tracer.spans if span.name in {"probe.attach", "probe.choose_face"})
    assert attached.links == []
    assert chosen.links == [brought]
    assert chosen.parent == attached.traceparent


async def test_a_breach_of_integrity_is_passed_on_so_that_the_process_stops(
    site: Website, monkeypatch: pytest.MonkeyPatch
) -> None:
    breach = IntegrityError("a sealed object was altered")

    async def tampered(_probe_id: str, _account: object) -> None:
        raise breach

    monkeypatch.setattr(site.kit.desk, "open", tampered)
    async with site.client.get("/api/v1/probes/any-any-any-any-0", headers=acting("analyst")) as answer:
        assert answer.status == 500
    assert site.breaches == [breach]


async def test_while_events_do_not_get_out_no_further_picture_is_taken_and_the_board_stays_up(
    site: Website, clock: ManualClock
) -> None:
    await site.report()
    event = OutgoingEvent(event_type="test", topic="leads", key=None, subject=None, data={}, on_feed=False)
    async with site.kit.database.write() as tx:
        await site.kit.parts.outbox.put(tx, event)
    await site.attach()
    clock.advance(site.services.settings.relay.backlog_age_limit_seconds + 1)
    for kind, form in (("probes", still_form()), ("clips", clip_form())):
        address = f"/api/v1/incidents/INC-1/{kind}"
        async with site.client.post(address, data=form, headers=acting("analyst")) as answer:
            problem = await answer.json(content_type="application/problem+json")
            assert (answer.status, problem["type"]) == (503, "urn:rtcc-bridge:problem:busy")
            assert int(answer.headers["Retry-After"]) >= 1
    async with site.client.get("/") as answer:
        assert answer.status == 200
    async with site.kit.database.write() as tx:
        waiting = await outbox.unpublished(tx, "leads", 10)
        await outbox.mark_published(tx, [record.id for record in waiting], clock.now())
    await site.attach()


async def test_the_database_away_is_said_with_retry_after(site: Website, outages: Outages) -> None:
    await site.report()
    async with outages.away("incidents"), site.client.get("/api/v1/incidents") as answer:
        problem = await answer.json(content_type="application/problem+json")
        assert (answer.status, problem["type"]) == (503, "urn:rtcc-bridge:problem:unavailable")
        assert int(answer.headers["Retry-After"]) >= 1


async def test_of_two_uploads_one_more_than_the_limit_is_told_to_wait(
    database: Database, clock: ManualClock, metrics: Metrics, tmp_path: Path
) -> None:
    async with running_site(database, clock, metrics, tmp_path, web_settings={"uploads": 1}) as site:
        await site.report()
        connections = [await asyncio.open_connection(site.client.host, site.client.port) for _ in range(2)]
        for reader, writer in connections:
            writer.write(
                b"POST /api/v1/incidents/INC-1/probes HTTP/1.1\r\nHost: localhost\r\nX-Demo-Account: analyst\r\n"
                b"Content-Type: multipart/form-data; boundary=edge\r\nContent-Length: 5000\r\n"
                b"Expect: 100-continue\r\n\r\n"
            )
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        answers = [asyncio.create_task(reader.readuntil(b"\r\n\r\n")) for reader, _ in connections]
        told, waiting = await asyncio.wait(answers, timeout=10, return_when=asyncio.FIRST_COMPLETED)
        # Neither sends its form: the one that came second is answered, the other is still waited for.
        assert len(waiting) == 1
        head = (await told.pop()).lower()
        assert b" 503 " in head
        assert b"\r\nretry-after: 3\r\n" in head
        for _, writer in connections:
            writer.close()
        await asyncio.gather(*waiting, return_exceptions=True)
