"""Entries say where an act came from (P22)."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from rtcc_bridge.audit.arrival import Way, arrival, coming_by
from rtcc_bridge.audit.entries import AuditLog
from rtcc_bridge.storage import tables
from rtcc_bridge.storage.engine import Database
from tests.doubles import ManualClock


async def _entered(database: Database, clock: ManualClock) -> Mapping[str, Any]:
    async with database.write() as tx:
        leaf = await AuditLog(clock).append(
            tx, actor="a", action="b", subject="c", outcome="d", authority={}, details={}
        )
        entries = tables.audit_entries
        entry: Mapping[str, Any] = (
            await tx.execute(select(entries.c.entry).where(entries.c.leaf_hash == leaf))
        ).scalar_one()
        return entry


async def test_an_entry_says_by_which_way_its_act_came(database: Database, clock: ManualClock) -> None:
    before = arrival()  # what a command that ran in this process has said
    with coming_by(Way.WEB, "192.0.2.7"):
        assert (await _entered(database, clock))["from"] == {"way": "web", "place": "192.0.2.7"}
        with coming_by(Way.DAEMON):
            assert (await _entered(database, clock))["from"] == {"way": "daemon"}
    assert (await _entered(database, clock)).get("from") == before
