"""Ports of this machine that nothing listens on.

They lie below those that the kernel gives to outgoing connections (32,768 and up): what was stopped and is started
again finds its port free.
"""

import random
import socket

_FIRST, _END = 20_000, 32_000
_CHOICE = random.SystemRandom()
"""Nobody's seed: several processes choose at the same time."""


def free_port() -> int:
    """Whoever is quicker may take it meanwhile, which among twelve thousand hardly anybody is."""
    (port,) = free_ports(1)
    return port


def free_ports(count: int) -> list[int]:
    """No two of them equal."""
    ports: set[int] = set()
    while len(ports) < count:
        with socket.socket() as probe:
            port = _CHOICE.randrange(_FIRST, _END)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        ports.add(port)
    return sorted(ports)
