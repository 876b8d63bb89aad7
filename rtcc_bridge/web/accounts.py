"""Who acts in a request: a demo account, named by a header (programs) or a cookie (the role switch on the pages)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

from rtcc_bridge.policy.accounts import DEMO_ACCOUNT_HEADER, DEMO_ACCOUNTS, Account, Role, demo_account
from rtcc_bridge.policy.permissions import Deed, require_permission
from rtcc_bridge.web.services import services_of

ACCOUNT_COOKIE: Final = "rtcc_demo_account"
VISITOR: Final = DEMO_ACCOUNTS[Role.FLOOR]
"""Whoever names no account may watch the board and nothing else."""

ACCOUNT = web.RequestKey("account", Account)


def acting_account(request: web.Request) -> Account:
    """The account that acts. Raises PolicyRefusalError (P10) when a header names one that does not exist."""
    named = request.headers.get(DEMO_ACCOUNT_HEADER)
    if named is not None:
        return demo_account(named)
    return DEMO_ACCOUNTS.get(request.cookies.get(ACCOUNT_COOKIE, ""), VISITOR)


def account_from_cookie(request: web.Request) -> bool:
    return DEMO_ACCOUNT_HEADER not in request.headers and ACCOUNT_COOKIE in request.cookies


@asynccontextmanager
async def permitted(request: web.Request, deed: Deed, *, action: str, subject: str) -> AsyncIterator[Account]:
    """The acting account, when it may do this; a refused attempt is audited (P22).

    For what the desks do not ask themselves. Raises PolicyRefusalError (P10).
    """
    account = request[ACCOUNT]
    refusals = services_of(request).refusals
    async with refusals.watching(actor=account.name, action=action, subject=subject, authority={}):
        require_permission(account, deed)
        yield account
