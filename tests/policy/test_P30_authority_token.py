"""P30: a matcher searches nothing without a signed token of the very search that the database has."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from rtcc_bridge.consumers.records import ConsumedRecord
from rtcc_bridge.errors import PolicyRefusalError
from rtcc_bridge.policy.authority_token import TokenSigner
from rtcc_bridge.probes.search_token import token_for
from rtcc_bridge.storage import tables
from tests.probe_kit import (
    ANALYST,
    OTHER_SUPERVISOR,
    SUPERVISOR,
    Gallery,
    ProbeKit,
    authority_keys,
    face_search,
    form,
    policy,
    record_of,
    search_handler,
    upload,
)


async def request_of(kit: ProbeKit, incident_id: str = "incident-1") -> dict[str, Any]:
    """The row of the outbox with the request of a probe that was approved."""
    probe = await kit.authorized(incident_id)
    (request,) = [row for row in await kit.requests() if row["key"] == probe.probe_id]
    return request


def with_data(request: dict[str, Any], **changes: Any) -> dict[str, Any]:
    event = request["event"]
    return {**request, "event": {**event, "data": {**event["data"], **changes}}}


def with_token(request: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return with_data(request, authority={**request["event"]["data"]["authority"], **changes})


async def is_refused(kit: ProbeKit, *records: ConsumedRecord, says: str = "") -> None:
    """Nothing is embedded, the record becomes a dead letter, and the attempt is counted and audited."""
    gallery = Gallery()
    search = face_search(gallery)
    before = kit.count("policy_refusals_total", rule="P30")
    async with search.batcher:
        handler = search_handler(kit, search)
        for record in records:
            with pytest.raises(PolicyRefusalError, match=says or None) as refused:
                await handler.handle(record)
            assert refused.value.rule == "P30"
    assert gallery.seen == []
    assert await kit.rows(tables.leads) == []
    assert kit.count("policy_refusals_total", rule="P30") == before + len(records)
    entries = [row["entry"] for row in await kit.audited("probe.search")]
    assert [entry["details"]["rule"] for entry in entries if entry["outcome"] == "refused"] == ["P30"] * len(records)


async def searched(kit: ProbeKit, request: dict[str, Any]) -> int:
    """How many faces a matcher looked up for the request."""
    gallery = Gallery()
    search = face_search(gallery)
    async with search.batcher:
        await search_handler(kit, search).handle(record_of(request))
    return len(gallery.seen)


async def test_the_token_of_a_request_lets_it_be_searched_once(kit: ProbeKit) -> None:
    request = await request_of(kit)
    assert await searched(kit, request) == 1
    assert await searched(kit, request) == 0
    assert len(await kit.rows(tables.leads)) == 1


async def test_a_token_holds_no_name_and_no_case_number(kit: ProbeKit) -> None:
    request = await request_of(kit)
    (probe,) = await kit.rows(tables.probes)
    said = json.dumps(request["event"])
    for secret in ("analyst", "requestor", "case_number", "legal_basis", "approved_by", "crop_object", "incident_id"):
        assert probe[secret]
        assert str(probe[secret]) not in said


@pytest.mark.parametrize("token", [None, {}, "a token", [], 7, {"version": 1, "signature": ""}], ids=str)
async def test_a_request_without_a_token_is_refused(kit: ProbeKit, token: object) -> None:
    await is_refused(kit, record_of(with_data(await request_of(kit), authority=token)))


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("tokenId", "another"),
        ("lane", "imminent"),
        ("galleryKind", "training"),
        ("purpose", "imminent_threat"),
        ("approval", "pending"),
        ("policyHash", "0" * 64),
        ("grounds", "0" * 64),
        ("issuedAt", "2026-01-01T00:00:00Z"),
        ("expiresAt", "2099-01-01T00:00:00Z"),
        ("key", "0" * 16),
        ("key", {}),
        ("version", 2),
        ("signature", "AAAA"),
        ("signature", "no base64"),
        ("purpose", "x" * 1000),
        ("more", "than there is"),
    ],
)
async def test_an_altered_token_is_refused(kit: ProbeKit, claim: str, value: object) -> None:
    await is_refused(kit, record_of(with_token(await request_of(kit), **{claim: value})))


async def test_a_token_of_what_is_no_text_is_refused_by_the_verifier_too(kit: ProbeKit) -> None:
    """Records with half of a surrogate pair are refused before; the verifier does not rest on that."""
    token = (await request_of(kit))["event"]["data"]["authority"]
    with pytest.raises(PolicyRefusalError) as refused:
        authority_keys().require_verifier().verify({**token, "purpose": "\ud800"}, now=kit.clock.now())
    assert refused.value.rule == "P30"


async def test_a_token_of_somebody_elses_key_is_refused(kit: ProbeKit) -> None:
    """The key's name is taken from the right one as well: it is no proof."""
    request = await request_of(kit)
    probe = await kit.desk.find(request["key"])
    foreign = token_for(probe, TokenSigner(Ed25519PrivateKey.generate()), policy(), kit.clock.now())
    named = {**foreign, "key": request["event"]["data"]["authority"]["key"]}
    await is_refused(
        kit, record_of(with_data(request, authority=foreign)), record_of(with_data(request, authority=named))
    )


async def test_a_token_of_another_probe_is_refused(kit: ProbeKit) -> None:
    request, other = await request_of(kit), await request_of(kit, "incident-2")
    record = record_of(with_data(request, authority=other["event"]["data"]["authority"]))
    await is_refused(kit, record, says="made for another probe")


async def test_a_routine_token_is_not_taken_on_the_imminent_topic(kit: ProbeKit) -> None:
    await is_refused(kit, replace(record_of(await request_of(kit)), topic="rtcc-bridge.probes.imminent"))


async def test_a_token_of_a_time_to_come_is_refused(kit: ProbeKit) -> None:
    request = await request_of(kit)
    kit.clock.advance(-121)
    await is_refused(kit, record_of(request))


async def test_an_expired_token_is_refused_and_the_reconciler_makes_another(kit: ProbeKit) -> None:
    """The record is no dead letter: nothing is wrong with it but its age."""
    request = await request_of(kit)
    kit.clock.advance(3600)
    assert await searched(kit, request) == 0
    (entry,) = [row["entry"] for row in await kit.audited("probe.search")]
    assert (entry["outcome"], entry["details"]["rule"]) == ("refused", "P30")
    assert await kit.reconciler.request_unanswered() == 1
    *_, newer = sorted(await kit.requests(), key=lambda row: int(row["id"]))
    assert await searched(kit, newer) == 1


async def test_a_token_ends_with_the_authority_it_proves(kit: ProbeKit) -> None:
    probe = await kit.deferred()
    (request,) = await kit.requests()
    assert request["event"]["data"]["authority"]["expiresAt"] == f"{probe.approve_by:%Y-%m-%dT%H:%M:%S}Z"
    kit.clock.advance(59 * 60)
    await kit.reconciler.request_unanswered()
    *_, later = sorted(await kit.requests(), key=lambda row: int(row["id"]))
    assert later["event"]["data"]["authority"]["expiresAt"] == f"{probe.approve_by:%Y-%m-%dT%H:%M:%S}Z"


@pytest.mark.parametrize(
    "changes",
    [
        {"analyst": "somebody-else"},
        {"requestor": "somebody else"},
        {"case_number": "26-999999"},
        {"legal_basis": "none"},
        {"purpose": "identify_deceased"},
        {"approved_by": "somebody-else"},
        {"chosen_face": 2},
        {"crop_object": "probe-crop/of-another-probe"},
        {"crop_landmarks": [[0, 0]] * 5},
        {"policy_hash": "0" * 64},
        {"lane": "imminent"},
        {"named_incident_id": "incident-9"},
        {"named_incident_id": None},
    ],
    ids=str,
)
async def test_a_row_that_was_changed_behind_the_desks_is_not_searched(
    kit: ProbeKit, changes: Mapping[str, Any]
) -> None:
    """Whoever can write to the database cannot sign."""
    request = await request_of(kit)
    await kit.incident("incident-9")
    async with kit.database.write() as tx:
        await tx.execute(tables.probes.update().values(changes))
    await is_refused(kit, record_of(request))


async def test_a_row_that_was_authorized_behind_the_desks_is_not_searched(kit: ProbeKit) -> None:
    """With the token of a search of the same analyst, case and hour."""
    request = await request_of(kit)
    waiting = await kit.chosen()
    async with kit.database.write() as tx:
        values: dict[str, Any] = {"state": "authorized", "approval": "granted", "approved_by": "supervisor"}
        values |= {"approved_at": kit.clock.now(), "authority_at": kit.clock.now()}
        await tx.execute(tables.probes.update().where(tables.probes.c.probe_id == waiting.probe_id).values(values))
    await is_refused(kit, record_of({**with_data(request, probeId=waiting.probe_id), "key": waiting.probe_id}))


@pytest.mark.parametrize("token", ["none", "of the search that was approved"])
async def test_no_request_is_signed_for_a_row_that_was_authorized_behind_the_desks(kit: ProbeKit, token: str) -> None:
    """The reconciler, which signs, asks for the proof that was kept when somebody gave the authority."""
    approved, waiting = await kit.authorized(), await kit.chosen("incident-2")
    at = kit.clock.now()
    values: dict[str, Any] = {"state": "authorized", "approval": "granted", "approved_by": "supervisor"}
    values |= {"approved_at": at, "authority_at": at, "requested_at": at, "requests": 1}
    if token != "none":
        values["authority_token"] = (await kit.desk.find(approved.probe_id)).authority_token
    async with kit.database.write() as tx:
        await tx.execute(tables.probes.update().where(tables.probes.c.probe_id == waiting.probe_id).values(values))
    kit.clock.advance(31)
    await kit.reconciler.sweep()
    assert {row["key"] for row in await kit.requests()} == {approved.probe_id}
    again = await kit.desk.find(waiting.probe_id)
    assert (again.state, again.approval, again.approved_by) == ("awaiting_approval", "pending", None)
    (entry,) = await kit.audited("probe.suspend")
    assert entry["entry"]["details"]["rule"] == "P30"
    assert kit.count("policy_refusals_total", rule="P30") == 1


async def test_no_further_still_rests_on_an_approval_that_was_written_behind_the_desks(kit: ProbeKit) -> None:
    first = await kit.chosen()
    async with kit.database.write() as tx:
        values: dict[str, Any] = {"state": "searched", "approval": "granted", "approved_by": "supervisor"}
        values |= {"approved_at": kit.clock.now(), "authority_at": kit.clock.now()}
        await tx.execute(tables.probes.update().values(values))
    with pytest.raises(PolicyRefusalError) as refused:
        await kit.desk.attach("incident-1", form(same_person_as=first.probe_id), ANALYST, upload())
    assert refused.value.rule == "P30"


async def test_nor_on_one_that_was_prolonged_there_after_the_still_was_attached(kit: ProbeKit) -> None:
    first = await kit.authorized()
    still = await kit.desk.attach(
        "incident-1", form(same_person_as=first.probe_id), ANALYST, upload(b"another picture")
    )
    kit.clock.advance(24 * 3600)
    async with kit.database.write() as tx:
        row = tables.probes.c.probe_id == first.probe_id
        await tx.execute(tables.probes.update().where(row).values(approved_at=kit.clock.now()))
    with pytest.raises(PolicyRefusalError) as refused:
        await kit.desk.choose_face(still.probe_id, 1, ANALYST)
    assert refused.value.rule == "P30"
    assert len(await kit.requests()) == 1


async def test_the_token_of_an_approval_that_ended_is_not_good_for_the_next_one(kit: ProbeKit) -> None:
    await kit.incident()
    await kit.threat(expires_at=kit.clock.now() + timedelta(minutes=5))
    probe = await kit.chosen()
    (before,) = await kit.requests()
    kit.clock.advance(300)
    await kit.reconciler.sweep()
    await kit.desk.approve(probe.probe_id, OTHER_SUPERVISOR)
    await is_refused(kit, record_of(before))
    *_, now = sorted(await kit.requests(), key=lambda row: int(row["id"]))
    assert await searched(kit, now) == 1


async def test_an_approval_that_comes_before_the_search_takes_nothing_from_its_token(kit: ProbeKit) -> None:
    probe = await kit.deferred()
    (request,) = await kit.requests()
    await kit.desk.approve(probe.probe_id, SUPERVISOR)
    assert await searched(kit, request) == 1


async def granted_behind_the_desks(kit: ProbeKit) -> None:
    async with kit.database.write() as tx:
        values: dict[str, Any] = {"approval": "granted", "approved_by": "supervisor", "approved_at": kit.clock.now()}
        await tx.execute(tables.probes.update().values(values))


async def test_a_deferred_search_is_not_made_once_an_approval_was_written_behind_the_desks(kit: ProbeKit) -> None:
    """Its token, whose approval was still to come, is no proof that one came; nor is another signed for it."""
    probe = await kit.deferred()
    (request,) = await kit.requests()
    await granted_behind_the_desks(kit)
    await is_refused(kit, record_of(request))
    kit.clock.advance(31)
    await kit.reconciler.sweep()
    again = await kit.desk.find(probe.probe_id)
    assert (again.state, again.approval, again.approved_by) == ("awaiting_approval", "pending", None)
    assert len(await kit.requests()) == 1


async def test_an_approval_that_was_written_over_a_deferred_one_covers_nothing(kit: ProbeKit) -> None:
    first = await kit.deferred()
    (request,) = await kit.requests()
    assert await searched(kit, request) == 1
    await granted_behind_the_desks(kit)
    with pytest.raises(PolicyRefusalError) as refused:
        await kit.desk.attach("incident-1", form(same_person_as=first.probe_id), ANALYST, upload(b"another picture"))
    assert refused.value.rule == "P30"


@pytest.mark.parametrize("end", ["withdrawn", "withdrawn by a matcher", "refused", "lapsed"])
async def test_a_search_that_has_ended_keeps_no_proof_to_be_raised_with(kit: ProbeKit, end: str) -> None:
    """Another incident, which is open, is written into the row as well."""
    probe = await (kit.authorized() if end == "withdrawn" else kit.deferred())
    (request,) = await kit.requests()
    match end:
        case "withdrawn":
            async with kit.database.write() as tx:
                await kit.approvals.withdraw_for_incident(tx, "incident-1", "the incident is cancelled")
        case "withdrawn by a matcher":
            await kit.set_incident("incident-1", status="cancelled")
            assert await searched(kit, request) == 0
        case "refused":
            await kit.desk.refuse(probe.probe_id, SUPERVISOR, "no")
        case _:
            kit.clock.advance(3600)
            assert await kit.reconciler.lapse_overdue() == 1
    before = await kit.desk.find(probe.probe_id)
    assert (before.state, before.authority_token) == ("refused" if end == "refused" else "withdrawn", None)
    await kit.incident("incident-9")
    await kit.threat("incident-9")
    values: dict[str, Any] = {"state": "authorized", "incident_id": "incident-9", "approval": probe.approval}
    values |= {"requested_at": kit.clock.now()}
    async with kit.database.write() as tx:
        await tx.execute(tables.probes.update().values(values))
    kit.clock.advance(31)
    await kit.reconciler.sweep()
    assert [row["id"] for row in await kit.requests()] == [request["id"]]
    assert (await kit.desk.find(probe.probe_id)).state != "authorized"


async def test_a_search_outlives_its_incident_in_no_other_one(kit: ProbeKit) -> None:
    """Writing another incident into the row, which is open, changes nothing: merges alone lead to another."""
    probe = await kit.authorized()
    (request,) = await kit.requests()
    await kit.incident("incident-9")
    await kit.set_incident("incident-1", status="cancelled")
    async with kit.database.write() as tx:
        await tx.execute(tables.probes.update().values(incident_id="incident-9"))
    assert await searched(kit, request) == 0
    assert (await kit.desk.find(probe.probe_id)).state == "withdrawn"


async def test_nor_does_its_approval_cover_a_still_of_another_one(kit: ProbeKit) -> None:
    first = await kit.authorized()
    await kit.incident("incident-9")
    async with kit.database.write() as tx:
        await tx.execute(tables.probes.update().values(incident_id="incident-9"))
    with pytest.raises(PolicyRefusalError) as refused:
        await kit.desk.attach("incident-9", form(same_person_as=first.probe_id), ANALYST, upload(b"another picture"))
    assert refused.value.rule == "P01"
