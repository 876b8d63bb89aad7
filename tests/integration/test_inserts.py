"""Rows whose keys were not there when they were looked for: what is told of a key that is, and of any other mistake."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Table, select
from sqlalchemy.exc import IntegrityError

from rtcc_bridge.clock import SystemClock
from rtcc_bridge.errors import TransientError
from rtcc_bridge.storage.engine import Database, savepoint
from rtcc_bridge.storage.inserts import insert_all
from rtcc_bridge.storage.tables import galleries, input_events, subjects, threat_references

NOW = SystemClock().now()
GALLERY: dict[str, Any] = {
    "name": "city",
    "kind": "demo",
    "version": 1,
    "template_hash": "a" * 64,
    "pack_name": "test",
    "template_length": 4,
    "created_at": NOW,
}


def note(event_id: str, **changes: Any) -> dict[str, Any]:
    values = {"source": "urn:cad", "event_id": event_id, "topic": "t", "value_sha256": None, "received_at": NOW}
    return {**values, **changes}


def subject(reference: str) -> dict[str, Any]:
    return {"gallery": "city", "subject_ref": reference, "created_at": NOW}


async def stored(database: Database, table: Table, column: str) -> list[str]:
    async with database.read() as tx:
        return list((await tx.execute(select(table.c[column]).order_by(table.c[column]))).scalars())


async def test_all_rows_are_inserted_and_none_is_no_statement(database: Database) -> None:
    async with database.write() as tx:
        await insert_all(tx, input_events, [note(f"e-{number:03}") for number in range(300)])
        await insert_all(tx, input_events, [])
    assert len(await stored(database, input_events, "event_id")) == 300


@pytest.mark.parametrize(
    ("table", "column", "row"),
    [(input_events, "event_id", note), (subjects, "subject_ref", subject)],
    ids=["a primary key", "a unique key"],
)
async def test_a_key_that_is_there_already_is_for_another_try_and_the_transaction_can_go_on(
    database: Database, table: Table, column: str, row: Callable[[str], dict[str, Any]]
) -> None:
    async with database.write() as tx:
        await insert_all(tx, galleries, [GALLERY])
        await insert_all(tx, table, [row("b")])
    async with database.write() as tx:
        with pytest.raises(TransientError, match=f"added the same to {table.name}"):
            async with savepoint(tx):
                await insert_all(tx, table, [row("a"), row("b"), row("c")])
        await insert_all(tx, table, [row("d")])
    assert await stored(database, table, column) == ["b", "d"]


@pytest.mark.parametrize(
    ("table", "row"),
    [
        (threat_references, {"identifier": "nobody has heard of it", "referenced": "T-1"}),
        (input_events, note("e", topic=None)),
    ],
    ids=["a foreign key", "a value that has to be there"],
)
async def test_a_row_that_breaks_another_rule_of_its_table_is_a_mistake_and_not_tried_again(
    database: Database, table: Table, row: dict[str, Any]
) -> None:
    with pytest.raises(IntegrityError):
        async with database.write() as tx:
            await insert_all(tx, table, [row])
    assert await stored(database, table, table.primary_key.columns[0].name) == []
