"""P07: what is not an actual event is searched in a training gallery or not at all."""

from typing import Any

import pytest

from rtcc_bridge.errors import PolicyRefusalError
from rtcc_bridge.leads.proficiency import NewCase
from rtcc_bridge.storage import tables
from tests.life_kit import ADMINISTRATOR, LifeKit
from tests.probe_kit import ANALYST, SUPERVISOR, Gallery, ProbeKit, face_search, form, record_of, search_handler, upload

MERGED_EXERCISE: dict[str, Any] = {
    "exercise": True,
    "status": "merged",
    "merged_into": "actual",
    "versions": {"exercise": ["2026-11-23T12:00:00.000000+00:00", 0, "dispatch 1"]},
}


async def authorized_exercise(kit: ProbeKit) -> dict[str, object]:
    await kit.incident(exercise=True)
    probe = await kit.attached()
    assert probe.exercise
    await kit.desk.choose_face(probe.probe_id, 1, ANALYST)
    await kit.desk.approve(probe.probe_id, SUPERVISOR)
    return (await kit.requests())[0]


async def test_an_exercise_is_refused_without_a_training_gallery(kit: ProbeKit) -> None:
    await kit.incident(exercise=True)
    with pytest.raises(PolicyRefusalError) as refused:
        await kit.desk.attach("incident-1", form(), ANALYST, upload())
    assert refused.value.rule == "P07"
    assert not kit.workers.inspected


async def test_an_exercise_is_searched_in_the_training_gallery_alone(training_kit: ProbeKit) -> None:
    request = await authorized_exercise(training_kit)
    actual, training = Gallery(), Gallery(kind="training")
    live, practice = face_search(actual), face_search(training)
    async with live.batcher, practice.batcher:
        await search_handler(training_kit, live, practice).handle(record_of(request))
    assert actual.seen == []
    assert len(training.seen) == 1
    (event,) = await training_kit.rows(tables.outbox, event_type="lead.no_candidate")
    assert event["topic"] == "rtcc.leads.exercise"
    assert not event["on_feed"]


@pytest.mark.parametrize("kind", ["demo", "live"])
async def test_a_gallery_of_another_kind_is_never_taken_for_the_training_gallery(
    training_kit: ProbeKit, kind: str
) -> None:
    """The settings name a gallery that turns out to be none for training."""
    request = await authorized_exercise(training_kit)
    wrong = Gallery(kind=kind)
    search = face_search(wrong)
    async with search.batcher:
        await search_handler(training_kit, search, search).handle(record_of(request))
    assert wrong.seen == []
    assert await training_kit.rows(tables.leads) == []
    assert training_kit.count("policy_refusals_total", rule="P07") == 1


async def test_a_matcher_without_a_training_gallery_searches_no_exercise(training_kit: ProbeKit) -> None:
    request = await authorized_exercise(training_kit)
    actual = Gallery()
    search = face_search(actual)
    async with search.batcher:
        await search_handler(training_kit, search).handle(record_of(request))
    assert actual.seen == []
    assert training_kit.count("policy_refusals_total", rule="P07") == 1


async def test_an_actual_event_is_not_searched_in_a_training_gallery(kit: ProbeKit) -> None:
    await kit.authorized()
    training = Gallery(kind="training")
    search = face_search(training)
    async with search.batcher:
        await search_handler(kit, search).handle(record_of((await kit.requests())[0]))
    assert training.seen == []


async def test_an_incident_that_turns_out_to_be_an_exercise_is_searched_no_more(kit: ProbeKit) -> None:
    probe = await kit.authorized()
    await kit.set_incident("incident-1", exercise=True)
    gallery = Gallery()
    search = face_search(gallery)
    async with search.batcher:
        await search_handler(kit, search).handle(record_of((await kit.requests())[0]))
    assert gallery.seen == []
    assert (await kit.desk.find(probe.probe_id)).state == "withdrawn"


@pytest.mark.parametrize("exercise", [False, True])
async def test_a_lead_whose_incident_turns_out_to_be_the_other_kind_is_taken_back(
    training_kit: ProbeKit, exercise: bool
) -> None:
    """The search has run: nobody takes the lead, and the next sweep withdraws it where it was published."""
    kit = training_kit
    await kit.incident(exercise=exercise)
    probe = await kit.authorized()
    live, training = face_search(Gallery()), face_search(Gallery(kind="training"))
    async with live.batcher, training.batcher:
        await search_handler(kit, live, training).handle(record_of((await kit.requests())[0]))
    [lead] = await kit.rows(tables.leads)
    await kit.set_incident("incident-1", exercise=not exercise)
    with pytest.raises(PolicyRefusalError) as refused:
        await kit.parts.leads.acknowledge(lead["lead_id"], ANALYST)
    assert refused.value.rule == "P07"
    await kit.reconciler.sweep()
    [lead] = await kit.rows(tables.leads)
    assert lead["review_state"] == "withdrawn"
    [event] = await kit.rows(tables.outbox, event_type="lead.withdrawn")
    assert event["topic"] == ("rtcc.leads.exercise" if exercise else "rtcc.leads")
    assert (await kit.desk.find(probe.probe_id)).state == "searched"


async def test_an_exercise_that_was_searched_as_an_actual_threat_is_no_lapse_of_the_analyst(kit: ProbeKit) -> None:
    probe = await kit.deferred()
    search = face_search(Gallery())
    async with search.batcher:
        await search_handler(kit, search).handle(record_of((await kit.requests())[0]))
    await kit.set_incident("incident-1", exercise=True)
    await kit.reconciler.sweep()
    kit.clock.advance(3600)
    await kit.reconciler.sweep()
    withdrawn = await kit.desk.find(probe.probe_id)
    assert (withdrawn.state, withdrawn.approval, withdrawn.authority_token) == ("withdrawn", "pending", None)
    assert await kit.events("lead.approval_lapsed") == []
    [entry] = await kit.audited("probe.withdraw")
    assert entry["entry"]["details"]["rule"] == "P07"


async def test_an_exercise_s_alert_makes_no_threat_imminent(kit: ProbeKit) -> None:
    await kit.incident()
    await kit.threat(exercise=True)
    assert (await kit.chosen()).state == "awaiting_approval"


@pytest.mark.parametrize("named", ["exercise", "actual"])
async def test_an_exercise_does_not_become_actual_by_a_merge(training_kit: ProbeKit, named: str) -> None:
    await training_kit.incident("actual")
    await training_kit.incident("exercise", **MERGED_EXERCISE)
    with pytest.raises(PolicyRefusalError) as refused:
        await training_kit.desk.attach(named, form(), ANALYST, upload())
    assert refused.value.rule == "P07"
    assert not training_kit.workers.inspected


async def test_a_merge_with_an_exercise_ends_a_search_that_was_approved(training_kit: ProbeKit) -> None:
    probe = await training_kit.authorized("actual")
    await training_kit.incident("exercise", **MERGED_EXERCISE)
    gallery = Gallery()
    search = face_search(gallery)
    async with search.batcher:
        await search_handler(training_kit, search).handle(record_of((await training_kit.requests())[0]))
    assert gallery.seen == []
    assert (await training_kit.desk.find(probe.probe_id)).state == "withdrawn"


async def test_a_drill_s_alert_that_names_an_actual_incident_does_not_end_its_searches(kit: ProbeKit) -> None:
    """What the alert had opened by itself was merged into the incident; a still on that alone stays refused."""
    await kit.incident("actual")
    await kit.incident("threat:drill", **(MERGED_EXERCISE | {"versions": {}}))
    assert (await kit.attached("actual")).state == "faces_found"
    with pytest.raises(PolicyRefusalError) as refused:
        await kit.desk.attach("threat:drill", form(), ANALYST, upload())
    assert refused.value.rule == "P07"


async def test_an_actual_alert_makes_no_exercise_imminent(training_kit: ProbeKit) -> None:
    await training_kit.incident(exercise=True)
    await training_kit.threat()
    chosen = await training_kit.chosen()
    assert (chosen.state, chosen.lane) == ("awaiting_approval", "routine")


async def test_cases_with_a_known_answer_are_not_made_of_the_live_gallery(life: LifeKit) -> None:
    """Seeding one would be a search of actual people for practice."""
    for name in ("person", "other 1", "other 2"):
        await life.kit.enrol(name, kind="live")
    case = NewCase(gallery="live", person="person", others=("other 1", "other 2"), listed=True)
    with pytest.raises(PolicyRefusalError) as refused:
        await life.life.proficiency.seed(ADMINISTRATOR, case)
    assert refused.value.rule == "P07"
    assert await life.kit.rows(tables.proficiency_cases) == []
