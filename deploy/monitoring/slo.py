"""The promises (SLOs), and the alerts on how fast their error budgets are spent.

Multi-window, multi-burn-rate alerts as in The Site Reliability Workbook (Google, 2018), chapter 5, "Alerting on SLOs",
section 6. A burn rate of 1 spends the budget in exactly the SLO's period, here 30 days (720 h). What an alert has cost
when it comes is burn rate x long window / period:

| windows | burn rate | of the budget | severity |
|---|---|---|---|
| 1 h and 5 min | 14.4 | 14.4 x 1 / 720 = 2 % | critical |
| 6 h and 30 min | 6 | 6 x 6 / 720 = 5 % | critical |
| 1 d and 2 h | 3 | 3 x 24 / 720 = 10 % | warning |
| 3 d and 6 h | 1 | 1 x 72 / 720 = 10 % | warning |

The short window, a twelfth of the long one, lets an alert end soon after its cause has.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from deploy.monitoring.rules import Alert, Group, Recording, Rule, Severity

PERIOD_HOURS: Final = 30 * 24
AVAILABLE: Final = "rtcc_bridge:imminent_lane:available"


@dataclass(frozen=True, slots=True)
class Burn:
    """Two windows that both have to burn this fast."""

    long: str
    long_hours: int
    short: str
    rate: float
    severity: Severity

    @property
    def budget_spent(self) -> float:
        """The share of the period's budget that is gone when the alert comes."""
        return self.rate * self.long_hours / PERIOD_HOURS


BURNS: Final = (
    Burn("1h", 1, "5m", 14.4, Severity.CRITICAL),
    Burn("6h", 6, "30m", 6, Severity.CRITICAL),
    Burn("1d", 24, "2h", 3, Severity.WARNING),
    Burn("3d", 72, "6h", 1, Severity.WARNING),
)
WINDOWS: Final = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")


@dataclass(frozen=True, slots=True, kw_only=True)
class Slo:
    """objective: the share that has to be good. bad_ratio: its complement over `{window}`, as PromQL.

    events: how many there were within `{window}`, where the share of few says nothing, and `fewest` that an alert
    needs in its long window.
    """

    name: str
    alert: str
    objective: float
    promise: str
    bad_ratio: str
    events: str | None = None
    fewest: int = 0

    @property
    def budget(self) -> float:
        return round(1 - self.objective, 6)

    def ratio(self, window: str) -> str:
        """The recorded share that was bad within the window."""
        return f"rtcc_bridge:{self.name}:bad_ratio{window}"

    def recordings(self) -> Iterator[Recording]:
        return (Recording(self.ratio(window), self.bad_ratio.replace("{window}", window)) for window in WINDOWS)

    def alerts(self) -> Iterator[Alert]:
        for severity, spent in ((Severity.CRITICAL, "2 % in an hour, or 5 % in six"), (Severity.WARNING, "10 %")):
            burns = [burn for burn in BURNS if burn.severity is severity]
            yield Alert(
                name=self.alert,
                expr="\nor\n".join(self._burning(burn) for burn in burns),
                severity=severity,
                summary=f"Not kept: {self.promise}",
                description=(
                    f"{{{{ $value | humanizePercentage }}}} of the last {burns[0].long} or {burns[1].long} was bad; "
                    f"{self.budget * 100:.4g} % may be. Of the month's budget {spent} or more is spent."
                ),
            )

    def _burning(self, burn: Burn) -> str:
        bound = f"{burn.rate:g} * {self.budget:g}"
        windows = [f"{self.ratio(window)} > {bound}" for window in (burn.long, burn.short)]
        if self.events is not None:
            windows.append(f"{self.events.replace('{window}', burn.long)} >= {self.fewest}")
        return "(\n  " + "\n  and ".join(windows) + "\n)"


def _slower_than(histogram: str, bound: str) -> str:
    """The share of observations above the bound, which has to be one of the histogram's."""
    return f'1 - sum(rate({histogram}_bucket{{le="{bound}"}}[{{window}}])) / sum(rate({histogram}_count[{{window}}]))'


FLOOR: Final = Slo(
    name="event_to_floor",
    alert="FloorLatencyBudgetBurn",
    objective=0.99,
    promise="99 % of events are on the floor within 500 ms",
    bad_ratio=_slower_than("rtcc_bridge_event_to_floor_seconds", "0.5"),
    events="sum(increase(rtcc_bridge_event_to_floor_seconds_count[{window}]))",
    fewest=50,
)
CANDIDATES: Final = Slo(
    name="probe_to_candidates",
    alert="CandidateLatencyBudgetBurn",
    objective=0.95,
    promise="95 % of searches have their candidates within 1 s of their authority",
    bad_ratio=_slower_than("rtcc_bridge_probe_to_candidates_seconds", "1.0"),
    events="sum(increase(rtcc_bridge_probe_to_candidates_seconds_count[{window}]))",
    fewest=10,
)
IMMINENT_LANE: Final = Slo(
    name="imminent_lane",
    alert="ImminentLaneBudgetBurn",
    objective=0.9995,
    promise="the imminent lane works 99.95 % of the time",
    bad_ratio=f"1 - avg_over_time({AVAILABLE}[{{window}}])",
)
SLOS: Final = (FLOOR, CANDIDATES, IMMINENT_LANE)

AVAILABILITY: Final = Recording(
    AVAILABLE,
    """(
  min(max by (dependency) (rtcc_bridge_ready{dependency!~"matcher.routine|records"}))
  * (count(count by (role) (rtcc_bridge_process_role)) == bool 4)
  * (sum(rtcc_bridge_relay_active) >= bool 1)
)
or vector(0)
""",
)
"""1 while a threat's still would be searched: each role has a process, each dependency is ready in one, a relay works.

The routine lane and the record system's orders are no part of it.

Measured in time and not in searches: there are a few of those a day, and a lane that is down while nobody needs it is
down all the same. What Prometheus cannot scrape counts as down.
"""


def slo_groups() -> Sequence[Group]:
    """The ratios over days are summed up less often than the lane is looked at."""
    ratios: list[Rule] = [recording for slo in SLOS for recording in slo.recordings()]
    alerts: list[Rule] = [alert for slo in SLOS for alert in slo.alerts()]
    return (
        Group("rtcc-bridge-availability", [AVAILABILITY]),
        Group("rtcc-bridge-slo", [*ratios, *alerts], interval="30s"),
    )
