"""Freed memory is written over, so that no picture stays in a process that has only passed it on (P24).

The C library leaves what was in a block that is freed, until somebody gets the block. glibc's `mallopt(3)` with
M_PERTURB writes over each block on the way, but for the smallest ones (up to 1,032 bytes), which it hands on unseen;
where the C library has no such function, only time does it. What is kept for good on purpose, such as the buffers of
the inference runtime, is written over by `face_memory`.
"""

import ctypes
from typing import Final

_M_PERTURB: Final = -6  # malloc.h
_PATTERN: Final = 0x5A


def write_over_freed_memory() -> bool:
    """From here on, in all of the process. Says whether the C library can."""
    library = ctypes.CDLL(None)
    return hasattr(library, "mallopt") and library.mallopt(_M_PERTURB, _PATTERN) == 1
