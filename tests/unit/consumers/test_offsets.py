"""Which offset may be committed."""

from hypothesis import given
from hypothesis import strategies as st

from rtcc_bridge.consumers.offsets import OffsetTracker


def test_nothing_is_committable_at_first() -> None:
    tracker = OffsetTracker()
    tracker.deliver(5)
    assert tracker.committable is None


def test_the_first_unfinished_record_holds_the_commit() -> None:
    tracker = OffsetTracker()
    for offset in (5, 6, 9):
        tracker.deliver(offset)
    tracker.finish(6)
    tracker.finish(9)
    assert tracker.committable is None
    tracker.finish(5)
    assert tracker.committable == 10


@given(st.lists(st.integers(0, 1000), unique=True, min_size=1, max_size=50).map(sorted), st.data())
def test_never_past_an_unfinished_record_and_at_the_end_past_all(offsets: list[int], data: st.DataObject) -> None:
    tracker = OffsetTracker()
    for offset in offsets:
        tracker.deliver(offset)
    finished: set[int] = set()
    for offset in data.draw(st.permutations(offsets)):
        tracker.finish(offset)
        finished.add(offset)
        unfinished = [other for other in offsets if other not in finished]
        before = [other for other in offsets if not unfinished or other < unfinished[0]]
        assert tracker.committable == (before[-1] + 1 if before else None)
