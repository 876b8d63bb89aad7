"""A connection that dies or falls silent under the rollback at the end of a read is an outage, and nothing worse."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from rtcc_bridge.errors import NotFoundError, UnavailableError
from rtcc_bridge.settings import DatabaseSettings
from rtcc_bridge.storage.engine import Database


@dataclass
class Breaking:
    """A database whose connections break, or fall `silent`, as soon as they are asked to roll back, once `armed`."""

    database: Database
    armed: bool = False
    silent: bool = False


@pytest.fixture
async def breaking(database_url: str) -> AsyncIterator[Breaking]:
    parts = urlsplit(database_url)

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(parts.hostname, parts.port)
        back = asyncio.create_task(pump(far_reader, writer))
        while (piece := await reader.read(65_536)) and not (made.armed and b"ROLLBACK" in piece):
            far_writer.write(piece)
        while made.silent and piece:
            piece = await reader.read(65_536)
        back.cancel()
        far_writer.close()
        writer.transport.abort()

    async with await asyncio.start_server(carry, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        url = SecretStr(database_url.replace(f":{parts.port}/", f":{port}/"))
        made = Breaking(Database(DatabaseSettings(url=url, statement_timeout_seconds=0.2)))
        yield made
        await made.database.close()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(65_536):
        writer.write(piece)


@pytest.mark.postgresql
async def test_a_read_whose_rollback_is_not_answered_is_an_outage(breaking: Breaking) -> None:
    async with breaking.database.read() as tx:
        await tx.execute(text("SELECT 1"))
    breaking.armed = True
    with pytest.raises(UnavailableError, match="the connection to the database was lost"):
        async with breaking.database.read() as tx:
            await tx.execute(text("SELECT 1"))
    breaking.armed = False
    async with breaking.database.read() as tx:
        assert (await tx.execute(text("SELECT 1"))).scalar_one() == 1


@pytest.mark.postgresql
@pytest.mark.parametrize("refused", [False, True])
async def test_a_rollback_that_is_never_answered_is_an_outage(breaking: Breaking, refused: bool) -> None:
    """Also when there is a refusal on its way."""

    async def look() -> None:
        async with breaking.database.read() as tx:
            await tx.execute(text("SELECT 1"))
            if refused and breaking.armed:
                raise NotFoundError("it is not there")

    await look()
    breaking.armed = breaking.silent = True
    for _ in range(2):  # a connection that was there, and a new one
        with pytest.raises(UnavailableError, match="did not answer in time"):
            await look()
    breaking.armed = breaking.silent = False
    await look()
