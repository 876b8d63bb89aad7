"""README.txt of a packet: what it is, how it is read, and how whoever trusts neither us nor the agency verifies it."""

from collections.abc import Sequence
from datetime import datetime
from importlib.resources import files
from typing import Final

from rtcc_bridge.leads.release import LIMITS
from rtcc_bridge.publishing.lead_constants import NOTICE
from rtcc_bridge.reports.packet_archive import MANIFEST, PUBLIC_KEY, SIGNATURE

_TEMPLATE: Final = "templates/README.txt"


def readme(
    name: str,
    made_at: datetime,
    account: str,
    receiver: str,
    missing: Sequence[str],
    *,
    identified: Sequence[str],
    leads: int,
) -> bytes:
    """receiver: whom it is handed to.

    identified: the folders of the leads of which every candidate is named, on an order of a court.
    """
    several = f"\nThere are {leads} leads: lead-1 to lead-{leads}, the oldest search first.\n"
    template = files("rtcc_bridge.reports").joinpath(_TEMPLATE).read_text(encoding="utf-8")
    text = template.format(
        name=name,
        made_at=made_at,
        account=account,
        receiver=receiver,
        notice=NOTICE,
        leads=several if leads > 1 else "",
        identified=_identified(identified, leads),
        limits="\n".join(f"  - {sentence}" for sentence in LIMITS),
        missing="\n".join(f"  - {sentence}" for sentence in missing) or "  Nothing.",
        public_key=PUBLIC_KEY,
        manifest=MANIFEST,
        signature=SIGNATURE,
    )
    return text.encode()


def _identified(folders: Sequence[str], leads: int) -> str:
    if not folders:
        return "Candidates that were released to the requestor; the others stand on the list by rank and score."
    lists = "the lists" if len(folders) == leads else f"the list in {', '.join(folders)}"
    people = "the audit log names it and the two\n  people who let it be carried out."
    everybody = f"Every candidate of {lists}, by an order of a court; {people}"
    return everybody if len(folders) == leads else f"{everybody} Of the other lists, those who were released."
