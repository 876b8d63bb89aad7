"""What the demo reads of a gallery and of a lead's sealed list, to measure with."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rtcc_bridge.app.foundation import Core
from rtcc_bridge.audit.entries import AuditLog
from rtcc_bridge.demo.sealed_lists import first_reference
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.policy.authority_keys import AuthorityKeys
from rtcc_bridge.settings import Settings
from rtcc_bridge.storage import galleries
from rtcc_bridge.storage.engine import Database
from tests.doubles import ManualClock
from tests.lead_parts import LeadBench, lead_bench, probe_record
from tests.probe_kit import in_force, policy
from tests.vault_kit import master_keys


@pytest.fixture
async def bench(database: Database, tmp_path: Path, clock: ManualClock, metrics: Metrics) -> AsyncIterator[LeadBench]:
    async with lead_bench(database, tmp_path, clock, metrics) as made:
        yield made


@pytest.fixture
def core(bench: LeadBench) -> Core:
    audit = AuditLog(bench.clock)
    return Core(
        Settings(), bench.clock, bench.metrics, bench.database, master_keys(), bench.vault, in_force(policy()),
        bench.outbox, audit, bench.desk, AuthorityKeys(), None,
    )  # fmt: skip


async def test_of_a_sealed_list_of_two_the_person_on_rank_one_is_read(bench: LeadBench, core: Core) -> None:
    first, second = await bench.enroll(2)
    lead = await bench.record(probe_record(bench.clock.now()), [first, second])
    async with bench.database.read() as tx:
        references = await galleries.subject_refs(tx, {first.subject_id, second.subject_id})
    assert await first_reference(core, lead.lead_id) == references[first.subject_id]


async def test_without_a_list_there_is_nobody_on_rank_one(bench: LeadBench, core: Core) -> None:
    lead = await bench.record(probe_record(bench.clock.now()), [])
    assert await first_reference(core, lead.lead_id) is None
    assert await first_reference(core, "no such lead") is None
