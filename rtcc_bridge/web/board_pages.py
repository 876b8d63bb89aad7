"""The floor board, what changed on it, and the board for a wall."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from aiohttp import web

from rtcc_bridge.errors import InvalidInputError
from rtcc_bridge.policy.permissions import Deed, may
from rtcc_bridge.web.accounts import ACCOUNT, WALL
from rtcc_bridge.web.board_filter import LEAD_GROUPS, PRIORITIES, BoardWish, wish_of
from rtcc_bridge.web.cards import IncidentCard, by_key, incident_card, lead_card
from rtcc_bridge.web.feed import feed
from rtcc_bridge.web.floor import floor
from rtcc_bridge.web.incidents import LARGEST_PAGE, open_among, open_incidents
from rtcc_bridge.web.leads import newest_leads
from rtcc_bridge.web.operations import Handler
from rtcc_bridge.web.page_cards import named_incidents, taken_by
from rtcc_bridge.web.probes import approval_queue
from rtcc_bridge.web.services import services_of
from rtcc_bridge.web.templating import page, page_templates
from rtcc_bridge.web.views import IncidentList
from rtcc_bridge.web.words import INCIDENT_TYPES, LEAD_GROUP_WORDS, PURPOSES

BOARD_INCIDENTS: Final = LARGEST_PAGE
"""So many cards at most; the rest is counted. More than that nobody reads, and a browser would stutter."""
BOARD_LEADS: Final = 30
CHANGED_AT_ONCE: Final = 100
"""So many incidents at most are asked for by name: with more the board is loaded whole."""
WALL_INCIDENTS: Final = 40
"""More than fit on a wall, so that those under an imminent threat are counted when they do not."""
WALL_LEADS: Final = 12
_LONGEST_ID: Final = 256


@lru_cache(maxsize=8 * BOARD_INCIDENTS)
def incident_markup(card: IncidentCard) -> str:
    """The card as the board shows it, escaped. Kept by all that it shows: of five hundred on a board few have changed
    since it was loaded last, and to write them all anew would take most of the page's time."""
    return page_templates().get_template("pieces.html").module.incident_card(card)  # type: ignore[attr-defined,no-any-return]  # a macro


async def floor_board(request: web.Request) -> web.Response:
    """`/`: threats and open incidents, the newest leads; for a supervisor the searches that wait."""
    wish = wish_of(request)
    found = await open_incidents(services_of(request), BOARD_INCIDENTS, 0, wish.incidents)
    cards = _in_order(found)
    chosen = wish.incidents.incident_type
    types = {**INCIDENT_TYPES, **({chosen: chosen} if chosen and chosen not in INCIDENT_TYPES else {})}
    return page(
        request,
        "board.html",
        feed_position=found.feed_position,
        incidents=tuple(map(incident_markup, cards)),
        most=BOARD_INCIDENTS,
        total=found.total,
        wish=wish,
        types=sorted(types.items(), key=lambda one: one[1]),
        priorities=PRIORITIES,
        lead_groups={name: LEAD_GROUP_WORDS[name] for name in LEAD_GROUPS},
        purposes=PURPOSES,
        **await _other_column(request, wish, by_key(cards)),
    )


async def board_changes(request: web.Request) -> web.Response:
    """`/board/changes`: of the incidents that are named those that belong on the board, and when asked for the leads.

    The parts are the board's own, so that what was loaded and what changed look the same.
    """
    wish, named = wish_of(request), set(request.query.getall("incident", ()))
    if len(named) > CHANGED_AT_ONCE or any(len(name) > _LONGEST_ID for name in named):
        raise InvalidInputError(f"Name at most {CHANGED_AT_ONCE} incidents.", "fields")
    found = await open_among(services_of(request), named, wish.incidents)
    cards = tuple(incident_card(view) for view in found.items)
    others = await _other_column(request, wish, by_key(cards)) if "with-leads" in request.query else None
    return page(
        request,
        "board_changes.html",
        incidents=tuple(map(incident_markup, cards)),
        most=BOARD_INCIDENTS,
        total=found.total,
        wish=wish,
        purposes=PURPOSES,
        others=others,
    )


def _in_order(found: IncidentList) -> tuple[IncidentCard, ...]:
    """By what each card says of its place, since one that changes is put there: the query puts an exercise under an
    imminent threat first, which is no imminent one."""
    return tuple(sorted(map(incident_card, found.items), key=lambda card: card.order))


async def _other_column(request: web.Request, wish: BoardWish, known: Mapping[str, IncidentCard]) -> dict[str, Any]:
    """Leads, and for whoever decides on searches those that wait."""
    services, account = services_of(request), request[ACCOUNT]
    newest = await newest_leads(services, BOARD_LEADS, states=wish.lead_states)
    waiting = (await approval_queue(services)).items if may(account, Deed.SEE_APPROVALS) else None
    wanted = {view.data.incident_id for view in newest.items} | {probe.incident_id for probe in waiting or ()}
    named = await named_incidents(services, wanted, known)
    own = await taken_by(services, [view.data.lead_id for view in newest.items], account)
    leads = tuple(lead_card(view, named, own) for view in newest.items)
    return {"leads": leads, "waiting": waiting, "named": named}


async def wall_board(request: web.Request) -> web.Response:
    """`/wall`: the board to be read from across the room, with nothing to press. A screen shows it with a token."""
    services = services_of(request)
    found = await open_incidents(services, WALL_INCIDENTS, 0)
    newest = (await newest_leads(services, WALL_LEADS + 1)).items
    listed, cards = newest[:WALL_LEADS], _in_order(found)
    named = await named_incidents(services, {view.data.incident_id for view in listed}, by_key(cards))
    return page(
        request,
        "wall.html",
        feed_position=found.feed_position,
        incidents=cards,
        total=found.total,
        imminent=sum(card.level == "imminent" for card in cards),
        leads=tuple(lead_card(view, named) for view in listed),
        has_more_leads=len(newest) > WALL_LEADS,
    )


BOARD_PAGES: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("GET", "/", floor_board),
    ("GET", "/board/changes", board_changes),
    ("GET", WALL, wall_board),
    # What the wall's own token is good for lies below the wall's address, and its cookie goes nowhere else.
    ("GET", f"{WALL}/feed", feed),
    ("GET", f"{WALL}/floor", floor),
)
