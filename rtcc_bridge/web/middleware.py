"""What every request passes through, outermost first: problems, where it comes from, who acts."""

from http import HTTPStatus
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from rtcc_bridge.errors import IntegrityError
from rtcc_bridge.web.accounts import ACCOUNT, account_from_cookie, acting_account
from rtcc_bridge.web.origins import require_local, require_not_embedded, require_same_origin
from rtcc_bridge.web.problem_page import problem_page
from rtcc_bridge.web.problems import Problem, problem_of
from rtcc_bridge.web.services import services_of

PROGRAM_PREFIXES: Final = ("/api/", "/metrics", "/healthz", "/readyz", "/static/")
"""Addresses that programs call: their errors are problem documents. Elsewhere a person reads."""


@web.middleware
async def answer_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns every error into a problem document, or into a page with the same words."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < HTTPStatus.BAD_REQUEST:
            raise
        return _shown(request, problem_of(error))
    except ConnectionError:
        raise  # nobody is there to read an answer
    except Exception as error:  # noqa: BLE001 - the last resort: it is logged with a correlation id, never swallowed
        if isinstance(error, IntegrityError):
            services_of(request).on_integrity_breach(error)
        return _shown(request, problem_of(error))


@web.middleware
async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Serves this machine only, and changes only what its own pages and programs ask for."""
    peer = None if request.transport is None else request.transport.get_extra_info("peername")
    host = request.headers.get("Host")
    require_local(peer[0] if isinstance(peer, tuple) else None, host, request.headers)
    require_not_embedded(request.path, request.headers)
    require_same_origin(request.method, request.scheme, host, request.headers, account_from_cookie(request))
    request[ACCOUNT] = acting_account(request)
    return await handler(request)


def _shown(request: web.Request, problem: Problem) -> web.StreamResponse:
    if request.path.startswith(PROGRAM_PREFIXES) or "text/html" not in request.headers.get("Accept", ""):
        return problem.response()
    return problem_page(request, problem)
