"""P02: a killing that was first coded as a disturbance is searched for on the word of two people, or not at all."""

import asyncio
from datetime import timedelta

import pytest

from rtcc_bridge.errors import ConflictError, InvalidInputError, NotFoundError, PolicyRefusalError
from rtcc_bridge.policy.accounts import Account, Role
from rtcc_bridge.storage import refusal_overrides, tables
from tests.probe_kit import ADMINISTRATOR, ANALYST, OTHER_SUPERVISOR, SUPERVISOR, ProbeKit, form, upload

WORDS = "The body was found at the square; the crowd had gone."


async def recoded(kit: ProbeKit, incident_type: str = "HOMICIDE", refused_type: str | None = "CIVDIS") -> str:
    return await kit.incident(incident_type=incident_type, refused_type=refused_type)


async def refused_rule(kit: ProbeKit) -> str:
    with pytest.raises(PolicyRefusalError) as refused:
        await kit.desk.attach("incident-1", form(), ANALYST, upload())
    return refused.value.rule


async def test_two_people_open_the_search_and_both_are_on_record(kit: ProbeKit) -> None:
    await recoded(kit)
    assert await refused_rule(kit) == "P02"
    await kit.desk.declarations.attest_killing("incident-1", SUPERVISOR, WORDS)
    assert await refused_rule(kit) == "P02", "one person is not enough"
    confirmed = await kit.desk.declarations.confirm_killing("incident-1", OTHER_SUPERVISOR)
    assert (confirmed.attested_by, confirmed.confirmed_by) == ("supervisor", "second-supervisor")
    assert (await kit.authorized()).state == "authorized"
    entries = [*await kit.audited("incident.attest_killing"), *await kit.audited("incident.confirm_killing")]
    assert [(entry["actor"], entry["outcome"]) for entry in entries] == [
        ("supervisor", "attested"),
        ("second-supervisor", "confirmed"),
    ]
    assert WORDS not in str(entries), "the words may name people"


async def test_the_public_report_can_count_it(kit: ProbeKit) -> None:
    await recoded(kit)
    began = kit.clock.now()
    await kit.desk.declarations.attest_killing("incident-1", SUPERVISOR, WORDS)
    kit.clock.advance(60)
    await kit.desk.declarations.confirm_killing("incident-1", ADMINISTRATOR)
    async with kit.database.read() as tx:
        minute = timedelta(minutes=1)
        assert await refusal_overrides.count_confirmed(tx, began, began + minute) == 0
        assert await refusal_overrides.count_confirmed(tx, began + minute, began + 2 * minute) == 1


@pytest.mark.parametrize("name", ["supervisor", " Supervisor "])
async def test_one_person_is_not_two(kit: ProbeKit, name: str) -> None:
    await recoded(kit)
    await kit.desk.declarations.attest_killing("incident-1", SUPERVISOR, WORDS)
    with pytest.raises(PolicyRefusalError) as refused:
        await kit.desk.declarations.confirm_killing("incident-1", Account(name, frozenset(Role)))
    assert refused.value.rule == "P02"
    assert await refused_rule(kit) == "P02"
    (entry,) = await kit.audited("incident.confirm_killing")
    assert entry["outcome"] == "refused"


async def test_an_analyst_neither_attests_nor_confirms(kit: ProbeKit) -> None:
    await recoded(kit)
    with pytest.raises(PolicyRefusalError) as refused:
        await kit.desk.declarations.attest_killing("incident-1", ANALYST, WORDS)
    assert refused.value.rule == "P10"
    await kit.desk.declarations.attest_killing("incident-1", SUPERVISOR, WORDS)
    with pytest.raises(PolicyRefusalError):
        await kit.desk.declarations.confirm_killing("incident-1", ANALYST)
    assert await refused_rule(kit) == "P02"


@pytest.mark.parametrize(
    ("incident_type", "refused_type"),
    [("HOMICIDE", "ALIEN"), ("HOMICIDE", None), ("ROBBERY", "CIVDIS"), ("CIVDIS", "CIVDIS"), ("CIVDIS", None)],
)
async def test_nothing_else_can_be_attested_to(kit: ProbeKit, incident_type: str, refused_type: str | None) -> None:
    await recoded(kit, incident_type, refused_type)
    with pytest.raises(ConflictError):
        await kit.desk.declarations.attest_killing("incident-1", SUPERVISOR, WORDS)
    assert await kit.rows(tables.refusal_overrides) == []


@pytest.mark.parametrize(
    "changes", [{"incident_type": "CIVDIS"}, {"incident_type": "ROBBERY"}, {"refused_type": "ALIEN"}]
)
async def test_it_ends_when_the_incident_is_coded_otherwise(kit: ProbeKit, changes: dict[str, str]) -> None:
    await recoded(kit)
    await kit.desk.declarations.attest_killing("incident-1", SUPERVISOR, WORDS)
    await kit.desk.declarations.confirm_killing("incident-1", OTHER_SUPERVISOR)
    waiting = await kit.chosen()
    await kit.set_incident("incident-1", **changes)
    assert await refused_rule(kit) == "P02"
    with pytest.raises(PolicyRefusalError):
        await kit.desk.approve(waiting.probe_id, SUPERVISOR)


async def test_an_incident_that_takes_the_killing_in_needs_an_attestation_of_its_own(kit: ProbeKit) -> None:
    await recoded(kit)
    await kit.desk.declarations.attest_killing("incident-1", SUPERVISOR, WORDS)
    await kit.desk.declarations.confirm_killing("incident-1", OTHER_SUPERVISOR)
    await kit.incident("remaining")
    await kit.set_incident("incident-1", status="merged", merged_into="remaining")
    assert await refused_rule(kit) == "P02"


async def test_of_two_at_the_same_moment_one_attests_and_one_confirms(kit: ProbeKit) -> None:
    await recoded(kit)
    desk = kit.desk.declarations
    attested = await asyncio.gather(
        desk.attest_killing("incident-1", SUPERVISOR, WORDS),
        desk.attest_killing("incident-1", OTHER_SUPERVISOR, WORDS),
        return_exceptions=True,
    )
    assert sorted(type(one).__name__ for one in attested) == ["ConflictError", "RefusalOverride"]
    third, fourth = (Account(name, frozenset({Role.SUPERVISOR})) for name in ("third", "fourth"))
    confirmed = await asyncio.gather(
        desk.confirm_killing("incident-1", third), desk.confirm_killing("incident-1", fourth), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in confirmed) == ["ConflictError", "RefusalOverride"]


async def test_bad_input_is_refused(kit: ProbeKit) -> None:
    await recoded(kit)
    desk = kit.desk.declarations
    with pytest.raises(InvalidInputError):
        await desk.attest_killing("incident-1", SUPERVISOR, " ")
    with pytest.raises(ConflictError):
        await desk.confirm_killing("incident-1", SUPERVISOR)
    with pytest.raises(NotFoundError):
        await desk.attest_killing("nobody told of it", SUPERVISOR, WORDS)
    await kit.set_incident("incident-1", status="cancelled")
    with pytest.raises(PolicyRefusalError):
        await desk.attest_killing("incident-1", SUPERVISOR, WORDS)
