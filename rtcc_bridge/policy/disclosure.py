"""Who lets a court have more than was released (P17): two people, for the leads that they have named, once. Pure."""

from collections.abc import Set
from dataclasses import dataclass
from datetime import datetime

from rtcc_bridge.errors import PolicyRefusalError
from rtcc_bridge.policy.accounts import Account, same_person
from rtcc_bridge.policy.permissions import Deed, require_permission
from rtcc_bridge.policy.rules import ORDER_LASTS


@dataclass(frozen=True, slots=True)
class DisclosureOrderFacts:
    """What the rules want to know of an order to identify everybody on the lists of some leads.

    made: whether a packet was made by it.
    """

    lead_ids: Set[str]
    asked_by: str
    approved_by: str | None
    approved_at: datetime | None
    made: bool


def require_other_person(account: Account, *, asked_by: str) -> None:
    """P17: nobody alone learns who is on a list, by whichever accounts they sign in."""
    require_permission(account, Deed.APPROVE_DISCLOSURE)
    if same_person(account.name, asked_by):
        raise PolicyRefusalError(
            "P17", "You have asked for this disclosure yourself: another person has to approve it."
        )


def require_fresh(asked_at: datetime, now: datetime) -> None:
    """P17: what somebody asked for long ago is not approved any more."""
    if now >= asked_at + ORDER_LASTS:
        raise PolicyRefusalError("P17", "The time to approve this disclosure has passed: ask for it again.")


def require_disclosure_order(order: DisclosureOrderFacts, lead_ids: Set[str], now: datetime) -> None:
    """P17: whom two examiners did not agree on is identified on an order that two people gave, once.

    lead_ids: of the packet that is to be made.
    """
    if order.approved_by is None or order.approved_at is None or same_person(order.asked_by, order.approved_by):
        raise PolicyRefusalError(
            "P17",
            "Nobody else has approved this disclosure: another person, a supervisor or administrator, has to sign in "
            "and approve it.",
        )
    if now >= order.approved_at + ORDER_LASTS:
        raise PolicyRefusalError("P17", "The time to carry this order out has passed: ask for the disclosure again.")
    if not order.lead_ids <= lead_ids:
        raise PolicyRefusalError(
            "P17", "The order is for other leads: make the packet of the lead, or of the case, that was approved."
        )
    if order.made:
        raise PolicyRefusalError("P17", "A packet was made by this order: one order, one packet.")
