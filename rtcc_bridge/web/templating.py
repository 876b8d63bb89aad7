"""Jinja2 for the pages: everything is escaped, and a name that does not exist is an error."""

import json
import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any, Final
from urllib.parse import quote

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from rtcc_bridge.policy.accounts import NOBODY
from rtcc_bridge.policy.permissions import Deed, may
from rtcc_bridge.web.accounts import ACCOUNT, VISITOR, has_role_switch
from rtcc_bridge.web.life_words import ANYWHERE, DEMO_SHORTCUTS, SHORTCUTS
from rtcc_bridge.web.navigation import places
from rtcc_bridge.web.services import services_of
from rtcc_bridge.web.words import DEMO_PEOPLE, FIRST_STEPS, LEAD_ONLY, of_searches

TEMPLATES = web.AppKey("templates", Environment)
HTML: Final = "text/html"
_BETWEEN_BACKTICKS: Final = re.compile(r"`([^`]+)`")
_CODE: Final = Markup("<code>{}</code>")


@cache
def page_templates() -> Environment:
    """The environment of the pages, one for all applications: it keeps the templates that it has compiled."""
    environment = Environment(
        loader=PackageLoader("rtcc_bridge.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["segment"] = _segment
    environment.filters["moment"] = _moment
    environment.filters["of_searches"] = of_searches
    environment.filters["indented"] = _indented
    environment.filters["sentence"] = _sentence
    environment.globals["lead_only"] = LEAD_ONLY  # what the pieces say of every lead, whoever renders them
    environment.filters["last_day"] = _last_day
    return environment


def page(request: web.Request, template: str, status: int = 200, **content: Any) -> web.Response:
    """Renders a page with what every page needs: who acts, and the daemon's time."""
    settings = services_of(request).settings
    role_switch = has_role_switch(settings)
    account = request.get(ACCOUNT, VISITOR if role_switch else NOBODY)
    text = request.app[TEMPLATES].get_template(template).render(
        account=account,
        analyst=may(account, Deed.ATTACH_STILL),
        supervisor=may(account, Deed.DECIDE_SEARCH),
        sees_leads=may(account, Deed.RELEASE_LEAD),
        places=places(account),
        keys=(*SHORTCUTS.get(template, ()), *ANYWHERE, *(DEMO_SHORTCUTS if role_switch and not account.login else ())),
        first_steps=FIRST_STEPS,
        people=DEMO_PEOPLE,
        demo=settings.profile == "demo",
        role_switch=role_switch,
        signed_in=bool(account.login),
        path=request.path_qs,
        now=services_of(request).clock.now(),
        policy_remark=services_of(request).policy_in_force.remark,
        heartbeat_seconds=settings.web.feed_heartbeat_seconds,
        **content,
    )  # fmt: skip
    return web.Response(text=text, content_type=HTML, status=status)


def _segment(text: str) -> str:
    """A value as one segment of an address."""
    return quote(text, safe="")


def _moment(value: datetime) -> str:
    """For a `datetime` attribute, which scripts read."""
    return value.isoformat()


def _indented(document: Mapping[str, Any]) -> str:
    """JSON as a person reads it; the template escapes it like any other text."""
    return json.dumps(document, ensure_ascii=False, indent=1)


def _sentence(text: object) -> Markup:
    """What the daemon says to whomever asks, who may sit at a command line: what stands between backticks, as a command
    does, is code on a page."""
    parts = enumerate(_BETWEEN_BACKTICKS.split(str(text)))  # every other one stood between them
    return Markup("").join(_CODE.format(part) if place % 2 else part for place, part in parts)


def _last_day(end: datetime) -> date:
    """The last day (UTC) of what does not hold at that moment any more: of midnight, the day before."""
    return (end - timedelta(microseconds=1)).date()
