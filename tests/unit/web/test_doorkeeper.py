"""Where the person sits, as the audit log is told, whoever else says something about it."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request

from rtcc_bridge.settings import Settings
from rtcc_bridge.web.doorkeeper import Doorkeeper

WEB = {"public_url": "https://rtcc.example.org", "trusted_proxies": ["10.2.0.0/16", "fd00::/8"]}


def request(peer: str, forwarded: str) -> Any:
    transport = SimpleNamespace(get_extra_info=lambda name, default=None: (peer, 1) if name == "peername" else default)
    return make_mocked_request("GET", "/", headers={"X-Forwarded-For": forwarded}, transport=transport)


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("10.2.0.7", "203.0.113.9", "203.0.113.9"),
        ("10.2.0.7", "198.51.100.1, 203.0.113.9", "203.0.113.9"),
        ("10.2.0.7", "198.51.100.1, 203.0.113.9, 10.2.3.4", "203.0.113.9"),
        ("::ffff:10.2.0.7", "203.0.113.9", "203.0.113.9"),
        ("fd00::7", "2001:db8::9", "2001:db8::9"),
        ("10.3.0.7", "203.0.113.9", "10.3.0.7"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("10.2.0.7", "x" * 300, "x" * 64),
    ],
)
def test_only_a_proxy_that_is_trusted_says_who_is_behind_it(peer: str, forwarded: str, address: str) -> None:
    keeper = Doorkeeper(Settings(profile="production", web=WEB))
    assert keeper.address_of(request(peer, forwarded)) == address


def test_in_the_demo_nobody_is_believed() -> None:
    assert Doorkeeper(Settings()).address_of(request("127.0.0.1", "203.0.113.9")) == "127.0.0.1"
