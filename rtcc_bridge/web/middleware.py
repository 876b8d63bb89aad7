"""What every request passes through, outermost first: problems, where it comes from, who acts."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from rtcc_bridge.audit.arrival import Way, coming_by
from rtcc_bridge.cloud_event import TRACEPARENT
from rtcc_bridge.errors import IntegrityError
from rtcc_bridge.telemetry.work import log_scope
from rtcc_bridge.web.accounts import ACCOUNT, account_from_cookie, acting_account
from rtcc_bridge.web.origins import peer_of, require_local, require_not_embedded, require_same_origin
from rtcc_bridge.web.problem_page import problem_page
from rtcc_bridge.web.problems import Problem, problem_of

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
    """Serves this machine only, and changes only what its own pages and programs ask for."""
    host = request.headers.get("Host")
    require_local(peer_of(request), host, request.headers)
    require_not_embedded(request.path, request.headers)
    require_same_origin(request.method, request.scheme, host, request.headers, account_from_cookie(request))
    request[ACCOUNT] = acting_account(request)
    with coming_by(Way.WEB, peer_of(request)):
        return await handler(request)


def as_document(_request: web.Request, problem: Problem) -> web.Response:
    """The problem document."""
    return problem.response()


def as_page_or_document(request: web.Request, problem: Problem) -> web.Response:
    """The problem document for programs, a page with the same words for a person."""
    if request.path.startswith(PROGRAM_PREFIXES) or "text/html" not in request.headers.get("Accept", ""):
        return problem.response()
    return problem_page(request, problem)
