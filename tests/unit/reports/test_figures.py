"""The figures of oversight: what counts, on which day, and how long reviews took. Pure."""

from datetime import UTC, datetime, timedelta

from rtcc_bridge.reports.figures import FigureCount, Figures
from rtcc_bridge.storage.act_counts import ActCount
from rtcc_bridge.storage.examinations import ReviewTimes

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
NO_REVIEW = ReviewTimes((), 0)


def counted(*acts: tuple[int, ActCount], reviews: ReviewTimes = NO_REVIEW) -> Figures:
    """acts: with how many days ago they were."""
    count = FigureCount(frozenset({"training"}))
    for ago in range(3, -1, -1):
        count.add((NOON - timedelta(days=ago)).date(), [one for days_ago, one in acts if days_ago == ago])
    return count.figures(NOON - timedelta(days=3), NOON, reviews)


def searched(purpose: str | None, count: int = 1, gallery: str = "live") -> ActCount:
    return ActCount(is_refused=False, rule=None, purpose=purpose, gallery=gallery, count=count)


def refused(rule: str | None, count: int = 1) -> ActCount:
    return ActCount(is_refused=True, rule=rule, purpose=None, gallery=None, count=count)


def reviewed(*minutes: int, thirds: int = 0) -> ReviewTimes:
    return ReviewTimes([one * 60_000_000 for one in minutes], thirds)


def test_searches_count_by_purpose_and_refusals_by_rule_each_on_its_day() -> None:
    found = counted(
        (0, searched("violent_offense")),
        (1, searched("violent_offense")),
        (1, searched("imminent_threat")),
        (1, refused("P02")),
        (2, refused("P10", 2)),
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
    assert counted((0, searched("violent_offense", gallery="training"))).searches == 0


def test_what_names_no_purpose_is_counted_all_the_same() -> None:
    assert counted((0, searched(None, 2))).searches == 2


def test_what_a_supervisor_refused_is_no_attempt_that_a_rule_refused() -> None:
    found = counted((0, refused(None, 3)), (0, refused("P02")))
    assert (found.refusals, found.by_rule) == (1, {"P02": 1})
    assert [one.refusals for one in found.days if one.refusals] == [1]


def test_reviews_are_told_with_their_times() -> None:
    found = counted(reviews=reviewed(30, 10, 20, thirds=1)).reviews
    assert (found.filed, found.differing, found.median, found.ninth_decile) == (3, 1, 20.0, 28.0)


def test_without_any_review_no_time_is_told_and_of_one_its_own() -> None:
    nothing = counted().reviews
    assert (nothing.filed, nothing.median, nothing.ninth_decile) == (0, None, None)
    assert counted(reviews=reviewed(7)).reviews.median == 7.0
