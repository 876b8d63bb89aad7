"""Which requests are let in at all, by where they come from (`origins`), before anybody asks who it is.

In the demo programs and pages of this machine are served. Elsewhere a proxy ends TLS: a request comes from one of the
proxies that the settings name, or from this machine, and is for the one name that people type.
"""

import ipaddress
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from rtcc_bridge.settings import Settings
from rtcc_bridge.web.origins import (
    ForeignRequestError,
    is_loopback,
    peer_of,
    require_local,
    require_not_embedded,
    require_same_origin,
)

_FORWARDED_FOR: Final = "X-Forwarded-For"
_FORWARDED_PROTO: Final = "X-Forwarded-Proto"


class Doorkeeper:
    """Made from the settings."""

    def __init__(self, settings: Settings) -> None:
        self._is_demo = settings.profile == "demo"
        self._public_url = settings.web.public_url
        self._proxies = settings.web.trusted_proxies
        self.has_secure_cookies = self._public_url is not None and self._public_url.startswith("https://")

    def require_way(self, request: web.Request) -> None:
        """Raises ForeignRequestError when the request did not come the way that requests come."""
        peer, host = peer_of(request), request.headers.get("Host")
        if self._is_demo:
            require_local(peer, host, request.headers)
        else:
            self._require_proxy(request, peer)
            self._require_name(host)
        require_not_embedded(request.path, request.headers)

    def require_own_page(self, request: web.Request, *, by_cookie: bool) -> None:
        """Raises ForeignRequestError for a change that another site's page asked a browser to make."""
        origin = urlsplit(self.origin(request))
        require_same_origin(request.method, origin.scheme, origin.netloc, request.headers, by_cookie)

    def origin(self, request: web.Request) -> str:
        """The address of our pages, as people type it."""
        if self._public_url is not None and not self._is_demo:
            return self._public_url
        return f"{request.scheme}://{request.headers.get('Host')}"

    def address_of(self, request: web.Request) -> str:
        """Where the person sits, for the audit log: whom the nearest proxy that is trusted names, else the peer."""
        peer = peer_of(request) or "unknown"
        named = [one.strip() for one in request.headers.get(_FORWARDED_FOR, "").split(",") if one.strip()]
        while named and not self._is_demo and self._is_trusted(peer):
            peer = named.pop()
        return peer[:64] if peer.isprintable() else "unknown"

    def _require_proxy(self, request: web.Request, peer: str | None) -> None:
        if peer is None or not self._is_trusted(peer):
            raise ForeignRequestError("This address is served through its proxy only: use the name that people type.")
        scheme = request.headers.get(_FORWARDED_PROTO, "").split(",")[-1].strip().lower()
        if scheme != "https":
            raise ForeignRequestError("This did not come over TLS: use https.")

    def _require_name(self, host: str | None) -> None:
        assert self._public_url is not None
        if (host or "").lower() != urlsplit(self._public_url).netloc:
            raise ForeignRequestError("This name is not served: use the one that people type.")

    def _is_trusted(self, peer: str) -> bool:
        return is_loopback(peer) or _is_within(peer, self._proxies)


def _is_within(peer: str, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    return any(address.version == network.version and address in network for network in networks)


DOORKEEPER = web.AppKey("doorkeeper", Doorkeeper)
