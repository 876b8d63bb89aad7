"""Work that is done again and again, through outages."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn

from rtcc_bridge.errors import BridgeError, TransientError
from rtcc_bridge.outage_log import OutageLog


async def periodically(
    work: str,
    step: Callable[[], Awaitable[object]],
    *,
    every_seconds: float,
    waits_out: type[BridgeError] | tuple[type[BridgeError], ...] = TransientError,
) -> NoReturn:
    """Does `step`, rests, and does it again, until it is cancelled.

    work: what it is called in the log, e.g. "purging", where an outage is told when it begins and when it ends.
    waits_out: errors that are left to the next time; any other ends it.
    """
    outage = OutageLog(work)
    while True:
        try:
            await step()
            outage.succeeded()
        except waits_out as error:
            outage.failed(error)
        await asyncio.sleep(every_seconds)
