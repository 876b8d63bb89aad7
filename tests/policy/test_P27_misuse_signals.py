"""P27: signs of misuse in what people did, for the administrator alone; `tests/unit/reports` tries each threshold."""

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import generate_latest

from rtcc_bridge.cloud_event import rfc3339
from rtcc_bridge.commands.console import EXIT_CONFIGURATION
from rtcc_bridge.errors import PolicyRefusalError
from rtcc_bridge.leads.proficiency import NewCase
from rtcc_bridge.matching.edits import Rotate
from rtcc_bridge.policy.accounts import DEMO_ACCOUNTS, Account
from rtcc_bridge.policy.policy_parts import Conclusion
from rtcc_bridge.reports.misuse import MisuseWatch
from rtcc_bridge.reports.misuse_signals import Signal, SignalKind
from rtcc_bridge.storage import tables
from tests.command_kit import Command
from tests.life_kit import ADMINISTRATOR, PEER, LifeKit, opinion, under
from tests.policy_kit import write_policy
from tests.probe_kit import (
    ANALYST,
    SUPERVISOR,
    Gallery,
    ProbeKit,
    face_search,
    form,
    record_of,
    search_handler,
    upload,
)
from tests.report_kit import report_desks

History = Callable[[LifeKit], Awaitable[None]]

SAVED_ANEW = b"the same picture, saved again " * 100


async def found(life: LifeKit, folder: Path, roster: Path | None = None) -> dict[SignalKind, list[Signal]]:
    report = await report_desks(life.kit, folder, roster).misuse.look(ADMINISTRATOR)
    by_kind: dict[SignalKind, list[Signal]] = {}
    for one in report.signals:
        by_kind.setdefault(one.kind, []).append(one)
    return by_kind


async def looked_at_before(kit: ProbeKit, incident_id: str = "incident-1") -> None:
    """A search that a supervisor has opened before the approval."""
    probe = await kit.chosen(incident_id)
    await kit.desk.open(probe.probe_id, SUPERVISOR)
    await kit.desk.approve(probe.probe_id, SUPERVISOR)


async def the_same_still_twice(life: LifeKit) -> None:
    await life.lead()
    await life.lead()


async def attached_anew(life: LifeKit, copy: bytes, incident_id: str = "incident-1") -> str:
    """The picture in other bytes; the stand-in cuts the same pixels out of every still."""
    if not await life.kit.rows(tables.incidents, incident_id=incident_id):
        await life.kit.incident(incident_id)
    probe = await life.kit.desk.attach(incident_id, form(), ANALYST, upload(copy))
    return probe.probe_id


async def the_same_still_saved_anew(life: LifeKit) -> None:
    """As a copy without its metadata is: other bytes, and the very pixels of the face."""
    await life.lead()
    probe_id = await attached_anew(life, SAVED_ANEW, "incident-2")
    await life.kit.desk.choose_face(probe_id, 1, ANALYST)
    await life.kit.desk.approve(probe_id, SUPERVISOR)
    search = face_search(Gallery())
    async with search.batcher:
        handler = search_handler(life.kit, search)
        for row in await life.kit.requests():
            await handler.handle(record_of(row))


async def edits_of_copies(life: LifeKit) -> None:
    """Two edits of the still, then two of a copy that was saved anew, so that no bytes see more than two."""
    first = await life.kit.attached()
    await life.kit.desk.edit(first.probe_id, [Rotate(1.0)], ANALYST)
    await life.kit.desk.choose_face(first.probe_id, 1, ANALYST)
    copy = await attached_anew(life, SAVED_ANEW)
    for degrees in (2.0, 3.0):
        await life.kit.desk.edit(copy, [Rotate(degrees)], ANALYST)
    await life.kit.desk.choose_face(copy, 1, ANALYST)


async def another_still(life: LifeKit) -> None:
    """Whose face is never chosen: nothing says that it is a copy."""
    await life.lead()
    await attached_anew(life, SAVED_ANEW)


async def edits_of_other_stills(life: LifeKit) -> None:
    first = await life.kit.attached()
    await life.kit.desk.edit(first.probe_id, [Rotate(1.0)], ANALYST)
    other = await attached_anew(life, SAVED_ANEW)
    for degrees in (2.0, 3.0):
        await life.kit.desk.edit(other, [Rotate(degrees)], ANALYST)


async def a_still_once(life: LifeKit) -> None:
    await life.lead()
    await life.kit.attached()


async def four_edits(life: LifeKit) -> None:
    probe = await life.kit.attached()
    for degrees in (1.0, 2.0, 3.0):
        await life.kit.desk.edit(probe.probe_id, [Rotate(degrees)], ANALYST)


async def three_edits(life: LifeKit) -> None:
    probe = await life.kit.attached()
    for degrees in (1.0, 2.0, 1.0):
        await life.kit.desk.edit(probe.probe_id, [Rotate(degrees)], ANALYST)


async def approved_unseen(life: LifeKit) -> None:
    await life.kit.authorized()


async def approved_after_a_look(life: LifeKit) -> None:
    await looked_at_before(life.kit)


async def an_approval_that_was_refused(life: LifeKit) -> None:
    """It says of nobody that they approve unseen: the rules have seen to that."""
    probe = await life.kit.chosen()
    with pytest.raises(PolicyRefusalError):
        await life.kit.desk.approve(probe.probe_id, ANALYST)


async def a_lapse(life: LifeKit) -> None:
    await life.kit.deferred()
    life.kit.clock.advance(3600)
    await life.kit.reconciler.sweep()


async def a_deferral_in_time(life: LifeKit) -> None:
    probe = await life.kit.deferred()
    await life.kit.desk.approve(probe.probe_id, SUPERVISOR)
    life.kit.clock.advance(3600)
    await life.kit.reconciler.sweep()


async def five_agreements(life: LifeKit) -> None:
    await under(life, misuse={"reviews_without_disagreement": 5})
    for _ in range(5):
        await life.agreed()


async def a_disagreement_among_them(life: LifeKit) -> None:
    await five_agreements(life)
    lead_id = await life.taken()
    await life.conclude(lead_id, supported=(0,))
    await life.review(lead_id, PEER)
    await life.review(lead_id, DEMO_ACCOUNTS["examiner"])


async def answered(life: LifeKit, *, rightly: bool) -> None:
    await life.enrol("person", pictures=3)
    await life.enrol("other")
    for _ in range(2):
        await life.life.proficiency.seed(
            ADMINISTRATOR, NewCase(gallery="demo", person="person", others=("other",), listed=True)
        )
    people = {
        one["ref"]
        for row in await life.kit.rows(tables.proficiency_cases)
        for one in row["candidates"]
        if one["isPerson"] == rightly
    }
    for waiting in await life.life.review.queue(PEER):
        sheet = await life.life.review.take(waiting.examination_id, PEER)
        wanted = [own for own, ref in sheet.examination.candidates if ref in people]
        given = opinion(sheet.examination.refs, support=wanted, level=Conclusion.LIMITED_SUPPORT)
        await life.life.review.conclude(waiting.examination_id, PEER, given)


async def two_missed_cases(life: LifeKit) -> None:
    await answered(life, rightly=False)


async def two_right_answers(life: LifeKit) -> None:
    await answered(life, rightly=True)


CASES = [
    (SignalKind.SAME_STILL, the_same_still_twice, a_still_once, "analyst"),
    (SignalKind.SAME_STILL, the_same_still_saved_anew, another_still, "analyst"),
    (SignalKind.RECROPS, four_edits, three_edits, "analyst"),
    (SignalKind.RECROPS, edits_of_copies, edits_of_other_stills, "analyst"),
    (SignalKind.UNOPENED_APPROVALS, approved_unseen, approved_after_a_look, "supervisor"),
    (SignalKind.LAPSED_DEFERRALS, a_lapse, a_deferral_in_time, "analyst"),
    (SignalKind.NEVER_DISAGREES, five_agreements, a_disagreement_among_them, "reviewer"),
    (SignalKind.MISSED_CASES, two_missed_cases, two_right_answers, "reviewer"),
]


@pytest.mark.parametrize(("kind", "fires", "account"), [(kind, fires, who) for kind, fires, _, who in CASES])
async def test_it_is_found_in_what_was_done(
    life: LifeKit, tmp_path: Path, kind: SignalKind, fires: History, account: str
) -> None:
    await fires(life)
    life.kit.clock.advance(1)
    [one] = (await found(life, tmp_path))[kind]
    assert one.accounts == (account,)
    assert one.references


@pytest.mark.parametrize(
    ("kind", "silent"),
    [
        *((kind, silent) for kind, _, silent, _ in CASES),
        (SignalKind.UNOPENED_APPROVALS, an_approval_that_was_refused),
    ],
)
async def test_it_is_not_found_where_it_was_not_done(
    life: LifeKit, tmp_path: Path, kind: SignalKind, silent: History
) -> None:
    await silent(life)
    life.kit.clock.advance(1)
    assert kind not in await found(life, tmp_path)


@pytest.mark.parametrize("on_shift", [True, False])
async def test_off_shift_use_is_told_by_the_roster(life: LifeKit, tmp_path: Path, *, on_shift: bool) -> None:
    now, roster = life.kit.clock.now(), tmp_path / "roster.csv"
    begins = now - timedelta(hours=1 if on_shift else 10)
    rows = [
        ("analyst", begins, begins + timedelta(hours=8)),
        ("supervisor", now - timedelta(hours=1), now + timedelta(hours=7)),
    ]
    lines = [f"{account},{rfc3339(begin)},{rfc3339(end)}" for account, begin, end in rows]
    roster.write_text("\n".join(["account,begins,ends", *lines]) + "\n")
    await life.taken()
    life.kit.clock.advance(1)
    signals = (await found(life, tmp_path, roster)).get(SignalKind.OFF_SHIFT, [])
    assert [one.accounts for one in signals] == ([] if on_shift else [("analyst",)])
    assert SignalKind.OFF_SHIFT not in await found(life, tmp_path)


async def test_a_search_refused_off_shift_is_an_act_and_an_attempt_at_it_is_none(life: LifeKit, tmp_path: Path) -> None:
    now, roster = life.kit.clock.now(), tmp_path / "roster.csv"
    earlier = f"{rfc3339(now - timedelta(hours=10))},{rfc3339(now - timedelta(hours=2))}"
    on_shift = f"{rfc3339(now - timedelta(hours=1))},{rfc3339(now + timedelta(hours=7))}"
    roster.write_text(f"account,begins,ends\nsupervisor,{earlier}\n{PEER.name},{earlier}\nanalyst,{on_shift}\n")
    waiting = await life.kit.chosen("waiting")
    with pytest.raises(PolicyRefusalError):
        await life.kit.desk.refuse(waiting.probe_id, PEER, "no basis")
    await life.kit.desk.refuse(waiting.probe_id, DEMO_ACCOUNTS["supervisor"], "no basis")
    assert [(row["actor"], row["outcome"]) for row in await life.kit.audited("probe.refuse")] == [
        (PEER.name, "refused"),
        ("supervisor", "declined"),
    ]
    life.kit.clock.advance(1)
    signals = (await found(life, tmp_path, roster))[SignalKind.OFF_SHIFT]
    assert [one.accounts for one in signals] == [("supervisor",)]


async def test_what_is_older_than_the_window_is_forgotten(life: LifeKit, tmp_path: Path) -> None:
    await approved_unseen(life)
    life.kit.clock.advance(29 * 86_400.0)
    assert SignalKind.UNOPENED_APPROVALS in await found(life, tmp_path)
    life.kit.clock.advance(2 * 86_400.0)
    assert SignalKind.UNOPENED_APPROVALS not in await found(life, tmp_path)


async def test_an_analyst_is_known_by_a_still_from_before_the_window(life: LifeKit, tmp_path: Path) -> None:
    await a_lapse(life)
    life.kit.clock.advance(30 * 86_400.0 - 1800)  # between attaching the still and the lapse an hour later
    [one] = (await found(life, tmp_path))[SignalKind.LAPSED_DEFERRALS]
    assert one.accounts == ("analyst",)


async def test_nothing_is_told_of_a_review_while_somebody_has_to_conclude(life: LifeKit, tmp_path: Path) -> None:
    await under(life, misuse={"reviews_without_disagreement": 5})
    for _ in range(4):
        await life.agreed()
    open_one = await life.lead(imminent=True, incident_id="threatened")
    await life.leads.acknowledge(open_one, DEMO_ACCOUNTS["analyst"])
    await life.review(open_one, PEER)  # in parallel on this lane, before the first examiner (P12)
    life.kit.clock.advance(1)
    assert SignalKind.NEVER_DISAGREES not in await found(life, tmp_path)


async def test_that_two_differ_is_not_told_before_the_third_has_concluded(life: LifeKit, tmp_path: Path) -> None:
    await five_agreements(life)
    lead_id = await life.taken()
    await life.conclude(lead_id, supported=(0,))
    await life.review(lead_id, PEER)
    life.kit.clock.advance(1)
    [still] = (await found(life, tmp_path))[SignalKind.NEVER_DISAGREES]
    assert still.count == 5
    await life.review(lead_id, DEMO_ACCOUNTS["examiner"])
    life.kit.clock.advance(1)
    assert SignalKind.NEVER_DISAGREES not in await found(life, tmp_path)


async def test_stills_of_exercises_are_no_sign(training_kit: ProbeKit, tmp_path: Path) -> None:
    await training_kit.incident("drill", exercise=True)
    await training_kit.authorized("drill")
    training_kit.clock.advance(1)
    report = await report_desks(training_kit, tmp_path).misuse.look(ADMINISTRATOR)
    assert report.signals == []


@pytest.mark.parametrize("account", [one for one in DEMO_ACCOUNTS.values() if one != ADMINISTRATOR])
async def test_the_administrator_alone_sees_them(life: LifeKit, tmp_path: Path, account: Account) -> None:
    with pytest.raises(PolicyRefusalError) as caught:
        await report_desks(life.kit, tmp_path).misuse.look(account)
    assert caught.value.rule == "P10"


async def test_each_look_is_in_the_log(life: LifeKit, tmp_path: Path) -> None:
    await found(life, tmp_path)
    [entry] = await life.kit.audited("misuse.view")
    assert (entry["actor"], entry["outcome"]) == ("administrator", "shown")


async def test_the_metric_counts_and_names_nobody(life: LifeKit, tmp_path: Path) -> None:
    await approved_unseen(life)
    life.kit.clock.advance(1)
    await MisuseWatch(report_desks(life.kit, tmp_path).misuse, life.kit.metrics).tell()
    assert life.kit.count("misuse_signals", signal="unopened_approvals") == 1
    assert life.kit.count("misuse_signals", signal="recrops") == 0
    assert await life.kit.audited("misuse.view") == []
    lines = [
        line
        for line in generate_latest(life.kit.metrics.registry).decode().splitlines()
        if line.startswith("rtcc_bridge_misuse")
    ]
    assert lines
    assert not any(account in line for line in lines for account in DEMO_ACCOUNTS)
    [family] = [one for one in life.kit.metrics.registry.collect() if one.name == "rtcc_bridge_misuse_signals"]
    labels = {frozenset(sample.labels) for sample in family.samples}
    assert labels == {frozenset({"signal"})}, "nothing by which one of them could be told (decision 46)"
    assert {sample.labels["signal"] for sample in family.samples} == {kind.value for kind in SignalKind}


async def test_no_command_takes_a_sign_away_and_each_look_at_it_is_in_the_log(
    life: LifeKit, command: Command, tmp_path: Path
) -> None:
    """An insider with the settings of the machine whose friend has searched for the same face again and again."""
    policy = write_policy(tmp_path / "policy.yaml", life.kit.clock.now().date(), _window_of_a_year)
    file = tmp_path / "settings.yaml"
    settings = {**yaml.safe_load(file.read_text()), "policy": {"file": str(policy)}}
    file.write_text(yaml.safe_dump(settings))
    for _ in range(2):
        await life.life.withdrawal.withdraw(await life.lead(), SUPERVISOR, "another camera")
    life.kit.clock.advance(31 * 86_400.0)

    async def signs() -> list[Any]:
        done = await command("report", "misuse", "--json")
        assert done.exit_code == 0, done.output
        found = [one for one in json.loads(done.output)["signals"] if one["kind"] == "same_still"]
        return [(one["accounts"], one["count"]) for one in found]

    before = await signs()
    assert before == [(["analyst"], 2)]
    purged = await command("retention", "run", "--yes")
    assert "\n2 searches purged" in purged.output, purged.output
    assert await signs() == before, "it is counted in the log, which nothing is taken out of"
    file.write_text(yaml.safe_dump({**settings, "misuse": {"same_still_searches": 5}}))
    done = await command("report", "misuse")
    assert (done.exit_code, "misuse" in done.output) == (EXIT_CONFIGURATION, True), "the numbers are the policy's"
    looks = [(one["actor"], one["outcome"]) for one in await life.kit.audited("misuse.view")]
    assert looks == [("administrator", "shown")] * 2


def _window_of_a_year(document: dict[str, Any]) -> None:
    document["misuse"]["window_days"] = 366
