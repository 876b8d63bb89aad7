"""The figures of oversight: what counts, on which day, and how long reviews took. Pure."""

from datetime import UTC, datetime, timedelta
from typing import Any

from rtcc_bridge.audit.entries import record_of
from rtcc_bridge.reports.figures import FigureCount, Figures
from rtcc_bridge.storage.examinations import FiledReview

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


def counted(*entries: tuple[str, str, float, dict[str, Any]], reviews: tuple[FiledReview, ...] = ()) -> Figures:
    """entries: (action, outcome, days ago, details)."""
    count = FigureCount(frozenset({"training"}))
    for number, (action, outcome, days_ago, details) in enumerate(entries):
        entry = {
            "entryId": str(number),
            "actor": "somebody",
            "action": action,
            "subject": "something",
            "outcome": outcome,
            "details": details,
        }
        count.add(record_of(entry, NOON - timedelta(days=days_ago)))
    return count.figures(NOON - timedelta(days=3), NOON, reviews)


def searched(purpose: str, gallery: str = "live") -> dict[str, Any]:
    return {"purpose": purpose, "search": {"gallery": gallery}}


def review(minutes: float, *, round_number: int = 2, third: bool = False) -> FiledReview:
    return FiledReview("e", "l", round_number, "somebody", NOON - timedelta(minutes=minutes), NOON, third)


def test_searches_count_by_purpose_and_refusals_by_rule_each_on_its_day() -> None:
    found = counted(
        ("lead.candidates", "unreviewed", 0, searched("violent_offense")),
        ("lead.no_candidate", "unreviewed", 1, searched("violent_offense")),
        ("lead.candidates", "unreviewed", 1, searched("imminent_threat")),
        ("probe.attach", "refused", 1, {"rule": "P02"}),
        ("probe.attach", "refused", 2, {"rule": "P10"}),
        ("probe.attach", "refused", 2, {"rule": "P10"}),
    )
    assert (found.searches, found.refusals) == (3, 3)
    assert {name: count for name, count in found.by_purpose.items() if count} == {
        "violent_offense": 2,
        "imminent_threat": 1,
    }
    assert "identify_deceased" in found.by_purpose, "what was not searched for is told too"
    assert list(found.by_rule.items()) == [("P10", 2), ("P02", 1)]
    assert [(one.day.day, one.searches, one.refusals) for one in found.days] == [
        (23, 0, 0),
        (24, 0, 2),
        (25, 2, 1),
        (26, 1, 0),
    ]


def test_an_exercise_does_not_count() -> None:
    assert counted(("lead.candidates", "unreviewed", 0, searched("violent_offense", "training"))).searches == 0


def test_reviews_are_those_of_peers_with_their_times() -> None:
    reviews = (review(10), review(20, third=True), review(30), review(500, round_number=3))
    found = counted(reviews=reviews).reviews
    assert (found.filed, found.differing, found.median, found.ninth_decile) == (3, 1, 20.0, 28.0)


def test_without_any_review_no_time_is_told_and_of_one_its_own() -> None:
    nothing = counted().reviews
    assert (nothing.filed, nothing.median, nothing.ninth_decile) == (0, None, None)
    assert counted(reviews=(review(7),)).reviews.median == 7.0
