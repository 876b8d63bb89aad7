"""P14: the administrator lifts what two lapses ended; the watch commander declares what the policy lists."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rtcc_bridge.errors import ConflictError, InvalidInputError, PolicyRefusalError
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.policy.accounts import Account, Role
from rtcc_bridge.storage import tables
from rtcc_bridge.storage.engine import Database
from tests.doubles import ManualClock
from tests.probe_kit import (
    ADMINISTRATOR,
    ANALYST,
    OTHER_ANALYST,
    SUPERVISOR,
    ProbeKit,
    build_kit,
    form,
    open_vault,
    policy_with,
    upload,
)


async def lapse(kit: ProbeKit, times: int) -> None:
    for number in range(times):
        await kit.deferred(f"lapsing-{number}")
        kit.clock.advance(3600)
        await kit.reconciler.sweep()


async def next_state(kit: ProbeKit, incident_id: str) -> str:
    """Of a search under an imminent threat: authorized where its approval is deferred."""
    await kit.incident(incident_id)
    await kit.threat(incident_id)
    return (await kit.chosen(incident_id)).state


async def test_after_two_lapses_the_administrator_lets_the_analyst_go_on(kit: ProbeKit) -> None:
    await lapse(kit, 2)
    assert await next_state(kit, "before") == "awaiting_approval"
    after = await kit.desk.deferrals.lift("analyst", ADMINISTRATOR, "spoken with, two alarms were false")
    assert (after.unapproved, after.lapsed_ever, after.is_ended) == (0, 2, False)
    assert await next_state(kit, "after") == "authorized"
    (entry,) = await kit.audited("deferral.lift")
    assert (entry["actor"], entry["subject"], entry["outcome"]) == ("administrator", "analyst", "lifted")


async def test_lapses_after_the_lift_count_anew(kit: ProbeKit) -> None:
    await lapse(kit, 2)
    await kit.desk.deferrals.lift("analyst", ADMINISTRATOR, "spoken with")
    kit.clock.advance(1)
    for number in (1, 2):
        assert await next_state(kit, f"again-{number}") == "authorized"
        kit.clock.advance(3600)
        await kit.reconciler.sweep()
    assert await next_state(kit, "then") == "awaiting_approval"
    (standing,) = await kit.desk.deferrals.standings(ADMINISTRATOR)
    assert (standing.unapproved, standing.lapsed_ever, standing.is_ended) == (2, 4, True)


async def test_a_lift_forgives_nothing_that_is_still_to_come(kit: ProbeKit) -> None:
    """Approvals that are outstanding at that moment may still lapse."""
    for number in (1, 2):
        assert await next_state(kit, f"outstanding-{number}") == "authorized"
    after = await kit.desk.deferrals.lift("analyst", ADMINISTRATOR, "a large operation")
    assert (after.unapproved, after.is_ended) == (2, True)
    assert await next_state(kit, "third") == "awaiting_approval"


async def test_a_search_that_was_withdrawn_before_the_lift_counts_no_more(kit: ProbeKit) -> None:
    for number in (1, 2):
        await kit.deferred(f"withdrawn-{number}")
        async with kit.database.write() as tx:
            await kit.approvals.withdraw_for_incident(tx, f"withdrawn-{number}", "the incident is cancelled")
    assert await next_state(kit, "before") == "awaiting_approval"
    kit.clock.advance(1)
    await kit.desk.deferrals.lift("analyst", ADMINISTRATOR, "dispatch cancelled both")
    assert await next_state(kit, "after") == "authorized"


@pytest.mark.parametrize("role", sorted(set(Role) - {Role.ADMINISTRATOR}))
async def test_nobody_else_lifts_it(kit: ProbeKit, role: Role) -> None:
    await lapse(kit, 2)
    with pytest.raises(PolicyRefusalError) as refused:
        await kit.desk.deferrals.lift("analyst", Account("somebody", frozenset({role})), "please")
    assert refused.value.rule == "P10"
    assert await next_state(kit, "after") == "awaiting_approval"
    (entry,) = await kit.audited("deferral.lift")
    assert entry["outcome"] == "refused"


async def test_nobody_lifts_it_for_themselves(kit: ProbeKit) -> None:
    await lapse(kit, 2)
    with pytest.raises(PolicyRefusalError) as refused:
        await kit.desk.deferrals.lift("analyst", Account(" Analyst", frozenset(Role)), "please")
    assert refused.value.rule == "P14"


async def test_there_has_to_be_something_to_lift_and_a_reason(kit: ProbeKit) -> None:
    await lapse(kit, 1)
    with pytest.raises(ConflictError):
        await kit.desk.deferrals.lift("analyst", ADMINISTRATOR, "why not")
    with pytest.raises(ConflictError):
        await kit.desk.deferrals.lift("x" * 1000, ADMINISTRATOR, "why not")
    with pytest.raises(InvalidInputError):
        await kit.desk.deferrals.lift("analyst", ADMINISTRATOR, " ")
    assert await kit.rows(tables.deferral_lifts) == []


async def test_the_lapses_of_each_are_told_to_who_oversees_them(kit: ProbeKit) -> None:
    await lapse(kit, 1)
    auditor = Account("auditor", frozenset({Role.AUDITOR}))
    (standing,) = await kit.desk.deferrals.standings(auditor)
    assert (standing.analyst, standing.unapproved, standing.is_ended) == ("analyst", 1, False)
    with pytest.raises(PolicyRefusalError):
        await kit.desk.deferrals.standings(ANALYST)


async def test_a_declared_incident_is_imminent_for_its_hours(kit: ProbeKit) -> None:
    await kit.incident(incident_type="HOSTAGE")
    declared = await kit.desk.declarations.declare_imminent("incident-1", SUPERVISOR, "shots are heard")
    assert declared.ends_at == kit.clock.now() + timedelta(hours=4)
    probe = await kit.chosen()
    assert (probe.state, probe.lane) == ("authorized", "imminent")
    assert probe.approve_by == kit.clock.now() + timedelta(minutes=60)
    (entry,) = await kit.audited("incident.declare_imminent")
    assert (entry["actor"], entry["outcome"]) == ("supervisor", "declared")
    assert "shots are heard" not in str(entry)
    await kit.desk.approve(probe.probe_id, SUPERVISOR)
    kit.clock.advance(4 * 3600)
    assert (await kit.chosen()).state == "awaiting_approval"


async def test_the_end_of_a_declaration_sends_what_was_not_searched_to_the_supervisor(kit: ProbeKit) -> None:
    await kit.incident(incident_type="HOSTAGE")
    await kit.desk.declarations.declare_imminent("incident-1", SUPERVISOR, "shots are heard")
    kit.clock.advance(4 * 3600 - 60)
    probe = await kit.chosen()
    assert probe.state == "authorized"
    kit.clock.advance(60)
    await kit.reconciler.sweep()
    assert (await kit.desk.find(probe.probe_id)).state == "awaiting_approval"


@pytest.mark.parametrize(
    "changes", [{"incident_type": "ROBBERY"}, {"exercise": True}, {"status": "cancelled"}], ids=str
)
async def test_what_the_policy_does_not_list_is_not_declared(kit: ProbeKit, changes: dict[str, Any]) -> None:
    await kit.incident(**{"incident_type": "HOSTAGE", **changes})
    with pytest.raises(PolicyRefusalError):
        await kit.desk.declarations.declare_imminent("incident-1", SUPERVISOR, "shots are heard")
    assert await kit.rows(tables.imminent_declarations) == []


async def test_a_declaration_is_over_when_the_incident_is_coded_otherwise(kit: ProbeKit) -> None:
    await kit.incident(incident_type="HOSTAGE")
    await kit.desk.declarations.declare_imminent("incident-1", SUPERVISOR, "shots are heard")
    await kit.set_incident("incident-1", incident_type="ROBBERY")
    assert (await kit.chosen()).state == "awaiting_approval"


@pytest.mark.parametrize(
    ("account", "rule"),
    [
        (ANALYST, "P10"),
        (OTHER_ANALYST, "P10"),
        (ADMINISTRATOR, "P10"),
        (Account("both", frozenset({Role.ANALYST, Role.SUPERVISOR})), "P14"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
async def test_no_analyst_chooses_the_lane_in_this_way(kit: ProbeKit, account: Account, rule: str) -> None:
    await kit.incident(incident_type="HOSTAGE")
    with pytest.raises(PolicyRefusalError) as refused:
        await kit.desk.declarations.declare_imminent("incident-1", account, "quickly")
    assert refused.value.rule == rule
    assert (await kit.chosen()).state == "awaiting_approval"


@pytest.mark.parametrize("first", ["the declaration", "the still"])
async def test_nor_under_another_account_of_theirs(kit: ProbeKit, first: str) -> None:
    """One person with two accounts is one person (P11)."""
    await kit.incident(incident_type="HOSTAGE")
    as_commander = Account(f" {ANALYST.name.upper()}", frozenset({Role.SUPERVISOR}))
    attached = await kit.attached() if first == "the still" else None
    await kit.desk.declarations.declare_imminent("incident-1", as_commander, "quickly")
    with pytest.raises(PolicyRefusalError) as refused:
        await (kit.attached() if attached is None else kit.desk.choose_face(attached.probe_id, 1, ANALYST))
    assert refused.value.rule == "P14"
    await kit.desk.attach("incident-1", form(), OTHER_ANALYST, upload())
    kit.clock.advance(4 * 3600)
    assert (await kit.chosen()).state == "awaiting_approval"


async def test_a_declaration_widens_no_purpose_as_an_alert_does(
    database: Database, clock: ManualClock, metrics: Metrics, tmp_path: Path
) -> None:
    listed = policy_with(tmp_path, "deferral", declarable_incident_types=["ROBBERY"])
    async with open_vault(tmp_path, clock) as vault:
        kit = build_kit(database, vault, clock, metrics, tmp_path / "objects", own_policy=listed)
        await kit.incident(incident_type="ROBBERY")
        await kit.desk.declarations.declare_imminent("incident-1", SUPERVISOR, "he is armed")
        with pytest.raises(PolicyRefusalError) as refused:
            await kit.desk.attach("incident-1", form(purpose="imminent_threat"), ANALYST, upload())
        assert refused.value.rule == "P02"
        assert (await kit.chosen()).lane == "imminent"
        await kit.threat()
        assert (await kit.attached(purpose="imminent_threat")).lane == "imminent"
