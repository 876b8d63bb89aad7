"""What every request passes through, outermost first: problems, where it comes from, who acts."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from rtcc_bridge.audit.arrival import Way, coming_by
from rtcc_bridge.cloud_event import TRACEPARENT
from rtcc_bridge.errors import IntegrityError
from rtcc_bridge.telemetry.work import log_scope
from rtcc_bridge.web.access import admit_to_route
from rtcc_bridge.web.doorkeeper import DOORKEEPER
from rtcc_bridge.web.origins import peer_of, require_local, require_same_origin
from rtcc_bridge.web.problem_page import problem_page
from rtcc_bridge.web.problems import SIGN_IN, Problem, problem_of

PROGRAM_PREFIXES: Final = ("/api/", "/metrics", "/healthz", "/readyz", "/static/")
"""Addresses that programs call: their errors are problem documents. Elsewhere a person reads."""


def answering_problems(
    on_integrity_breach: Callable[[IntegrityError], None], show: Callable[[web.Request, Problem], web.Response]
) -> Middleware:
    """Turns every error into a problem, which `show` makes an answer of. What is logged tells what it was about."""

    @web.middleware
    async def answer_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
        with log_scope(caller=request.headers.get(TRACEPARENT)):
            try:
                return await handler(request)
            except web.HTTPException as error:
                if error.status < HTTPStatus.BAD_REQUEST:
                    raise
                return show(request, problem_of(error))
            except ConnectionError:
                raise  # nobody is there to read an answer
            except Exception as error:  # noqa: BLE001 - the last resort: it is logged with a correlation id
                if isinstance(error, IntegrityError):
                    on_integrity_breach(error)
                return show(request, problem_of(error))

    return answer_problems


@web.middleware
async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Serves what comes the right way, from whoever may have it."""
    with coming_by(Way.WEB, request.app[DOORKEEPER].address_of(request)):
        await admit_to_route(request)
        return await handler(request)


@web.middleware
async def admit_local(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Serves this machine only."""
    host = request.headers.get("Host")
    require_local(peer_of(request), host, request.headers)
    require_same_origin(request.method, request.scheme, host, request.headers, cookie=False)
    return await handler(request)


def as_document(_request: web.Request, problem: Problem) -> web.Response:
    """The problem document."""
    return problem.response()


def as_page_or_document(request: web.Request, problem: Problem) -> web.Response:
    """The problem document for programs, a page with the same words for a person."""
    if not _is_for_a_person(request):
        return problem.response()
    if problem.document.status == HTTPStatus.UNAUTHORIZED and _follows_a_link(request):
        back = quote(request.path_qs, safe="/?&=%")
        return web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": f"{SIGN_IN}?back={quote(back, safe='')}"})
    return problem_page(request, problem)


def _is_for_a_person(request: web.Request) -> bool:
    """A browser says that it loads what it was led to as a page: a report, say, which lies among the addresses of
    programs."""
    is_loaded = request.method == "GET" and request.headers.get("Sec-Fetch-Dest") == "document"
    is_of_programs = request.path.startswith(PROGRAM_PREFIXES) and not is_loaded
    return not is_of_programs and "text/html" in request.headers.get("Accept", "")


def _follows_a_link(request: web.Request) -> bool:
    """A page that loads itself anew is told that nobody is signed in any more; a person is led to where they can."""
    return request.method == "GET" and request.headers.get("Sec-Fetch-Mode", "navigate") == "navigate"
