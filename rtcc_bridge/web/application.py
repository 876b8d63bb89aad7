"""The web applications. `app` builds the services, runs this with an AppRunner and runs `FeedHub.run` beside it."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from aiohttp import web
from aiohttp.web_urldispatcher import AbstractRoute

from rtcc_bridge.errors import IntegrityError
from rtcc_bridge.web import health
from rtcc_bridge.web.access import ROUTE_GUARDS, STRANGERS, Strangers
from rtcc_bridge.web.accounts import has_role_switch
from rtcc_bridge.web.doorkeeper import DOORKEEPER, Doorkeeper
from rtcc_bridge.web.floor import FLOOR, FloorWatch
from rtcc_bridge.web.health import READINESS, ReadinessBoard
from rtcc_bridge.web.middleware import admit, admit_local, answering_problems, as_document, as_page_or_document
from rtcc_bridge.web.openapi import OPERATIONS
from rtcc_bridge.web.operations import MAX_JSON_BYTES
from rtcc_bridge.web.pages import PAGES, ROLE_SWITCH
from rtcc_bridge.web.probes import UPLOADS
from rtcc_bridge.web.route_deeds import GUARDS, Guard
from rtcc_bridge.web.security_headers import STATIC_PREFIX, add_security_headers
from rtcc_bridge.web.services import SERVICES, WebServices
from rtcc_bridge.web.sign_in import SIGN_IN_PAGES
from rtcc_bridge.web.templating import TEMPLATES, page_templates
from rtcc_bridge.web.uploads import UploadSlots

STATIC: Final = Path(__file__).parent / "static"
OWN_ID: Final = "[A-Za-z0-9_-]{16,64}"
"""An id that this program made: whatever else is asked for does not exist, and no refusal of it is written down."""

_OWN_IDS: Final = (
    "{probeId}", "{clipId}", "{leadId}", "{reviewId}", "{candidateRef}", "{entryId}", "{orderId}", "{holdId}",
)  # fmt: skip


def create_app(services: WebServices) -> web.Application:
    """The application with every route. At shutdown it ends the feed's streams, so that connections can close."""
    problems = answering_problems(services.on_integrity_breach, as_page_or_document)
    app = web.Application(middlewares=[problems, admit], client_max_size=MAX_JSON_BYTES)
    app[SERVICES] = services
    app[UPLOADS] = UploadSlots(services.settings.web.uploads)
    app[READINESS] = services.readiness
    app[FLOOR] = FloorWatch(services.database)
    app[TEMPLATES] = page_templates()
    app[DOORKEEPER] = Doorkeeper(services.settings)
    app[STRANGERS] = Strangers()
    app[ROUTE_GUARDS] = _add_routes(app, has_role_switch(services.settings))
    app.on_response_prepare.append(add_security_headers)
    app.on_shutdown.append(_end_feed)
    return app


def create_operations_app(
    readiness: ReadinessBoard, on_integrity_breach: Callable[[IntegrityError], None], *, local_only: bool
) -> web.Application:
    """Liveness, readiness and metrics only: nothing about people.

    local_only: for an address of this machine, where a page that a browser here shows must not read them either.
    """
    problems = answering_problems(on_integrity_breach, as_document)
    app = web.Application(middlewares=[problems, admit_local] if local_only else [problems])
    app[READINESS] = readiness
    for operation in health.OPERATIONS:
        app.router.add_route(operation.method, operation.path, operation.handler)
    app.on_response_prepare.append(add_security_headers)
    return app


def _add_routes(app: web.Application, role_switch: bool) -> dict[AbstractRoute, Guard]:
    """Every route with its guard. One without is added too, and refused to everybody: a test finds it."""
    switch = (ROLE_SWITCH,) if role_switch else ()
    wanted = [(one.method, one.path, one.handler) for one in OPERATIONS] + [*PAGES, *SIGN_IN_PAGES, *switch]
    guards = {}
    for method, path, handler in wanted:
        route = app.router.add_route(method, _whole_segments(path), handler)
        if (guard := GUARDS.get((method, path))) is not None:
            guards[route] = guard
    for route in app.router.add_static(STATIC_PREFIX, STATIC):
        guards[route] = GUARDS["GET", STATIC_PREFIX]
    return guards


def _whole_segments(path: str) -> str:
    """Says what a path parameter may hold: our own ids the characters that we make them of, an incident's id every
    character but a slash and the zero (also braces, which the default pattern leaves out). No text in PostgreSQL has a
    zero, so that nothing is called by one."""
    for name in _OWN_IDS:
        path = path.replace(name, f"{name[:-1]}:{OWN_ID}}}")
    return re.sub(r"{(\w+)}", r"{\1:[^/\0]+}", path)


async def _end_feed(app: web.Application) -> None:
    app[SERVICES].feed.close()
