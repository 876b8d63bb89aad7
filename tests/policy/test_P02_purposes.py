"""P02: a closed list of purposes, each for its incident types; some incidents are never searched for at all."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from rtcc_bridge.errors import ConfigurationError, PolicyRefusalError
from rtcc_bridge.incidents.incident import IncidentEvent, apply_event
from rtcc_bridge.policy.opening import OpenedPolicy
from rtcc_bridge.policy.policy_file import load_policy
from rtcc_bridge.policy.purposes import ABSOLUTE_REFUSALS, Purpose
from rtcc_bridge.probes import reconciler
from rtcc_bridge.probes.provisional import ProvisionalForm
from rtcc_bridge.storage import incidents, probes, tables
from tests.policy_kit import put_in_force, write_policy
from tests.probe_kit import (
    ANALYST,
    OTHER_SUPERVISOR,
    POLICY_FILE,
    SUPERVISOR,
    Gallery,
    ProbeKit,
    face_search,
    form,
    record_of,
    search_handler,
    upload,
)


async def refused_rule(kit: ProbeKit, purpose: str) -> str:
    with pytest.raises(PolicyRefusalError) as refused:
        await kit.desk.attach("incident-1", form(purpose=purpose), ANALYST, upload())
    assert not await kit.rows(tables.probes)
    assert not kit.workers.inspected
    assert kit.count("policy_refusals_total", rule=refused.value.rule) > 0
    return refused.value.rule


@pytest.mark.parametrize("purpose", ["", "shoplifting", "VIOLENT_OFFENSE", "immigration", "violent_offense "])
async def test_a_purpose_that_is_not_on_the_list_is_refused(kit: ProbeKit, purpose: str) -> None:
    await kit.incident()
    assert await refused_rule(kit, purpose) == "P02"


@pytest.mark.parametrize(
    ("purpose", "incident_type"),
    [
        ("violent_offense", "SHOPLIFT"),
        ("violent_offense", "DEATH"),
        ("identify_deceased", "ROBBERY"),
        ("identify_incapacitated", "HOMICIDE"),
        ("imminent_threat", "ROBBERY"),
        ("violent_offense", "UNKNOWN"),
    ],
)
async def test_a_purpose_covers_its_own_incident_types_only(kit: ProbeKit, purpose: str, incident_type: str) -> None:
    await kit.incident(incident_type=incident_type)
    assert await refused_rule(kit, purpose) == "P02"


@pytest.mark.parametrize(
    ("purpose", "incident_type"),
    [
        ("violent_offense", "HOMICIDE"),
        ("violent_offense", "robbery"),
        ("identify_deceased", "DEATH"),
        ("identify_incapacitated", "PERUNCON"),
        ("imminent_threat", "ABDUCTF"),
    ],
)
async def test_what_is_covered_is_taken_in(kit: ProbeKit, purpose: str, incident_type: str) -> None:
    await kit.incident(incident_type=incident_type)
    probe = await kit.desk.attach("incident-1", form(purpose=purpose), ANALYST, upload())
    assert probe.purpose == purpose


async def test_an_imminent_threat_covers_any_type_for_its_own_purpose_only(kit: ProbeKit) -> None:
    await kit.incident(incident_type="TRESPASS")
    await kit.threat()
    probe = await kit.desk.attach("incident-1", form(purpose="imminent_threat"), ANALYST, upload())
    assert probe.lane == "imminent"
    with pytest.raises(PolicyRefusalError):
        await kit.desk.attach("incident-1", form(purpose="violent_offense"), ANALYST, upload())


@pytest.mark.parametrize("purpose", list(Purpose))
@pytest.mark.parametrize("incident_type", [*ABSOLUTE_REFUSALS, " civdis ", "Alien", "CIVDIS-1"])
@pytest.mark.parametrize("threatened", [True, False])
async def test_absolute_refusals_yield_to_nothing(
    kit: ProbeKit, purpose: str, incident_type: str, threatened: bool
) -> None:
    await kit.incident(incident_type=incident_type)
    if threatened:
        await kit.threat()
    assert await refused_rule(kit, purpose) == "P02"


@pytest.mark.parametrize(("incident_type", "is_a_way"), [("CIVDIS", True), ("ALIEN", False)])
async def test_the_way_that_is_open_to_a_killing_is_named_where_it_leads_on(
    kit: ProbeKit, incident_type: str, is_a_way: bool
) -> None:
    await kit.incident(incident_type=incident_type)
    with pytest.raises(PolicyRefusalError) as refused:
        await kit.desk.attach("incident-1", form(), ANALYST, upload())
    assert ("two people can attest to it" in str(refused.value)) == is_a_way


def test_the_absolute_refusals_are_these() -> None:
    assert set(ABSOLUTE_REFUSALS) >= {"CIVDIS", "ALIEN"}


@pytest.mark.parametrize("incident_type", [*ABSOLUTE_REFUSALS, "CIVDIS-1"])
def test_no_policy_file_can_permit_what_is_refused_absolutely(tmp_path: Path, incident_type: str) -> None:
    document = yaml.safe_load(POLICY_FILE.read_text(encoding="utf-8"))
    document["purposes"]["violent_offense"]["incident_types"].append(incident_type)
    altered = tmp_path / "policy.yaml"
    altered.write_text(yaml.safe_dump(document), encoding="utf-8")
    with pytest.raises(ConfigurationError, match=incident_type):
        load_policy(altered)


async def test_an_incident_that_dispatch_recodes_is_searched_no_more(kit: ProbeKit) -> None:
    """Attached as a killing, approved as one; then dispatch corrects it to a protest."""
    waiting = await kit.chosen("incident-1")
    approved = await kit.authorized("incident-2")
    for incident_id in ("incident-1", "incident-2"):
        await kit.set_incident(incident_id, incident_type="CIVDIS")
    with pytest.raises(PolicyRefusalError) as refused:
        await kit.desk.approve(waiting.probe_id, SUPERVISOR)
    assert refused.value.rule == "P02"
    gallery = Gallery()
    search = face_search(gallery)
    async with search.batcher:
        await search_handler(kit, search).handle(record_of((await kit.requests())[0]))
    assert gallery.seen == []
    withdrawn = await kit.desk.find(approved.probe_id)
    assert withdrawn.state == "withdrawn"
    assert withdrawn.state_reason is not None
    assert "protests" in withdrawn.state_reason


async def test_recoding_between_attaching_and_choosing_ends_it_too(kit: ProbeKit) -> None:
    probe = await kit.attached()
    await kit.set_incident("incident-1", incident_type="SHOPLIFT")
    with pytest.raises(PolicyRefusalError) as refused:
        await kit.desk.choose_face(probe.probe_id, 1, ANALYST)
    assert refused.value.rule == "P02"
    assert kit.workers.cropped == []


async def test_a_threat_that_nobody_ever_alerted_of_covers_no_other_type_when_the_incident_is_recoded(
    kit: ProbeKit,
) -> None:
    """The purpose of that name is no way round the types: only an alert widens it, also one whose time is over."""
    await kit.incident("alerted", incident_type="HOSTAGE")
    await kit.threat("alerted")
    alerted = await kit.attached("alerted", purpose="imminent_threat")
    await kit.incident("called", incident_type="HOSTAGE")
    called = await kit.attached("called", purpose="imminent_threat")
    kit.clock.advance(2 * 3600)
    for incident_id in ("alerted", "called"):
        await kit.set_incident(incident_id, incident_type="TRESPASS")
    with pytest.raises(PolicyRefusalError, match="does not cover incidents of type TRESPASS") as refused:
        await kit.desk.choose_face(called.probe_id, 1, ANALYST)
    assert refused.value.rule == "P02"
    assert (await kit.desk.choose_face(alerted.probe_id, 1, ANALYST)).state == "awaiting_approval"


@pytest.mark.parametrize("refused", [{"incident_type": "CIVDIS"}, {"refused_type": "CIVDIS"}], ids=["now", "before"])
@pytest.mark.parametrize("named", ["protest", "between", "killing"])
async def test_a_merge_launders_no_protest(kit: ProbeKit, refused: dict[str, str], named: str) -> None:
    """The protest was merged into a call, and that into a killing: whichever of them a person names."""
    await kit.incident("killing")
    await kit.incident("between", status="merged", merged_into="killing")
    await kit.incident("protest", status="merged", merged_into="between", **refused)
    with pytest.raises(PolicyRefusalError, match="two people can attest") as error:
        await kit.desk.attach(named, form(), ANALYST, upload())
    assert error.value.rule == "P02"
    assert not kit.workers.inspected


async def test_a_still_that_came_with_the_merge_is_searched_no_more_either(kit: ProbeKit) -> None:
    waiting = await kit.chosen("recoded")
    await kit.incident("killing")
    await kit.set_incident("recoded", status="merged", merged_into="killing", refused_type="CIVDIS")
    async with kit.database.write() as tx:
        await probes.move_to_incident(tx, "recoded", "killing", at=kit.clock.now())
    with pytest.raises(PolicyRefusalError) as refused:
        await kit.desk.approve(waiting.probe_id, SUPERVISOR)
    assert refused.value.rule == "P02"


@pytest.mark.parametrize("late", [False, True], ids=["in order", "the older event comes last"])
async def test_what_was_coded_as_a_protest_stays_refused_under_another_code(kit: ProbeKit, late: bool) -> None:
    """As dispatch reports it: first the protest, then, in a newer event, a killing."""
    now = kit.clock.now()
    told = [("CIVDIS", now), ("HOMICIDE", now + timedelta(minutes=1))]
    record = None
    for number, (incident_type, at) in enumerate(reversed(told) if late else told):
        fields = {"incidentTypeCommonRegistryText": incident_type, "caseNumber": "26-000123"}
        event = IncidentEvent(incident_id="incident-1", event=f"dispatch {number}", at=at, fields=fields)
        before, record = record, apply_event(record, event, at)
        async with kit.database.write() as tx:
            await incidents.upsert(tx, before, record)
    (stored,) = await kit.rows(tables.incidents)
    assert (stored["incident_type"], stored["refused_type"]) == ("HOMICIDE", "CIVDIS")
    assert await refused_rule(kit, "violent_offense") == "P02"


async def test_a_purpose_that_the_policy_leaves_out_is_refused_whatever_the_threat(
    kit: ProbeKit, tmp_path: Path
) -> None:
    def change(content: dict[str, Any]) -> None:
        del content["purposes"]["imminent_threat"]

    file = write_policy(tmp_path / "policy.yaml", kit.clock.now().date(), change)
    await put_in_force(kit, OpenedPolicy(load_policy(file), "the policy is not signed", None))
    await kit.incident(incident_type="ROBBERY")
    await kit.threat()
    assert await refused_rule(kit, "imminent_threat") == "P02"


@pytest.mark.parametrize("incident_type", ["CIVDIS", "alien-2"])
async def test_what_is_never_searched_for_is_not_opened_while_the_feed_is_down_either(
    kit: ProbeKit, incident_type: str
) -> None:
    with pytest.raises(PolicyRefusalError) as refused:
        await kit.provisional.open(ProvisionalForm(incident_type, "because"), SUPERVISOR)
    assert refused.value.rule == "P02"


@pytest.mark.parametrize("named_of", ["itself", "what was merged into it", "what was merged into that"])
async def test_leads_of_what_is_called_a_protest_after_the_search_are_withdrawn(kit: ProbeKit, named_of: str) -> None:
    await kit.authorized("incident-1")
    await kit.authorized("incident-2")
    search = face_search(Gallery())
    async with search.batcher:
        for request in await kit.requests():
            await search_handler(kit, search).handle(record_of(request))
    if named_of == "itself":
        await kit.set_incident("incident-1", refused_type="CIVDIS")
    else:
        into = "incident-1" if named_of == "what was merged into it" else "between"
        await kit.incident("between", status="merged", merged_into="incident-1")
        await kit.incident("protest", status="merged", merged_into=into, refused_type="CIVDIS")
    await kit.reconciler.sweep()
    states = {row["incident_id"]: row["review_state"] for row in await kit.rows(tables.leads)}
    assert states == {"incident-1": "withdrawn", "incident-2": "unreviewed"}


async def test_every_incident_that_permits_nothing_any_more_is_come_to(
    kit: ProbeKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also behind as many as are looked at at once that turn out to permit their leads: killings attested to by two."""
    monkeypatch.setattr(reconciler, "AT_ONCE", 1)
    await kit.incident("incident-1", refused_type="CIVDIS")
    await kit.desk.declarations.attest_killing("incident-1", SUPERVISOR, "the victim has died")
    await kit.desk.declarations.confirm_killing("incident-1", OTHER_SUPERVISOR)
    for incident_id in ("incident-1", "incident-2"):
        await kit.authorized(incident_id)
    search = face_search(Gallery())
    async with search.batcher:
        for request in await kit.requests():
            await search_handler(kit, search).handle(record_of(request))
    await kit.set_incident("incident-2", refused_type="CIVDIS")
    assert await kit.reconciler.withdraw_ended() == 1
    states = {row["incident_id"]: row["review_state"] for row in await kit.rows(tables.leads)}
    assert states == {"incident-1": "unreviewed", "incident-2": "withdrawn"}
