"""The page on which everybody sees what they did themselves, and what the audit log holds about them."""

from typing import Final

from aiohttp import web

from rtcc_bridge.policy.permissions import Deed, may
from rtcc_bridge.policy.purposes import Purpose
from rtcc_bridge.probes.state import ProbeState
from rtcc_bridge.storage.probes import ProbeRecord
from rtcc_bridge.web.accounts import ACCOUNT
from rtcc_bridge.web.operations import Handler, query_number
from rtcc_bridge.web.oversight_words import act_words, outcome_words
from rtcc_bridge.web.page_cards import named_incidents
from rtcc_bridge.web.services import services_of
from rtcc_bridge.web.templating import page
from rtcc_bridge.web.words import PROBE_STATES, PURPOSES

MOST_DAYS: Final = 90
_DAYS: Final = (7, 30, MOST_DAYS)


async def activity_page(request: web.Request) -> web.Response:
    """`/activity`: one's own searches, decisions, examinations and entries. It is loaded anew by the reader alone."""
    services, account = services_of(request), request[ACCOUNT]
    days = query_number(request, "days", _DAYS[0], least=1, most=MOST_DAYS)
    found = await services.reports.activity.of(account, days, request.query.get("behind"))
    spoken_of = {one.incident_id for one in (*found.searches, *found.decisions)}
    return page(
        request,
        "activity.html",
        feed_position=services.feed.position or 0,
        found=found,
        lapses=services.policy.deferral.lapses_that_end_it,
        standing=await services.probes.deferrals.own(account.name) if may(account, Deed.ATTACH_STILL) else None,
        days=days,
        offered=_DAYS,
        incidents=await named_incidents(services, spoken_of, {}),
        purpose_of=_purpose_of,
        state_of=_state_of,
        act_words=act_words,
        outcome_words=outcome_words,
    )


def _purpose_of(probe: ProbeRecord) -> str:
    return PURPOSES[Purpose(probe.purpose)][0]


def _state_of(probe: ProbeRecord) -> str:
    return PROBE_STATES[ProbeState(probe.state)][0]


ACTIVITY_PAGES: Final[tuple[tuple[str, str, Handler], ...]] = (("GET", "/activity", activity_page),)
