"""A network of the run's own: hosts on one bridge, each pair of which can be cut, and each of which can be far away.

Each host is a network namespace with a veth pair into the bridge. Whoever is on none of them, the load and the readers
among them, is in the site's own namespace and has an address there: the people.
"""

import os
import random
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, Self

from tests.e2e.faults.wire import wire
from tests.hosts import Host, ip

_SPACES: Final = Path("/run/netns")
_PREFIX: Final = "rtcc-"
_NETWORK: Final = "198.18.0"
"""Of the addresses that are set aside for tests of networks (RFC 2544)."""
_BRIDGE: Final = "site"
_DEVICE: Final = "eth0"
_NOBODY: Final = "02:00:00:00:00:00"
"""No device has this hardware address: what is sent to it arrives nowhere, and nobody hears of it."""


class Site:
    """A context manager, which the whole run is in: from then on the calling thread and its children are on the site.

    seed: of the losses. Raises RuntimeError where it cannot be made.
    """

    def __init__(self, seed: int = 1) -> None:
        self._chance = random.Random(seed)
        self._name = f"{_PREFIX}{os.getpid()}"
        self.people = Host(f"{_NETWORK}.1", self._name)
        self._ports: dict[Host, str] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        _remove_those_of_the_dead()
        with ExitStack() as stack:
            self._add_namespace(stack, self._name)
            self._ip("link", "add", _BRIDGE, "address", "02:00:00:00:01:01", "type", "bridge")
            self._ip("addr", "add", f"{self.people.address}/24", "dev", _BRIDGE)
            self._ip("link", "set", _BRIDGE, "up")
            stack.enter_context(self.people.entered())
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_ended: object) -> None:
        self._stack.close()

    def add_host(self, name: str) -> Host:
        """One more host, with nothing on it; it goes with the site."""
        number = len(self._ports) + 2
        host = Host(f"{_NETWORK}.{number}", f"{self._name}-{name}")
        assert host.namespace is not None
        self._add_namespace(self._stack, host.namespace)
        port = self._ports[host] = f"port-{number}"
        self._ip("link", "add", port, "type", "veth", "peer", "name", _DEVICE, "netns", host.namespace)
        self._ip("link", "set", port, "master", _BRIDGE, "up")
        ip("-n", host.namespace, "addr", "add", f"{host.address}/24", "dev", _DEVICE)
        ip("-n", host.namespace, "link", "set", _DEVICE, "up")
        return host

    @contextmanager
    def cut(self, host: Host, others: Collection[Host]) -> Iterator[None]:
        """Nothing gets through between the host and any of the others, in both directions and without a word."""
        with ExitStack() as mending:
            for other in others:
                for here, there in ((host, other), (other, host)):
                    self._neighbour(here, "replace", there, "lladdr", _NOBODY, "nud", "permanent")
                    mending.callback(self._neighbour, here, "del", there)
            yield

    @contextmanager
    def far_away(self, hosts: Collection[Host], delay_seconds: float, loss: float) -> Iterator[None]:
        """All that these hosts send and get is late by so much, each way, and this share of it is lost."""
        with ExitStack() as stack:
            for host in hosts:
                stack.enter_context(self._at_end_of_wire(self._ports[host], delay_seconds, loss))
            yield

    @contextmanager
    def _at_end_of_wire(self, port: str, delay_seconds: float, loss: float) -> Iterator[None]:
        """The host's port leaves the bridge for one of its own, which a wire joins to the other."""
        near, far, aside = f"{port}-near", f"{port}-far", f"{port}-aside"
        with wire(near, far, delay_seconds, loss, self._chance):
            self._ip("link", "add", aside, "type", "bridge")
            for device, bridge in ((near, aside), (far, _BRIDGE), (port, aside)):
                self._ip("link", "set", device, "master", bridge, "up")
            self._ip("link", "set", aside, "up")
            try:
                yield
            finally:
                self._ip("link", "set", port, "master", _BRIDGE)
                self._ip("link", "del", aside)

    def _neighbour(self, here: Host, deed: str, there: Host, *how: str) -> None:
        assert here.namespace is not None
        device = _BRIDGE if here is self.people else _DEVICE
        ip("-n", here.namespace, "neigh", deed, there.address, "dev", device, *how)

    def _ip(self, *arguments: str) -> None:
        ip("-n", self._name, *arguments)

    def _add_namespace(self, stack: ExitStack, name: str) -> None:
        ip("netns", "add", name)
        stack.callback(ip, "netns", "del", name)
        ip("-n", name, "link", "set", "lo", "up")


def _remove_those_of_the_dead() -> None:
    """A run that was killed leaves its namespaces; their names tell its process."""
    for space in _SPACES.glob(f"{_PREFIX}*"):
        process_id = space.name.removeprefix(_PREFIX).partition("-")[0]
        if process_id.isdecimal() and not Path("/proc", process_id).exists():
            ip("netns", "del", space.name)
