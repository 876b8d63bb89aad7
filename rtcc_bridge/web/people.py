"""People: their roles, certificates and sessions as a page, and signing somebody out. The register decides who may."""

from http import HTTPStatus
from typing import Final

from aiohttp import web
from pydantic import Field

from rtcc_bridge.people.register import SOON
from rtcc_bridge.policy.permissions import Deed, may
from rtcc_bridge.web.accounts import ACCOUNT
from rtcc_bridge.web.operations import Answer, Body, Handler, Operation, WireModel, answer, read_json
from rtcc_bridge.web.outcomes import ReasonRequest
from rtcc_bridge.web.oversight_words import CERTIFICATES, ROLES
from rtcc_bridge.web.services import services_of
from rtcc_bridge.web.templating import page


class SignedOutView(WireModel):
    """What was ended. The person can sign in again as long as the identity provider lets them."""

    person: str
    sessions_ended: int = Field(ge=1)


async def people_page(request: web.Request) -> web.Response:
    """`/people`: each look is audited, so it is loaded anew by the reader alone."""
    services, account = services_of(request), request[ACCOUNT]
    now = services.clock.now()
    found = await services.people.register.look(account)
    return page(
        request,
        "people.html",
        feed_position=services.feed.position or 0,
        careful=[one for one in found if one.needs_care(now)],
        others=[one for one in found if not one.needs_care(now)],
        may_end=may(account, Deed.END_SESSIONS),
        soon=now + SOON,
        soon_days=SOON.days,
        roles=ROLES,
        certificates=CERTIFICATES,
        has_provider=services.people.provider is not None,
    )


async def sign_somebody_out(request: web.Request) -> web.Response:
    stated, person = await read_json(request, ReasonRequest), request.match_info["person"]
    ended = await services_of(request).people.register.end_sessions(request[ACCOUNT], person, stated.reason)
    return answer(SignedOutView(person=person, sessions_ended=ended))


PEOPLE_PAGES: Final[tuple[tuple[str, str, Handler], ...]] = (("GET", "/people", people_page),)

OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/api/v1/people/{person}/sign-out",
        handler=sign_somebody_out,
        name="signSomebodyOut",
        summary="The administrator ends all sessions of a person",
        tag="people",
        body=Body(ReasonRequest),
        answers=(Answer("How many sessions ended.", SignedOutView),),
        problems=(HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY),
    ),
)
