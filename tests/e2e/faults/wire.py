"""A slow and lossy wire between two network devices, which stands for `tc netem`: not every kernel has that."""

import asyncio
import fcntl
import os
import random
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Final

_DEVICE: Final = "/dev/net/tun"
_FRAME_BYTES: Final = 65_536
_TUNSETIFF: Final = 0x400454CA
_IFF_TAP: Final = 0x0002
_IFF_NO_PI: Final = 0x1000
"""Linux: include/uapi/linux/if_tun.h."""


def why_no_wire() -> str | None:
    """Why no TAP device can be made here; None when one can."""
    try:
        os.close(os.open(_DEVICE, os.O_RDWR))
    except OSError as error:
        return f"a slow network takes TAP devices: {error}"
    return None


@contextmanager
def wire(near: str, far: str, delay_seconds: float, loss: float, chance: random.Random) -> Iterator[None]:
    """Makes two TAP devices of these names and carries Ethernet frames between them, late, and not all of them.

    They are made in the network namespace of the calling thread, whose event loop has to run meanwhile. loss: the share
    of the frames, in each direction, drawn by `chance`. Raises OSError where there are no such devices.
    """
    loop = asyncio.get_running_loop()
    with ExitStack() as stack:
        ends = [_tap(name) for name in (near, far)]
        whole = asyncio.Event()
        whole.set()

        def carry(end: int, other: int) -> None:
            with suppress(BlockingIOError):
                while True:
                    frame = os.read(end, _FRAME_BYTES)
                    if chance.random() >= loss:
                        loop.call_later(delay_seconds, arrive, other, frame)

        def arrive(end: int, frame: bytes) -> None:
            if whole.is_set():
                with suppress(OSError):  # a device that is full or down loses what comes, as every other one does
                    os.write(end, frame)

        for end, other in zip(ends, reversed(ends), strict=True):
            stack.callback(os.close, end)
            loop.add_reader(end, carry, end, other)
            stack.callback(loop.remove_reader, end)
        stack.callback(whole.clear)
        yield


def _tap(name: str) -> int:
    end = os.open(_DEVICE, os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(end, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TAP | _IFF_NO_PI))
    return end
