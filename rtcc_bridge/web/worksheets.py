"""What an examiner gets to see and sends back, of a lead of their own or of a review. No score, no rank (P13).

No moment at which a list was opened either: beside the times on the board it would tell which lead a review is of, that
two have differed, or that it is a seeded case (P12, P27).
"""

from collections.abc import Mapping, Sequence
from datetime import date

from pydantic import Field

from rtcc_bridge.leads.comparison import AidUse, Opinion
from rtcc_bridge.leads.events import OpaqueRef
from rtcc_bridge.leads.opinions import Worksheet
from rtcc_bridge.publishing.lead_constants import NOTICE, Notice
from rtcc_bridge.web.operations import WireModel


class ListedCandidate(WireModel):
    """A candidate to compare with the still."""

    candidate_ref: OpaqueRef
    pictures: int = Field(ge=0, description="How many there are, numbered from 1; none once all were removed.")
    taken_on: tuple[date | None, ...] = Field(
        description="When each of them was taken, in their order; null where the gallery does not know."
    )


class WorksheetView(WireModel):
    """A list and what its examiner has noted."""

    lane: str = Field(description="imminent or routine.")
    concluded: bool = Field(description="Whether the opinion was filed; nothing of it changes then.")
    candidates: tuple[ListedCandidate, ...] = Field(description="In an order of this examiner's own.")
    opinion: Opinion = Field(description="As far as it was noted.")
    aids: tuple[AidUse, ...] = Field(description="What you have used overlay and blink on.")
    notice: Notice = NOTICE


class ExaminationView(WorksheetView):
    """The first examination of a lead."""

    lead_id: OpaqueRef


class ReviewView(WorksheetView):
    """A blind review. Its references are those of this review alone."""

    review_id: OpaqueRef


class ReviewItem(WireModel):
    """A review that waits."""

    review_id: OpaqueRef
    lane: str = Field(description="imminent or routine.")
    taken: bool = Field(description="Whether you have taken it.")


class ReviewQueue(WireModel):
    """Reviews that you have taken or may take."""

    items: tuple[ReviewItem, ...]


def examination_view(lead_id: str, sheet: Worksheet, pictures: Mapping[str, Sequence[str | None]]) -> ExaminationView:
    return ExaminationView(lead_id=lead_id, **_common(sheet, pictures))


def review_view(sheet: Worksheet, pictures: Mapping[str, Sequence[str | None]]) -> ReviewView:
    return ReviewView(review_id=sheet.examination.examination_id, **_common(sheet, pictures))


def _common(sheet: Worksheet, pictures: Mapping[str, Sequence[str | None]]) -> dict[str, object]:
    record = sheet.examination
    return {
        "lane": record.lane,
        "concluded": record.filed_at is not None,
        "candidates": [
            {"candidateRef": ref, "pictures": len(pictures.get(ref, ())), "takenOn": pictures.get(ref, ())}
            for ref in record.refs
        ],
        "opinion": sheet.opinion,
        "aids": sheet.aids,
    }
