"""Asks the table of addresses and deeds (`route_deeds`) for every request, before its handler is called (P10)."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web
from aiohttp.web_urldispatcher import AbstractRoute, SystemRoute

from rtcc_bridge.errors import InvalidInputError, PolicyRefusalError, SignInRequiredError
from rtcc_bridge.policy.accounts import NOBODY
from rtcc_bridge.policy.permissions import may, require_permission
from rtcc_bridge.web.accounts import ACCOUNT, Identity, identify, is_act_of_a_person
from rtcc_bridge.web.doorkeeper import DOORKEEPER
from rtcc_bridge.web.route_deeds import Guard
from rtcc_bridge.web.services import services_of

STRANGERS_PER_MINUTE: Final = 60
"""So many refusals of people who have not signed in are audited; further ones are only counted, or whoever reaches the
port could fill the audit log."""

_NOT_SIGNED_IN: Final = "Nobody has signed in: do that first, or send a service token."
_NO_DEED: Final = "No deed is named for this address, so nobody may use it: tell operations."


class Strangers:
    """How many refusals of people who have not signed in are audited in this minute."""

    def __init__(self) -> None:
        self._minute = -1
        self._audited = 0

    def may_be_audited(self) -> bool:
        minute = int(asyncio.get_running_loop().time() // 60)
        if minute != self._minute:
            self._minute, self._audited = minute, 0
        self._audited += 1
        return self._audited <= STRANGERS_PER_MINUTE


ROUTE_GUARDS = web.AppKey("route_guards", Mapping[AbstractRoute, Guard])
STRANGERS = web.AppKey("strangers", Strangers)


async def admit_to_route(request: web.Request) -> None:
    """Finds out who acts and whether they may. What stands in no table is open to nobody.

    Raises SignInRequiredError, PolicyRefusalError, ForeignRequestError, UnavailableError, and InvalidInputError for a
    query with a zero in it, which no text of the database has. Where there is nothing, or not by this method, the
    router says so.
    """
    if "\0" in request.query_string:
        raise InvalidInputError("What is asked for holds a character that cannot be kept.", "fields")
    keeper, route = request.app[DOORKEEPER], request.match_info.route
    keeper.require_way(request)
    guard = request.app[ROUTE_GUARDS].get(route)
    if isinstance(route, SystemRoute) or (guard is not None and guard.deed is None):
        keeper.require_own_page(request, by_cookie=bool(request.cookies))
        return
    identity = await identify(request, acts=is_act_of_a_person(request))
    keeper.require_own_page(request, by_cookie=identity.by_cookie)
    request[ACCOUNT] = identity.account
    await _require_deed(request, guard, identity)


@asynccontextmanager
async def watching_strangers(request: web.Request, *, action: str, subject: str) -> AsyncIterator[None]:
    """Audits what somebody who has not signed in was refused, or only counts it when there were many (P22)."""
    services = services_of(request)
    try:
        yield
    except PolicyRefusalError as refusal:
        if not request.app[STRANGERS].may_be_audited():
            services.metrics.policy_refusals_total.labels(refusal.rule).inc()
            raise
        async with services.refusals.watching(actor=NOBODY.name, action=action, subject=subject, authority={}):
            raise


class PermissionWatch:
    """Whether who began a long answer may still have it: signed in, and with the right that it took.

    every_seconds: how old the answer may be. Of someone who is not signed in, in the demo, it stays as it is.
    """

    def __init__(self, request: web.Request, every_seconds: float) -> None:
        self._request = request
        self._every_seconds = every_seconds
        self._asked_at = asyncio.get_running_loop().time()

    async def holds(self) -> bool:
        """Raises UnavailableError."""
        now = asyncio.get_running_loop().time()
        if now - self._asked_at < self._every_seconds:
            return True
        self._asked_at = now
        guard = self._request.app[ROUTE_GUARDS].get(self._request.match_info.route)
        identity = await identify(self._request, acts=False)
        is_same = identity.account.name == self._request[ACCOUNT].name
        return guard is not None and guard.deed is not None and is_same and may(identity.account, guard.deed)


async def _require_deed(request: web.Request, guard: Guard | None, identity: Identity) -> None:
    services, account = services_of(request), identity.account
    action = "route.unlisted" if guard is None else guard.action
    named = None if guard is None or guard.subject is None else request.match_info.get(guard.subject)
    if account is NOBODY:
        async with watching_strangers(request, action=action, subject=action):
            raise identity.problem or SignInRequiredError("P10", _NOT_SIGNED_IN)
    async with services.refusals.watching(actor=account.name, action=action, subject=named or action, authority={}):
        if guard is None or guard.deed is None:
            raise PolicyRefusalError("P10", _NO_DEED)
        require_permission(account, guard.deed)
