"""P10: new work of an analyst needs every certificate in date; what is under way is finished, and marked."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from rtcc_bridge.errors import PolicyRefusalError
from rtcc_bridge.policy.accounts import Account
from rtcc_bridge.policy.certificates import Certificate
from rtcc_bridge.policy.policy_parts import CertificateKind
from rtcc_bridge.storage import tables
from tests.probe_kit import ANALYST, CERTIFIED, ProbeKit, form, upload


def certified(**ends: datetime | None) -> Account:
    """The analyst with other ends of certificates; None: without it."""
    held = {name: replace(one, until=ends.get(name)) for name, one in CERTIFIED.items()}
    without = {name for name, end in ends.items() if end is None}
    return replace(ANALYST, certificates={name: one for name, one in held.items() if name not in without})


@pytest.mark.parametrize("name", CertificateKind)
async def test_each_certificate_is_needed_for_new_work(kit: ProbeKit, name: str) -> None:
    await kit.incident()
    for without in (certified(**{name: None}), certified(**{name: kit.clock.now() - timedelta(days=1)})):
        with pytest.raises(PolicyRefusalError, match=name) as refused:
            await kit.desk.attach("incident-1", form(), without, upload())
        assert refused.value.rule == "P10"
    assert await kit.rows(tables.probes) == []
    assert kit.workers.inspected == []
    assert kit.count("policy_refusals_total", rule="P10") == 2


async def test_the_right_ends_with_the_certificate_at_that_moment(kit: ProbeKit) -> None:
    await kit.incident()
    analyst = certified(implicit_bias=kit.clock.now() + timedelta(seconds=60))
    kit.clock.advance(59.9)
    await kit.desk.attach("incident-1", form(), analyst, upload())
    kit.clock.advance(0.1)
    with pytest.raises(PolicyRefusalError):
        await kit.desk.attach("incident-1", form(), analyst, upload())


@pytest.mark.parametrize("kind", CertificateKind)
async def test_the_policy_s_days_end_it_whatever_the_certificate_says(kit: ProbeKit, kind: CertificateKind) -> None:
    await kit.incident()
    days = timedelta(days=kit.parts.policy.certificates[kind].valid_days)
    late = Certificate(kit.clock.now() - days + timedelta(seconds=60), until=kit.clock.now() + timedelta(days=9999))
    analyst = replace(ANALYST, certificates={**CERTIFIED, kind.value: late})
    kit.clock.advance(59.9)
    await kit.desk.attach("incident-1", form(), analyst, upload())
    kit.clock.advance(0.1)
    with pytest.raises(PolicyRefusalError, match=kind):
        await kit.desk.attach("incident-1", form(), analyst, upload())


async def test_a_certificate_of_a_course_that_is_still_to_come_permits_nothing(kit: ProbeKit) -> None:
    await kit.incident()
    coming = Certificate(kit.clock.now() + timedelta(seconds=60))
    analyst = replace(ANALYST, certificates={**CERTIFIED, CertificateKind.IMPLICIT_BIAS.value: coming})
    with pytest.raises(PolicyRefusalError, match="implicit_bias"):
        await kit.desk.attach("incident-1", form(), analyst, upload())
    kit.clock.advance(60)
    await kit.desk.attach("incident-1", form(), analyst, upload())


async def test_a_certificate_that_ends_while_the_still_is_on_its_way_permits_nothing(kit: ProbeKit) -> None:
    await kit.incident()
    analyst = certified(implicit_bias=kit.clock.now() + timedelta(seconds=60))

    async def slow() -> object:
        async for chunk in upload():
            kit.clock.advance(61)
            yield chunk

    with pytest.raises(PolicyRefusalError):
        await kit.desk.attach("incident-1", form(), analyst, slow())  # type: ignore[arg-type]  # reads as an upload does
    assert await kit.rows(tables.probes) == []
    assert kit.object_files() == []


async def test_work_that_is_under_way_is_finished_and_marked(kit: ProbeKit) -> None:
    ends = kit.clock.now() + timedelta(seconds=60)
    analyst = certified(yearly_refresher=ends)
    await kit.incident()
    probe = await kit.desk.attach("incident-1", form(), analyst, upload())
    kit.clock.advance(3600)
    chosen = await kit.desk.choose_face(probe.probe_id, 1, analyst)
    assert chosen.state == "awaiting_approval"
    [entry] = await kit.audited("probe.choose_face")
    assert datetime.fromisoformat(entry["entry"]["details"]["certificateExpiredSince"]) == ends


async def test_work_in_date_bears_no_mark(kit: ProbeKit) -> None:
    await kit.chosen()
    [entry] = await kit.audited("probe.choose_face")
    assert "certificateExpiredSince" not in entry["entry"]["details"]


async def test_a_supervisor_needs_none(kit: ProbeKit) -> None:
    assert (await kit.authorized()).state == "authorized"
