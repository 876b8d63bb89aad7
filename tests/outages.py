"""Takes the database of one test away for a while, on either kind of database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from sqlalchemy import text

from rtcc_bridge.storage.engine import Database
from tests.databases import TestServer

_POOL: Final = 5


@dataclass(frozen=True, slots=True)
class Outages:
    """What a test can do to its own database; `server` is None on SQLite."""

    database: Database
    url: str
    server: TestServer | None

    @asynccontextmanager
    async def away(self, table: str) -> AsyncIterator[None]:
        """What reads `table` fails as an outage does. (On PostgreSQL nothing else works either.)"""
        if self.server is not None:
            await self.server.let_in(self.url, allowed=False)
            try:
                yield
            finally:
                await self.server.let_in(self.url, allowed=True)
            return
        await self._rename(table, "elsewhere")
        try:
            yield
        finally:
            await self._rename("elsewhere", table)

    @asynccontextmanager
    async def read_only(self) -> AsyncIterator[None]:
        """Every connection refuses writes, as on a full file system or a server that became a standby."""
        await self._take_writes(allowed=False)
        try:
            yield
        finally:
            await self._take_writes(allowed=True)

    async def _rename(self, table: str, name: str) -> None:
        async with self.database.write() as tx:
            await tx.exec_driver_sql(f"ALTER TABLE {table} RENAME TO {name}")

    async def _take_writes(self, *, allowed: bool) -> None:
        if self.server is not None:
            await self.server.take_writes(self.url, allowed=allowed)
            return
        connections = [await self.database.engine.connect() for _ in range(_POOL)]
        for connection in connections:
            await connection.execute(text(f"PRAGMA query_only = {'OFF' if allowed else 'ON'}"))
        for connection in connections:
            await connection.close()
