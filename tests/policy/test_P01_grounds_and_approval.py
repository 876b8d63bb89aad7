"""P01: no search without an incident on the feed, a case, a requestor, a legal basis and an independent approval."""

import asyncio
from dataclasses import replace

import pytest

from rtcc_bridge.errors import ConflictError, InvalidInputError, NotFoundError, PolicyRefusalError
from rtcc_bridge.policy.accounts import Account, Role
from rtcc_bridge.retention.dispositions import Disposition
from rtcc_bridge.storage import dispositions, tables
from rtcc_bridge.storage.dispositions import DispositionRecord
from tests.probe_kit import (
    ANALYST,
    FLOOR,
    OTHER_SUPERVISOR,
    SUPERVISOR,
    Gallery,
    ProbeKit,
    face_search,
    form,
    record_of,
    search_handler,
    upload,
)


async def nothing_was_taken_in(kit: ProbeKit) -> bool:
    return not await kit.rows(tables.probes) and not kit.object_files() and not kit.workers.inspected


async def test_an_incident_that_was_never_on_the_feed_permits_nothing(kit: ProbeKit) -> None:
    with pytest.raises(NotFoundError):
        await kit.desk.attach("never-seen", form(), ANALYST, upload())
    assert await nothing_was_taken_in(kit)


@pytest.mark.parametrize("missing", ["requestor", "legal_basis", "case_number"])
@pytest.mark.parametrize("blank", ["", "   "])
async def test_each_ground_is_required(kit: ProbeKit, missing: str, blank: str) -> None:
    await kit.incident()
    with pytest.raises(PolicyRefusalError, match="fill it in") as refused:
        await kit.desk.attach("incident-1", form(**{missing: blank}), ANALYST, upload())
    assert refused.value.rule == "P01"
    assert await nothing_was_taken_in(kit)


async def test_the_incident_s_own_case_number_is_enough(kit: ProbeKit) -> None:
    await kit.incident(case_number="26-777")
    probe = await kit.desk.attach("incident-1", form(case_number=None), ANALYST, upload())
    assert probe.case_number == "26-777"


async def test_another_case_number_than_the_incident_s_is_refused(kit: ProbeKit) -> None:
    await kit.incident(case_number="26-777")
    with pytest.raises(PolicyRefusalError, match="another case") as refused:
        await kit.desk.attach("incident-1", form(case_number="26-778"), ANALYST, upload())
    assert refused.value.rule == "P01"


async def recorded(kit: ProbeKit, disposition: Disposition, case_number: str = "26-000123") -> None:
    kit.clock.advance(1)
    record = DispositionRecord(
        disposition_id=f"{disposition}/{kit.clock.now()}",
        case_number=case_number,
        disposition=disposition.value,
        disposed_on="2026-11-23",
        recorded_by="requestor",
        recorded_at=kit.clock.now(),
    )
    async with kit.database.write() as tx:
        await dispositions.add(tx, record)


async def test_for_a_case_that_was_disposed_of_nobody_is_searched_until_it_is_taken_up_again(kit: ProbeKit) -> None:
    await kit.incident()
    await recorded(kit, Disposition.ACQUITTAL, "26-000999")
    for disposition in set(Disposition) - {Disposition.REOPENED}:
        await recorded(kit, disposition)
        with pytest.raises(PolicyRefusalError, match="was disposed of") as refused:
            await kit.desk.attach("incident-1", form(), ANALYST, upload())
        assert refused.value.rule == "P01"
        assert await nothing_was_taken_in(kit)
    await recorded(kit, Disposition.REOPENED)
    await kit.attached()
    await recorded(kit, Disposition.CONVICTION)
    with pytest.raises(PolicyRefusalError, match="was disposed of"):
        await kit.attached()


async def test_a_disposition_ends_what_was_not_searched_yet(kit: ProbeKit) -> None:
    attached, chosen = await kit.attached("incident-1"), await kit.chosen("incident-2")
    authorized = await kit.authorized("incident-3")
    [request] = await kit.requests()
    await recorded(kit, Disposition.DISMISSAL)
    for step in (kit.desk.choose_face(attached.probe_id, 1, ANALYST), kit.desk.approve(chosen.probe_id, SUPERVISOR)):
        with pytest.raises(PolicyRefusalError, match="was disposed of") as refused:
            await step
        assert refused.value.rule == "P01"
    gallery = Gallery()
    search = face_search(gallery)
    async with search.batcher:
        await search_handler(kit, search).handle(record_of(request))
    assert gallery.seen == []
    assert (await kit.desk.find(authorized.probe_id)).state == "withdrawn"
    assert len(await kit.requests()) == 1


async def test_a_search_that_ran_before_its_approval_is_approved_although_the_case_is_over(kit: ProbeKit) -> None:
    """Whatever is to come of it was searched while the case was open; a lapse would be counted against the analyst."""
    probe = await kit.deferred()
    search = face_search(Gallery())
    async with search.batcher:
        await search_handler(kit, search).handle(record_of((await kit.requests())[0]))
    await recorded(kit, Disposition.CLOSED_WITHOUT_CHARGE)
    assert (await kit.desk.approve(probe.probe_id, SUPERVISOR)).approval == "granted"


async def test_a_refusal_is_counted_and_audited_without_names(kit: ProbeKit) -> None:
    await kit.incident()
    with pytest.raises(PolicyRefusalError):
        await kit.desk.attach("incident-1", form(legal_basis=""), ANALYST, upload())
    assert kit.count("policy_refusals_total", rule="P01") == 1
    (entry,) = await kit.audited("probe.attach")
    assert entry["outcome"] == "refused"
    assert entry["entry"]["details"]["rule"] == "P01"
    assert "26-000123" not in str(entry["entry"])
    assert "requestor'" not in str(entry["entry"]["details"])


async def test_nothing_is_requested_before_the_approval(kit: ProbeKit) -> None:
    probe = await kit.chosen()
    assert (probe.state, probe.approval, probe.authority_at) == ("awaiting_approval", "pending", None)
    assert await kit.requests() == []


async def test_an_approval_gives_authority_and_requests_the_search(kit: ProbeKit) -> None:
    chosen = await kit.chosen()
    kit.clock.advance(90)
    probe = await kit.desk.approve(chosen.probe_id, SUPERVISOR)
    assert (probe.state, probe.approval, probe.approved_by) == ("authorized", "granted", "supervisor")
    assert probe.authority_at == kit.clock.now()
    (request,) = await kit.requests()
    assert (request["topic"], request["key"]) == ("rtcc-bridge.probes.routine", probe.probe_id)
    assert not request["on_feed"]
    assert kit.count("time_to_approval_seconds_sum", lane="routine") == 90


@pytest.mark.parametrize("account", [ANALYST, FLOOR, Account("requestor", frozenset({Role.REQUESTOR}))])
async def test_only_a_supervisor_approves(kit: ProbeKit, account: Account) -> None:
    probe = await kit.chosen()
    with pytest.raises(PolicyRefusalError) as refused:
        await kit.desk.approve(probe.probe_id, account)
    assert refused.value.rule == "P10"
    assert await kit.requests() == []


@pytest.mark.parametrize("name", ["analyst", "requestor", " Analyst ", "REQUESTOR"])
async def test_nobody_approves_their_own_search(kit: ProbeKit, name: str) -> None:
    probe = await kit.chosen()
    with pytest.raises(PolicyRefusalError) as refused:
        await kit.desk.approve(probe.probe_id, Account(name, frozenset(Role)))
    assert refused.value.rule == "P01"
    assert await kit.requests() == []
    assert kit.count("policy_refusals_total", rule="P01") == 1


async def test_of_two_supervisors_at_the_same_moment_one_approves(kit: ProbeKit) -> None:
    probe = await kit.chosen()
    outcomes = await asyncio.gather(
        kit.desk.approve(probe.probe_id, SUPERVISOR),
        kit.desk.approve(probe.probe_id, OTHER_SUPERVISOR),
        return_exceptions=True,
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["ConflictError", "ProbeRecord"]
    assert len(await kit.requests()) == 1
    assert len(await kit.audited("probe.approve")) == 1


async def test_a_refused_search_cannot_be_approved(kit: ProbeKit) -> None:
    probe = await kit.chosen()
    refused = await kit.desk.refuse(probe.probe_id, SUPERVISOR, "not proportionate")
    assert (refused.state, refused.approval, refused.state_reason) == ("refused", "refused", "not proportionate")
    with pytest.raises(ConflictError):
        await kit.desk.approve(probe.probe_id, OTHER_SUPERVISOR)
    assert await kit.requests() == []


async def test_only_a_supervisor_refuses(kit: ProbeKit) -> None:
    probe = await kit.chosen()
    with pytest.raises(PolicyRefusalError) as refused:
        await kit.desk.refuse(probe.probe_id, ANALYST, "no")
    assert refused.value.rule == "P10"
    assert (await kit.desk.find(probe.probe_id)).state == "awaiting_approval"


@pytest.mark.parametrize("reason", ["", "  ", "x" * 1025])
async def test_a_refusal_needs_its_reason(kit: ProbeKit, reason: str) -> None:
    probe = await kit.chosen()
    with pytest.raises(InvalidInputError):
        await kit.desk.refuse(probe.probe_id, SUPERVISOR, reason)
    assert (await kit.desk.find(probe.probe_id)).state == "awaiting_approval"


async def test_a_face_has_to_be_chosen_before_there_is_anything_to_approve(kit: ProbeKit) -> None:
    probe = await kit.attached()
    with pytest.raises(ConflictError):
        await kit.desk.approve(probe.probe_id, SUPERVISOR)


async def test_an_approval_that_is_too_old_permits_no_search(kit: ProbeKit) -> None:
    await kit.authorized()
    kit.clock.advance(24 * 3600)
    gallery = Gallery()
    search = face_search(gallery)
    async with search.batcher:
        await search_handler(kit, search).handle(record_of((await kit.requests())[0]))
    assert gallery.seen == []
    assert await kit.rows(tables.leads) == []


async def test_a_search_whose_approval_is_too_old_goes_back_to_the_supervisor(kit: ProbeKit) -> None:
    probe = await kit.authorized()
    kit.clock.advance(24 * 3600)
    assert await kit.reconciler.suspend_unfounded() == 1
    suspended = await kit.desk.find(probe.probe_id)
    assert (suspended.state, suspended.approval, suspended.authority_at) == ("awaiting_approval", "pending", None)
    again = await kit.desk.approve(probe.probe_id, OTHER_SUPERVISOR)
    assert again.state == "authorized"


async def test_a_clock_that_is_set_back_makes_no_approval_last(kit: ProbeKit) -> None:
    """How old the approval is by now nobody knows: with this clock it would hold until that day comes again."""
    probe = await kit.authorized()
    kit.clock.advance(-365 * 24 * 3600)
    await kit.reconciler.sweep()
    suspended = await kit.desk.find(probe.probe_id)
    assert (suspended.state, suspended.approval, suspended.authority_at) == ("awaiting_approval", "pending", None)
    assert len(await kit.requests()) == 1, "nothing was requested on the old approval"
    again = await kit.desk.approve(probe.probe_id, OTHER_SUPERVISOR)
    assert (again.state, again.approved_at) == ("authorized", kit.clock.now())


async def test_a_clock_that_was_ahead_and_is_put_right_sends_nothing_back(kit: ProbeKit) -> None:
    probe = await kit.authorized()
    kit.clock.advance(-1800)
    await kit.reconciler.sweep()
    gallery = Gallery()
    search = face_search(gallery)
    async with search.batcher:
        await search_handler(kit, search).handle(record_of((await kit.requests())[-1]))
    assert len(gallery.seen) == 1
    assert (await kit.desk.find(probe.probe_id)).state == "searched"


async def test_a_request_without_authority_is_not_searched(kit: ProbeKit) -> None:
    """Somebody writes to the internal topic, with the token of a search that has authority."""
    approved = await kit.authorized("incident-1")
    waiting = await kit.chosen("incident-2")
    (request,) = await kit.requests()
    forged = {
        **request,
        "event": {**request["event"], "data": {**request["event"]["data"], "probeId": waiting.probe_id}},
    }
    gallery = Gallery()
    search = face_search(gallery)
    async with search.batcher:
        handler = search_handler(kit, search)
        with pytest.raises(PolicyRefusalError):
            await handler.handle(record_of(forged))
        assert gallery.seen == []
        await handler.handle(record_of(request))
    assert len(gallery.seen) == 1
    assert [row["probe_id"] for row in await kit.rows(tables.leads)] == [approved.probe_id]


@pytest.mark.parametrize("approval", ["none", "refused", "lapsed"])
async def test_a_row_that_says_authorized_without_an_approval_is_not_searched(kit: ProbeKit, approval: str) -> None:
    """Somebody wrote to the database, or a defect did; not even an imminent threat makes up for it."""
    await kit.authorized()
    await kit.threat()
    async with kit.database.write() as tx:
        await tx.execute(tables.probes.update().values(approval=approval))
    gallery = Gallery()
    search = face_search(gallery)
    async with search.batcher:
        await search_handler(kit, search).handle(record_of((await kit.requests())[0]))
    assert gallery.seen == []


@pytest.mark.parametrize("state", ["faces_found", "awaiting_approval", "searched", "refused", "withdrawn"])
async def test_an_approved_probe_in_another_state_is_not_searched(kit: ProbeKit, state: str) -> None:
    await kit.authorized()
    async with kit.database.write() as tx:
        await tx.execute(tables.probes.update().values(state=state))
    gallery = Gallery()
    search = face_search(gallery)
    async with search.batcher:
        await search_handler(kit, search).handle(record_of((await kit.requests())[0]))
    assert gallery.seen == []


async def test_an_analyst_with_every_role_still_needs_somebody_else(kit: ProbeKit) -> None:
    everything = replace(ANALYST, roles=frozenset(Role))
    await kit.incident()
    probe = await kit.desk.attach("incident-1", form(), everything, upload())
    await kit.desk.choose_face(probe.probe_id, 1, everything)
    with pytest.raises(PolicyRefusalError):
        await kit.desk.approve(probe.probe_id, everything)
