"""P09: where the jurisdiction asks for a warrant or an exigency, no still is taken in without one."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from rtcc_bridge.errors import ConfigurationError, PolicyRefusalError
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.storage import tables
from rtcc_bridge.storage.engine import Database
from tests.doubles import ManualClock
from tests.probe_kit import ANALYST, ProbeKit, build_kit, form, open_vault, policy_with, upload


@pytest.fixture
async def strict(database: Database, clock: ManualClock, metrics: Metrics, tmp_path: Path) -> AsyncIterator[ProbeKit]:
    """Where a search for a violent offense needs a warrant."""
    async with open_vault(tmp_path, clock) as vault:
        policy = policy_with(tmp_path, "jurisdiction", warrant_or_exigency_for=["violent_offense"])
        yield build_kit(database, vault, clock, metrics, tmp_path / "objects", in_force=policy)


@pytest.mark.parametrize("stated", [None, "", "  "])
async def test_a_search_without_the_warrant_is_refused(strict: ProbeKit, stated: str | None) -> None:
    await strict.incident()
    with pytest.raises(PolicyRefusalError) as refused:
        await strict.desk.attach("incident-1", form(warrant_or_exigency=stated), ANALYST, upload())
    assert refused.value.rule == "P09"
    assert not strict.workers.inspected
    assert strict.count("policy_refusals_total", rule="P09") == 1
    (entry,) = await strict.audited("probe.attach")
    assert entry["entry"]["details"]["rule"] == "P09"


async def test_the_warrant_is_kept_with_the_still(strict: ProbeKit) -> None:
    await strict.incident()
    probe = await strict.desk.attach("incident-1", form(warrant_or_exigency=" W-26-17 "), ANALYST, upload())
    assert probe.warrant_or_exigency == "W-26-17"
    assert "W-26-17" not in str(await strict.rows(tables.audit_entries))


async def test_another_purpose_needs_none(strict: ProbeKit) -> None:
    await strict.incident()
    probe = await strict.desk.attach("incident-1", form(purpose="identify_deceased"), ANALYST, upload())
    assert probe.warrant_or_exigency is None


async def test_by_default_none_is_asked_for_and_one_can_be_stated(kit: ProbeKit) -> None:
    await kit.incident()
    assert (await kit.desk.attach("incident-1", form(), ANALYST, upload())).state == "faces_found"
    stated = replace(form(), warrant_or_exigency="exigency: a child is missing")
    probe = await kit.desk.attach("incident-1", stated, ANALYST, upload())
    assert probe.warrant_or_exigency == "exigency: a child is missing"


def test_a_purpose_that_does_not_exist_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"jurisdiction\.warrant_or_exigency_for"):
        policy_with(tmp_path, "jurisdiction", warrant_or_exigency_for=["shoplifting"])
