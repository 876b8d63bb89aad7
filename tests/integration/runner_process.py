"""A consumer as a process of its own, which a test may kill: `python -m tests.integration.runner_process`."""

import asyncio
import sys

from pydantic import SecretStr

from rtcc_bridge.settings import DatabaseSettings, KafkaSettings
from rtcc_bridge.storage.engine import Database
from tests.integration.pipeline import Desks, running


async def main(settings: str, url: str) -> None:
    kafka = KafkaSettings.model_validate_json(settings)
    database = Database(DatabaseSettings(url=SecretStr(url)))
    async with running(kafka, Desks(database, kafka).handlers):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
