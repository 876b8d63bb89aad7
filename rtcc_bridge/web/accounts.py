"""Who acts in a request: whoever signed in, a program or a wall's screen by its service token, or in the demo the
account that was taken by a header (programs) or a cookie (the role switch on the pages)."""

from dataclasses import dataclass
from typing import Final

from aiohttp import web

from rtcc_bridge.errors import SignInRequiredError
from rtcc_bridge.policy.accounts import (
    DEMO_ACCOUNT_HEADER,
    DEMO_ACCOUNTS,
    NOBODY,
    Account,
    Role,
    demo_account,
)
from rtcc_bridge.settings import Settings
from rtcc_bridge.web.origins import SAFE_METHODS
from rtcc_bridge.web.services import services_of

ACCOUNT_COOKIE: Final = "rtcc_demo_account"
VISITOR: Final = DEMO_ACCOUNTS[Role.FLOOR]
"""In the demo, whoever names no account may watch the board and nothing else."""

ACCOUNT = web.RequestKey("account", Account)

WALL: Final = "/wall"
"""The board for a wall. Here and below a screen is known by the token in its cookie, which is good for nothing else."""

_BEARER: Final = "Bearer "


@dataclass(frozen=True, slots=True)
class Identity:
    """by_cookie: whether a cookie says who acts, which a browser sends by itself. problem: why nobody does."""

    account: Account
    by_cookie: bool = False
    problem: SignInRequiredError | None = None


def session_cookie(settings: Settings) -> str:
    """The name of the cookie of a session. With the prefix a browser takes it over TLS and for this host alone."""
    return f"{cookie_prefix(settings)}rtcc_session"


def wall_cookie(settings: Settings) -> str:
    """The name of the cookie that holds a screen's token. It is for `WALL` alone, which `__Host-` does not allow."""
    return "__Secure-rtcc_wall" if cookie_prefix(settings) else "rtcc_wall"


def cookie_prefix(settings: Settings) -> str:
    return "__Host-" if (settings.web.public_url or "").startswith("https://") else ""


def has_role_switch(settings: Settings) -> bool:
    """Whether accounts can be taken without signing in: in the demo alone, whatever the settings say."""
    return settings.profile == "demo" and settings.identity.role_switch


async def identify(request: web.Request, *, acts: bool) -> Identity:
    """acts: whether a person did something. Raises PolicyRefusalError (P10) when a header names a demo account that
    does not exist, UnavailableError."""
    services = services_of(request)
    settings = services.settings
    shown = request.headers.get("Authorization", "")
    cookie, screen = request.cookies.get(session_cookie(settings)), _screen_token(request, settings)
    try:
        if shown.startswith(_BEARER):
            return Identity(await services.people.tokens.find(shown.removeprefix(_BEARER)))
        if screen is not None:
            return Identity(await services.people.tokens.find(screen), by_cookie=True)
        if cookie is not None:
            return Identity(await services.people.sessions.find(cookie, acts=acts), by_cookie=True)
    except SignInRequiredError as problem:
        if not has_role_switch(settings):
            return Identity(NOBODY, by_cookie=bool(cookie or screen), problem=problem)
    return _taken(request) if has_role_switch(settings) else Identity(NOBODY)


def is_act_of_a_person(request: web.Request) -> bool:
    """Whether a person did something, and not a page that loads itself anew (P29). What no browser sent counts too."""
    if request.method not in SAFE_METHODS or "Sec-Fetch-Mode" not in request.headers:
        return True
    return request.headers.get("Sec-Fetch-User") == "?1"


def _screen_token(request: web.Request, settings: Settings) -> str | None:
    is_wall = request.path == WALL or request.path.startswith(f"{WALL}/")
    return request.cookies.get(wall_cookie(settings)) if is_wall else None


def _taken(request: web.Request) -> Identity:
    """The demo account that the request takes."""
    named = request.headers.get(DEMO_ACCOUNT_HEADER)
    if named is not None:
        return Identity(demo_account(named))
    cookie = request.cookies.get(ACCOUNT_COOKIE)
    return Identity(DEMO_ACCOUNTS.get(cookie or "", VISITOR), by_cookie=cookie is not None)
