"""Where a request comes from: the demo serves programs and browsers of this machine; `doorkeeper` says what else is.

Three attacks are closed off: another machine that reaches the port, a web page elsewhere that rebinds its name to
127.0.0.1 (its Host header gives it away), and a page elsewhere that posts with the browser's cookie (CSRF; its
`Sec-Fetch-Site` or `Origin` header gives it away).
"""

import ipaddress
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from rtcc_bridge.errors import RejectedError

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})
PROXY_HEADERS: Final = ("Forwarded", "X-Forwarded-For", "X-Real-IP")


class ForeignRequestError(RejectedError):
    """The request does not come the way, or from a page, that requests come from."""

    reason = "foreign_request"


def peer_of(request: web.Request) -> str | None:
    """The address of the other end of the connection."""
    peer = None if request.transport is None else request.transport.get_extra_info("peername")
    return peer[0] if isinstance(peer, tuple) else None


def require_local(peer: str | None, host: str | None, headers: Mapping[str, str]) -> None:
    """Raises ForeignRequestError unless both ends of the connection are this machine.

    peer: the address of the other end of the connection. host: the request's Host header.
    """
    if peer is None or not is_loopback(peer):
        raise ForeignRequestError("The demo accounts are served to this machine only: use a tunnel that ends here.")
    if any(name in headers for name in PROXY_HEADERS):
        raise ForeignRequestError("A proxy passed this request on. The demo accounts are not served through one.")
    if _host_name(host) not in LOOPBACK_NAMES:
        raise ForeignRequestError("Use the address http://127.0.0.1 or http://localhost: another name is not served.")


def is_local(peer: str | None, host: str | None, headers: Mapping[str, str]) -> bool:
    """Whether `require_local` lets it pass."""
    try:
        require_local(peer, host, headers)
    except ForeignRequestError:
        return False
    return True


def require_same_origin(method: str, scheme: str, host: str | None, headers: Mapping[str, str], cookie: bool) -> None:
    """Raises ForeignRequestError for a change that another site's page asked this browser to make.

    cookie: whether the acting account comes from a cookie. Every present browser then says where the request is from;
    a request that keeps silent about it is refused.
    """
    if method in SAFE_METHODS:
        return
    fetch_site, origin = headers.get("Sec-Fetch-Site"), headers.get("Origin")
    refused = ForeignRequestError("This change was asked for by a page of another site: open the daemon's own page.")
    if fetch_site is not None and fetch_site != "same-origin":
        raise refused
    if origin is not None and origin != f"{scheme}://{host}":
        raise refused
    if fetch_site is None and origin is None and cookie:
        raise refused


def require_not_embedded(path: str, headers: Mapping[str, str]) -> None:
    """Raises ForeignRequestError for a call of the API that a page of another site made, for example as an image.

    Reading over it is prevented by the browser, but each look at a restricted view is written to the audit log.
    """
    if path.startswith("/api/") and headers.get("Sec-Fetch-Site", "same-origin") in {"cross-site", "same-site"}:
        raise ForeignRequestError("This was asked for by a page of another site: open the daemon's own page.")


def is_loopback(peer: str) -> bool:
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _host_name(host: str | None) -> str | None:
    try:
        return urlsplit(f"//{host or ''}").hostname
    except ValueError:
        return None
