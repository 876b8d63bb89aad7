"""Past searches judged by another policy: what it would have refused or allowed, and nothing is changed by asking."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from rtcc_bridge.errors import PolicyRefusalError
from rtcc_bridge.policy.opening import OpenedPolicy
from rtcc_bridge.policy.policy_file import Policy, load_policy
from rtcc_bridge.probes import policy_replay
from rtcc_bridge.probes.policy_replay import PolicyReplay, ReplayReport
from rtcc_bridge.storage import tables
from tests.policy_kit import Change, put_in_force, write_policy
from tests.probe_kit import (
    ANALYST,
    SENDER,
    SUPERVISOR,
    Gallery,
    ProbeKit,
    face_search,
    form,
    policy,
    record_of,
    search_handler,
    upload,
)


def changed(folder: Path, change: Change) -> Policy:
    return load_policy(write_policy(folder / "other.yaml", date(2026, 11, 23), change))


async def judged(kit: ProbeKit, new: Policy, old: Policy | None = None) -> ReplayReport:
    return await PolicyReplay(kit.database, kit.clock).judge(old or policy(), new)


async def search_all(kit: ProbeKit) -> None:
    search = face_search(Gallery())
    async with search.batcher:
        handler = search_handler(kit, search)
        for row in await kit.requests():
            await handler.handle(record_of(row))


def told(report: ReplayReport) -> list[tuple[str, str, str]]:
    return [(one.kind, one.reference, one.rule) for one in report.refused_by_new]


def without_homicide(content: dict[str, Any]) -> None:
    content["purposes"]["violent_offense"]["incident_types"].remove("HOMICIDE")


def warrants(content: dict[str, Any]) -> None:
    content["jurisdiction"]["warrant_or_exigency_for"] = ["violent_offense"]


async def test_a_search_for_a_type_that_the_new_one_does_not_cover(kit: ProbeKit, tmp_path: Path) -> None:
    covered = await kit.attached("incident-1")
    await kit.incident("incident-2", incident_type="ROBBERY")
    await kit.attached("incident-2")
    report = await judged(kit, changed(tmp_path, without_homicide))
    assert (report.searches, report.attempts, report.alike) == (2, 0, 1)
    assert told(report) == [("search", covered.probe_id, "P02")]
    assert report.allowed_by_new == []
    backwards = await judged(kit, policy(), changed(tmp_path, without_homicide))
    assert [one.reference for one in backwards.allowed_by_new] == [covered.probe_id]


async def test_a_search_without_the_warrant_that_the_new_one_asks_for(kit: ProbeKit, tmp_path: Path) -> None:
    bare = await kit.attached()
    await kit.attached(warrant_or_exigency="Warrant 12")
    report = await judged(kit, changed(tmp_path, warrants))
    assert told(report) == [("search", bare.probe_id, "P09")]


async def test_a_deferral_by_a_sender_who_is_no_longer_trusted(kit: ProbeKit, tmp_path: Path) -> None:
    probe = await kit.deferred()
    report = await judged(kit, changed(tmp_path, lambda content: content["deferral"].update(senders=[])))
    assert told(report) == [("search", probe.probe_id, "P14")]


async def test_an_approval_that_followed_later_than_the_new_one_lets_it(kit: ProbeKit, tmp_path: Path) -> None:
    probe = await kit.deferred()
    kit.clock.advance(20 * 60)
    await kit.desk.approve(probe.probe_id, SUPERVISOR)
    for minutes, refused in ((20, True), (21, False)):
        new = changed(tmp_path, lambda content: content["deferral"].update(approve_within_minutes=minutes))  # noqa: B023 - called here
        assert bool(told(await judged(kit, new))) is refused


async def test_an_approval_that_was_older_than_the_new_one_lets_it_be(kit: ProbeKit, tmp_path: Path) -> None:
    probe = await kit.authorized()
    kit.clock.advance(3 * 3600)
    assert await kit.reconciler.request_unanswered() == 1  # the first request's token holds for an hour
    await search_all(kit)
    new = changed(tmp_path, lambda content: content["approval"].update(valid_hours=3))
    assert told(await judged(kit, new)) == [("search", probe.probe_id, "P01")]
    new = changed(tmp_path, lambda content: content["approval"].update(valid_hours=4))
    assert told(await judged(kit, new)) == []


async def test_the_purpose_of_an_imminent_threat_covers_what_its_alert_was_about(kit: ProbeKit, tmp_path: Path) -> None:
    await kit.incident(incident_type="ROBBERY")
    await kit.threat()
    probe = await kit.desk.attach("incident-1", form(purpose="imminent_threat"), ANALYST, upload())
    kit.clock.advance(5 * 3600)  # the alert has expired since, which does not matter
    assert told(await judged(kit, policy())) == []
    report = await judged(kit, changed(tmp_path, lambda content: content["deferral"].update(senders=["urn:other"])))
    assert told(report) == [("search", probe.probe_id, "P02")]
    assert SENDER in policy().deferral.senders


async def test_attempts_that_were_refused_and_would_be_allowed(kit: ProbeKit, tmp_path: Path) -> None:
    await kit.incident(incident_type="SHOPLIFT")
    for purpose in ("violent_offense", "identify_deceased", "curiosity"):
        with pytest.raises(PolicyRefusalError):
            await kit.desk.attach("incident-1", form(purpose=purpose), ANALYST, upload())
    await kit.incident("incident-2")
    with pytest.raises(PolicyRefusalError):  # by P01, of which no policy says anything
        await kit.desk.attach("incident-2", form(legal_basis=""), ANALYST, upload())
    new = changed(tmp_path, lambda content: content["purposes"]["violent_offense"]["incident_types"].append("SHOPLIFT"))
    report = await judged(kit, new)
    (allowed,) = report.allowed_by_new
    entries = {row["entry_id"]: row["entry"] for row in await kit.rows(tables.audit_entries)}
    assert (allowed.kind, allowed.rule) == ("attempt", "P02")
    assert entries[allowed.reference]["authority"]["purpose"] == "violent_offense"
    assert (report.attempts, report.alike) == (3, 2)


async def test_an_attempt_without_its_warrant(kit: ProbeKit, tmp_path: Path) -> None:
    asks = changed(tmp_path, warrants)
    await put_in_force(kit, OpenedPolicy(asks, "", None))
    await kit.incident()
    with pytest.raises(PolicyRefusalError):
        await kit.desk.attach("incident-1", form(), ANALYST, upload())
    report = await judged(kit, policy(), asks)
    assert [(one.kind, one.rule) for one in report.allowed_by_new] == [("attempt", "P09")]


async def test_an_incident_that_is_no_longer_known_is_told_apart(kit: ProbeKit, tmp_path: Path) -> None:
    await kit.attached()
    async with kit.database.write() as tx:
        await tx.execute(tables.incidents.delete())
    report = await judged(kit, changed(tmp_path, without_homicide))
    assert (report.searches, report.unknown, report.alike) == (1, 1, 0)


async def test_many_are_judged_once_each_and_nothing_is_changed(
    kit: ProbeKit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those of one moment, which a page's end may part."""
    monkeypatch.setattr(policy_replay, "_AT_ONCE", 2)
    probes = [(await kit.attached()).probe_id for _ in range(3)]
    kit.clock.advance(timedelta(seconds=1).total_seconds())
    probes += [(await kit.attached()).probe_id for _ in range(2)]
    kept = (tables.probes, tables.audit_entries, tables.outbox)
    before = [await kit.rows(table) for table in kept]
    report = await judged(kit, changed(tmp_path, without_homicide))
    assert sorted(one.reference for one in report.refused_by_new) == sorted(probes)
    assert [await kit.rows(table) for table in kept] == before
    assert all(name not in str(report) for name in ("26-000123", "analyst", "requestor"))
