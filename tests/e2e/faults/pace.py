"""The beat of a load."""

import asyncio
from collections.abc import AsyncIterator


async def paced(per_second: float, until: asyncio.Event) -> AsyncIterator[None]:
    """Beats until told to stop. What a busy machine has missed is made up for, a second of it at most."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    while not until.is_set():
        yield
        due = max(due + 1 / per_second, loop.time() - 1.0)
        await asyncio.sleep(max(0.0, due - loop.time()))
