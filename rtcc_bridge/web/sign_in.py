"""Signing in and out: with the identity provider, in the demo with a local account. Plain forms, without a script."""

from http import HTTPStatus
from typing import Final

from aiohttp import web

from rtcc_bridge.errors import InvalidInputError, NotFoundError, PolicyRefusalError, SignInRequiredError
from rtcc_bridge.people.departures import SIGN_IN_TAKES
from rtcc_bridge.people.local_accounts import LocalAccounts
from rtcc_bridge.people.provider import IdentityProvider
from rtcc_bridge.people.service_tokens import LONGEST
from rtcc_bridge.people.signed_in import SignedIn
from rtcc_bridge.policy.permissions import Deed, may
from rtcc_bridge.web.access import watching_strangers
from rtcc_bridge.web.accounts import WALL, cookie_prefix, session_cookie, wall_cookie
from rtcc_bridge.web.doorkeeper import DOORKEEPER
from rtcc_bridge.web.operations import Handler
from rtcc_bridge.web.problems import SIGN_IN
from rtcc_bridge.web.services import services_of
from rtcc_bridge.web.templating import page

_MOST_BACK: Final = 1024
_MOST_PARAMETERS: Final = 4096
_NO_STORE: Final = {"Cache-Control": "no-store"}


def local_path(path: object) -> str:
    """Only an address of this site: a form or a link cannot send a person elsewhere."""
    safe = isinstance(path, str) and path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return str(path) if safe and len(str(path)) <= _MOST_BACK and "\\" not in str(path) else "/"


async def sign_in_page(request: web.Request) -> web.Response:
    """`/sign-in`."""
    return _page(request, None)


async def sign_in_locally(request: web.Request) -> web.Response:
    """The demo's form."""
    form = await request.post()
    login, password = form.get("login"), form.get("password")
    if not isinstance(login, str) or not isinstance(password, str):
        raise InvalidInputError("Send the fields login and password.", "fields")
    try:
        person = await _accounts(request).sign_in(login, password)
    except PolicyRefusalError as refusal:
        return _page(request, str(refusal), HTTPStatus.FORBIDDEN)
    return await _begin(request, person, local_path(form.get("back")))


async def open_wall(request: web.Request) -> web.Response:
    """A screen shows its token, once: the browser keeps it in a cookie for the wall alone, until it is revoked."""
    form = await request.post()
    token = form.get("token")
    if not isinstance(token, str):
        raise InvalidInputError("Send the field token.", "fields")
    services, token = services_of(request), token.strip()
    try:
        async with watching_strangers(request, action="wall.open", subject="wall"):
            account = await services.people.tokens.find(token)
            if not may(account, Deed.WATCH_FLOOR):
                raise SignInRequiredError("P10", "This token is for something else: a wall's is made for watch-floor.")
    except SignInRequiredError as refusal:
        return _page(request, str(refusal), HTTPStatus.UNAUTHORIZED, back=WALL)
    response = _see(WALL)
    response.set_cookie(
        wall_cookie(services.settings), token, max_age=int(LONGEST.total_seconds()), path=WALL,
        secure=_secure(request), httponly=True, samesite="Strict",
    )  # fmt: skip
    return response


async def go_to_provider(request: web.Request) -> web.Response:
    """Sends the browser to the provider, with a cookie that holds all that is remembered of it."""
    on_the_way = await _provider(request).depart(local_path(request.query.get("back")))
    response = _see(on_the_way.address)
    _set_cookie(request, response, _departure_cookie(request), on_the_way.cookie, int(SIGN_IN_TAKES.total_seconds()))
    return response


async def come_back(request: web.Request) -> web.Response:
    """Where the provider sends the browser."""
    name = _departure_cookie(request)
    if len(request.query_string) > _MOST_PARAMETERS:
        raise InvalidInputError("The answer is longer than any of the provider's.", "fields")
    try:
        async with watching_strangers(request, action="session.begin", subject="provider"):
            found = await _provider(request).arrive(request.query, request.cookies.get(name, ""))
    except SignInRequiredError as refusal:
        response = _page(request, str(refusal), HTTPStatus.UNAUTHORIZED)
    else:
        response = await _begin(request, found.person, local_path(found.back))
    response.del_cookie(name, path="/", secure=_secure(request), httponly=True, samesite="Lax")
    return response


async def logout_by_provider(request: web.Request) -> web.Response:
    """OpenID Connect Back-Channel Logout 1.0: the provider has ended a session there, so ours end too."""
    form = await request.post()
    token = form.get("logout_token")
    try:
        if not isinstance(token, str):
            raise InvalidInputError("Send the field logout_token.", "fields")
        async with watching_strangers(request, action="session.provider_logout", subject="provider"):
            subject, session = await _provider(request).logged_out(token)
    except (SignInRequiredError, InvalidInputError):
        return web.json_response({"error": "invalid_request"}, status=HTTPStatus.BAD_REQUEST, headers=_NO_STORE)
    await services_of(request).people.sessions.end_of_provider(subject, session)
    return web.Response(headers=_NO_STORE)


async def sign_out(request: web.Request) -> web.Response:
    """Ends the session here, and offers to end it at the provider too: by a link, since browsers let a form lead to no
    other site (the policy form-action)."""
    services = services_of(request)
    name = session_cookie(services.settings)
    ended = await services.people.sessions.end(request.cookies.get(name, ""))
    provider = services.people.provider
    farewell = await provider.farewell() if provider is not None and ended and ended.provider_subject else None
    response = _see(SIGN_IN) if farewell is None else _page(request, None, farewell=farewell)
    response.del_cookie(name, path="/", secure=_secure(request), httponly=True, samesite="Lax")
    return response


def _page(
    request: web.Request,
    refusal: str | None,
    status: HTTPStatus = HTTPStatus.OK,
    farewell: str | None = None,
    back: str | None = None,
) -> web.Response:
    people, back = services_of(request).people, back or local_path(request.query.get("back"))
    return page(
        request,
        "sign_in.html",
        status,
        feed_position=None,
        back=back,
        for_wall=back == WALL,
        refusal=refusal,
        farewell=farewell,
        with_provider=people.provider is not None,
        with_accounts=people.accounts is not None,
    )


async def _begin(request: web.Request, person: SignedIn, back: str) -> web.Response:
    """Whoever had a session in this browser has a new one now: no earlier cookie is good for the new person."""
    services = services_of(request)
    name = session_cookie(services.settings)
    await services.people.sessions.end(request.cookies.get(name, ""))
    secret = await services.people.sessions.begin(person)
    response = _see(back)
    _set_cookie(request, response, name, secret, None)
    return response


def _see(address: str) -> web.Response:
    return web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": address})


def _set_cookie(request: web.Request, response: web.Response, name: str, value: str, seconds: int | None) -> None:
    """Lax, since a link in another program, and the provider's answer, lead here; changes are held to our own pages."""
    response.set_cookie(name, value, max_age=seconds, path="/", secure=_secure(request), httponly=True, samesite="Lax")


def _secure(request: web.Request) -> bool:
    return request.app[DOORKEEPER].has_secure_cookies


def _departure_cookie(request: web.Request) -> str:
    return f"{cookie_prefix(services_of(request).settings)}rtcc_sign_in"


def _provider(request: web.Request) -> IdentityProvider:
    provider = services_of(request).people.provider
    if provider is None:
        raise NotFoundError("No identity provider is named here.")
    return provider


def _accounts(request: web.Request) -> LocalAccounts:
    accounts = services_of(request).people.accounts
    if accounts is None:
        raise NotFoundError("There are no local accounts here: sign in with the identity provider.")
    return accounts


SIGN_IN_PAGES: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("GET", SIGN_IN, sign_in_page),
    ("POST", SIGN_IN, sign_in_locally),
    ("GET", f"{SIGN_IN}/provider", go_to_provider),
    ("GET", f"{SIGN_IN}/callback", come_back),
    ("POST", f"{SIGN_IN}/back-channel-logout", logout_by_provider),
    ("POST", "/sign-out", sign_out),
    ("POST", f"{WALL}/token", open_wall),
)
