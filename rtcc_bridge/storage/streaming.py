"""Long answers of the database as they come, some rows at a time.

What a process once had in memory for many rows it seldom gives back; one row at a time, the way to the driver and back
is most of what a row costs.
"""

from collections.abc import AsyncGenerator, Sequence
from typing import Any, Final

from sqlalchemy import Row, Select

from rtcc_bridge.storage.engine import Transaction

ROWS_AT_ONCE: Final = 100
"""Some rows are large: an entry of the audit log has a thousand bytes and more."""


async def pieces(tx: Transaction, query: Select[Any]) -> AsyncGenerator[Sequence[Row[Any]], None]:
    """The rows in their order, at most `ROWS_AT_ONCE` at a time; other statements may be sent in between."""
    result = await tx.stream(query.execution_options(max_row_buffer=ROWS_AT_ONCE))
    async for rows in result.partitions(ROWS_AT_ONCE):
        yield rows
