"""When a policy came into force is found by an index of that alone, however long the log is."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import event

from rtcc_bridge.audit.entries import record_of
from rtcc_bridge.storage import audit_entries, audit_search
from rtcc_bridge.storage.audit_entries import AuditEntryRecord
from rtcc_bridge.storage.audit_search import RELOAD
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.tables import audit_entries as table

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


def entry(number: int, action: str, outcome: str) -> AuditEntryRecord:
    """So many hours before noon."""
    told = {"entryId": f"e-{number}", "actor": "system", "action": action, "subject": "policy", "outcome": outcome}
    return record_of(told, NOON - timedelta(hours=number))


async def test_the_newest_policies_that_were_taken_in_that_time_are_told(database: Database) -> None:
    kinds = ((RELOAD, "taken"), (RELOAD, "unchanged"), (RELOAD, "refused"), ("probe.view", "taken"))
    async with database.write() as tx:
        for number in range(24):
            await audit_entries.add(tx, entry(number, *kinds[number % len(kinds)]))
    async with database.read() as tx:
        since, before = NOON - timedelta(hours=20), NOON
        found = await audit_search.newest_policies(tx, since, before, "taken", 3)
        assert [one.entry_id for one in found] == ["e-4", "e-8", "e-12"]
        everything = await audit_search.newest_policies(tx, since, before, "taken", 50)
        assert [one.entry_id for one in everything] == ["e-4", "e-8", "e-12", "e-16", "e-20"]


async def test_the_statement_says_by_itself_that_the_index_holds_all_that_it_asks_for(database: Database) -> None:
    """Of a parameter no database knows it."""
    said: list[str] = []
    async with database.read() as tx:
        assert tx.sync_connection is not None
        event.listen(tx.sync_connection, "before_cursor_execute", lambda *told: said.append(told[2]))
        await audit_search.newest_policies(tx, NOON, NOON, "taken", 3)
        kind = tx.dialect.name
    [index] = [one for one in table.indexes if one.name == "ix_audit_entries_policy_reload"]
    assert str(index.dialect_options[kind]["where"]) in said[-1]
