"""Memory that nothing uses any more is given back to the system.

The C library keeps what was freed between blocks in use: a process stays as large as the largest burst made it.
glibc's `malloc_trim(3)` gives those pages back; where the C library has no such function, there is no such part.
"""

import asyncio
import ctypes
from typing import Final, NoReturn

_SECONDS_BETWEEN: Final = 60


def can_be_returned() -> bool:
    """Whether the C library has `malloc_trim`: glibc does."""
    return hasattr(ctypes.CDLL(None), "malloc_trim")


def return_unused_memory() -> None:
    """Gives back every page of freed memory. Blocks for some milliseconds, and other threads that allocate, too."""
    ctypes.CDLL(None).malloc_trim(ctypes.c_size_t(0))


async def keep_returning() -> NoReturn:
    """Gives unused memory back each minute, until it is cancelled."""
    while True:
        await asyncio.sleep(_SECONDS_BETWEEN)
        await asyncio.to_thread(return_unused_memory)
