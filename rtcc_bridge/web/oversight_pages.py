"""The pages of those who oversee the program: lapsed approvals, the public report, signs of misuse."""

from typing import Final

from aiohttp import web

from rtcc_bridge.policy.permissions import Deed, may
from rtcc_bridge.web.accounts import ACCOUNT
from rtcc_bridge.web.life_words import SIGNALS
from rtcc_bridge.web.operations import Handler
from rtcc_bridge.web.reports import misuse_report
from rtcc_bridge.web.services import services_of
from rtcc_bridge.web.templating import page


async def oversight_page(request: web.Request) -> web.Response:
    """`/oversight`: whose deferred approvals have lapsed; the way to the reports that the account may make."""
    services, account = services_of(request), request[ACCOUNT]
    return page(
        request,
        "oversight.html",
        feed_position=services.feed.position or 0,
        deferrals=await services.probes.deferrals.standings(account),
        may_lift=may(account, Deed.LIFT_DEFERRAL),
        may_report=may(account, Deed.MAKE_TRANSPARENCY_REPORT),
        sees_misuse=may(account, Deed.SEE_MISUSE_SIGNALS),
        month=f"{services.clock.now():%Y-%m}",
    )


async def misuse_page(request: web.Request) -> web.Response:
    """`/oversight/misuse`: a page of its own, since each look at the signs is audited."""
    return page(
        request,
        "misuse.html",
        feed_position=services_of(request).feed.position or 0,
        report=await misuse_report(request),
        names=SIGNALS,
    )


OVERSIGHT_PAGES: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("GET", "/oversight", oversight_page),
    ("GET", "/oversight/misuse", misuse_page),
)
