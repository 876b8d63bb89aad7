"""Stream and outbox: what comes in, what goes out, and what waits."""

from typing import Final

from deploy.monitoring.panels import Dashboard, Kind, Panel, Query, Unit
from deploy.monitoring.queries import PREFIX, quantile, rate

STREAM: Final = Dashboard(
    name="stream",
    title="stream and outbox",
    description="Topics on the way in, the outbox on the way out.",
    panels=(
        Panel(
            title="Oldest event in the outbox",
            description="What was decided and has not left. After 120 s no further still is accepted.",
            queries=(Query(f"max({PREFIX}outbox_oldest_age_seconds)", "age"),),
            kind=Kind.STAT,
            unit=Unit.SECONDS,
            width=6,
            height=5,
            limit=30,
        ),
        Panel(
            title="Topics paused",
            description="For their rate of dead letters. Nothing of them is read.",
            queries=(Query(f"sum(max by (topic) ({PREFIX}topic_paused))", "topics"),),
            kind=Kind.STAT,
            width=6,
            height=5,
            limit=1,
        ),
        Panel(
            title="Refused as too large",
            description="Events that the broker does not take; each holds up all later ones of its incident.",
            queries=(Query(f"sum({PREFIX}outbox_refused)", "events"),),
            kind=Kind.STAT,
            width=6,
            height=5,
            limit=1,
        ),
        Panel(
            title="Records lost, last day",
            description="Deleted by the topic's retention before they were read, at most so many.",
            queries=(Query(f"sum(increase({PREFIX}records_lost_total[1d]))", "records"),),
            kind=Kind.STAT,
            width=6,
            height=5,
            limit=1,
        ),
        Panel(
            title="Consumer lag",
            description="Records that are on the topic and not worked off.",
            queries=(Query(f"sum by (topic) ({PREFIX}consumer_lag)", "{{topic}}"),),
            width=12,
        ),
        Panel(
            title="Records read",
            description="By topic and what became of them.",
            queries=(Query(f"{rate('events_total', ('topic', 'outcome'))} > 0", "{{topic}}, {{outcome}}"),),
            unit=Unit.PER_SECOND,
            width=12,
        ),
        Panel(
            title="Dead letters, last 15 minutes",
            description="Kept, and replayed with `rtcc-bridge dead-letters replay` when their cause is gone.",
            queries=(
                Query(
                    f"sum by (topic, reason) (increase({PREFIX}dead_letters_total[15m])) > 0", "{{topic}}, {{reason}}"
                ),
            ),
        ),
        Panel(
            title="Outbox: events that wait",
            description="Committed and not published.",
            queries=(Query(f"max({PREFIX}outbox_backlog)", "events"),),
        ),
        Panel(
            title="Outbox: commit to publication",
            description="With the broker up, milliseconds.",
            queries=(
                Query(quantile(0.5, "outbox_lag_seconds"), "half of them"),
                Query(quantile(0.99, "outbox_lag_seconds"), "99 %"),
            ),
            unit=Unit.SECONDS,
        ),
        Panel(
            title="Which relay works",
            description="1 for the one that holds the lock; the others stand by.",
            queries=(Query(f"{PREFIX}relay_active", "{{instance}}"),),
            width=12,
        ),
        Panel(
            title="Lag by partition",
            description="One partition that stays behind is held back by one record.",
            queries=(Query(f"max by (topic, partition) ({PREFIX}consumer_lag) > 0"),),
            kind=Kind.TABLE,
            width=12,
        ),
    ),
)
