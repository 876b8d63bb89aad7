"""The pages of those who oversee the program: figures, lapsed approvals, the public report, signs of misuse."""

from typing import Final

from aiohttp import web

from rtcc_bridge.leads.withdrawal import may_answer
from rtcc_bridge.policy.accounts import Role, same_person
from rtcc_bridge.policy.permissions import Deed, may
from rtcc_bridge.web.accounts import ACCOUNT
from rtcc_bridge.web.life_words import SIGNAL_ITEMS, SIGNALS
from rtcc_bridge.web.operations import Handler, query_number
from rtcc_bridge.web.oversight_words import RULES
from rtcc_bridge.web.page_cards import named_incidents
from rtcc_bridge.web.reports import misuse_report
from rtcc_bridge.web.services import services_of
from rtcc_bridge.web.templating import page
from rtcc_bridge.web.words import PURPOSES

_DAYS: Final = (30, 7, 90)
"""So many days back, the first one if nobody says."""


async def oversight_page(request: web.Request) -> web.Response:
    """`/oversight`: figures for those who may see them, lapsed approvals, withdrawals not confirmed; the way on.

    lead in the query: of which a discovery packet is to be made.
    """
    services, account = services_of(request), request[ACCOUNT]
    days = query_number(request, "days", _DAYS[0], least=1, most=max(_DAYS))
    examines = Role.ANALYST in account.roles  # to whom the desks tell nothing of this (P12)
    outstanding = await services.life.withdrawal.outstanding(account)
    sees_figures = may(account, Deed.SEE_FIGURES) and not examines
    deferrals = await services.probes.deferrals.standings(account)
    return page(
        request,
        "oversight.html",
        feed_position=services.feed.position or 0,
        deferrals=deferrals,
        lapses=services.policy.deferral.lapses_that_end_it,
        own_lapses={one.analyst for one in deferrals if same_person(one.analyst, account.name)},
        may_lift=may(account, Deed.LIFT_DEFERRAL),
        may_report=may(account, Deed.MAKE_TRANSPARENCY_REPORT),
        may_disclose=may(account, Deed.MAKE_DISCOVERY_PACKET) and not examines,
        packet_of=request.query.get("lead", ""),
        sees_misuse=may(account, Deed.SEE_MISUSE_SIGNALS) and not examines,
        unconfirmed=[(one, may_answer(account, one.receiver.handed_over_by)) for one in outstanding.people],
        systems_behind=outstanding.systems,
        incidents=await named_incidents(services, {one.incident_id for one in outstanding.people}, {}),
        month=f"{services.clock.now():%Y-%m}",
        figures=await services.reports.figures.look(account, days) if sees_figures else None,
        days=days,
        offered=_DAYS,
        purposes={purpose.value: words[0] for purpose, words in PURPOSES.items()},
        rules=RULES,
        sees_log=may(account, Deed.SEE_AUDIT_LOG) and not examines,
        sees_policy=may(account, Deed.SEE_POLICY),
    )


async def misuse_page(request: web.Request) -> web.Response:
    """`/oversight/misuse`: a page of its own, since each look at the signs is audited."""
    return page(
        request,
        "misuse.html",
        feed_position=services_of(request).feed.position or 0,
        report=await misuse_report(request),
        names=SIGNALS,
        items=SIGNAL_ITEMS,
    )


OVERSIGHT_PAGES: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("GET", "/oversight", oversight_page),
    ("GET", "/oversight/misuse", misuse_page),
)
