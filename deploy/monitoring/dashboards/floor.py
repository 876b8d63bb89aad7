"""Floor health: what whoever is on duty looks at first."""

from typing import Final

from deploy.monitoring.panels import Dashboard, Kind, Panel, Query, Unit
from deploy.monitoring.queries import PREFIX, quantile, rate
from deploy.monitoring.slo import AVAILABLE, CANDIDATES, FLOOR, SLOS

FLOOR_HEALTH: Final = Dashboard(
    name="floor",
    title="floor health",
    description="Does the floor have what it needs, now and over the last hours?",
    panels=(
        Panel(
            title="Imminent lane",
            description="Whether a threat's still would be searched now: every role, every dependency, one relay.",
            queries=(Query(AVAILABLE),),
            kind=Kind.STAT,
            width=4,
            height=5,
            limit=1,
            low_is_bad=True,
            words={0: "DOWN", 1: "works"},
        ),
        Panel(
            title="Burn rate, last hour",
            description="How fast each promise's error budget is spent; 1 spends exactly a month's in a month. "
            "Nothing is shown where nothing happened.",
            queries=tuple(
                Query(f"{slo.ratio('1h')} / {slo.budget:g}", name)
                for slo, name in zip(SLOS, ("floor 500 ms", "candidates 1 s", "imminent lane"), strict=True)
            ),
            kind=Kind.STAT,
            width=8,
            height=5,
            limit=1,
        ),
        Panel(
            title="Firing alerts",
            description="Each has a runbook.",
            queries=(Query('count(ALERTS{service="rtcc-bridge", alertstate="firing"}) or vector(0)', "alerts"),),
            kind=Kind.STAT,
            width=4,
            height=5,
            limit=1,
        ),
        Panel(
            title="Active relays",
            description="Exactly one gives events their place on the feed.",
            queries=(Query(f"sum({PREFIX}relay_active)", "relays"),),
            kind=Kind.STAT,
            width=4,
            height=5,
            words={0: "none", 1: "one"},
        ),
        Panel(
            title="Boards connected",
            description="Open connections to the live feed.",
            queries=(Query(f"sum({PREFIX}feed_clients)", "clients"),),
            kind=Kind.STAT,
            width=4,
            height=5,
        ),
        Panel(
            title="Events: time to the floor",
            description=f"Promised: {FLOOR.promise}.",
            queries=(
                Query(quantile(0.5, "event_to_floor_seconds"), "half of them"),
                Query(quantile(0.99, "event_to_floor_seconds"), "99 %"),
            ),
            unit=Unit.SECONDS,
            limit=0.5,
        ),
        Panel(
            title="Searches: authority to candidates",
            description=f"Promised: {CANDIDATES.promise}.",
            queries=(Query(quantile(0.95, "probe_to_candidates_seconds", ("lane",)), "95 %, {{lane}}"),),
            unit=Unit.SECONDS,
            limit=1,
        ),
        Panel(
            title="Events read",
            description="Incidents, threats and search requests.",
            queries=(Query(rate("events_total", ("topic",)), "{{topic}}"),),
            unit=Unit.PER_SECOND,
            stacked=True,
        ),
        Panel(
            title="Leads",
            description="Lead events by the state they led to.",
            queries=(Query(f"{rate('leads_total', ('state',))} > 0", "{{state}}"),),
            unit=Unit.PER_SECOND,
            stacked=True,
        ),
        Panel(
            title="Searches in work and stranded",
            description="Stranded: authorized, requested many times, and without an outcome. Somebody has to look.",
            queries=(
                Query(f"sum by (lane) ({PREFIX}probes_in_flight)", "in work, {{lane}}"),
                Query(f"max({PREFIX}probes_stranded)", "stranded"),
            ),
        ),
        Panel(
            title="Processes by role",
            description="How many processes have each role.",
            queries=(Query(f"sum by (role) ({PREFIX}process_role)", "{{role}}"),),
        ),
        Panel(
            title="Ready",
            description="1: ready. What is 0 is told at /readyz, with the reason.",
            queries=(Query(f"min by (dependency, instance) ({PREFIX}ready)"),),
            kind=Kind.TABLE,
        ),
        Panel(
            title="Which alerts fire",
            description="The runbook of each is linked in the notification, and stands in docs/runbooks.",
            queries=(Query('count by (severity, alertname) (ALERTS{service="rtcc-bridge", alertstate="firing"})'),),
            kind=Kind.TABLE,
        ),
        Panel(
            title="Availability of the imminent lane",
            description="1 while a threat's still would be searched.",
            queries=(Query(AVAILABLE, "available"),),
        ),
    ),
)
