"""The order in which a supervisor sees what waits."""

from datetime import UTC, datetime, timedelta

from rtcc_bridge.web.approval_pages import urgent_first
from rtcc_bridge.web.views import WaitingProbe

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def waiting(name: str, minutes_ago: int, minutes_left: int | None = None) -> WaitingProbe:
    return WaitingProbe(
        probe_id=name,
        incident_id="INC-1",
        purpose="violent_offense",
        lane="routine",
        analyst="analyst",
        approve_by=None if minutes_left is None else NOON + timedelta(minutes=minutes_left),
        created_at=NOON - timedelta(minutes=minutes_ago),
        earlier_searches=0,
    )


def test_what_lapses_by_itself_is_on_top_then_what_waits_longest() -> None:
    queue = [waiting("new", 1), waiting("later", 50, 40), waiting("old", 90), waiting("soon", 5, 10)]
    assert [one.probe_id for one in urgent_first(queue)] == ["soon", "later", "old", "new"]
