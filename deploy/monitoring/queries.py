"""PromQL that several panels need."""

from collections.abc import Sequence

from deploy.monitoring.panels import RATE, Kind, Panel, Query, Unit

PREFIX = "rtcc_bridge_"


def quantile(share: float, histogram: str, by: Sequence[str] = (), selector: str = "") -> str:
    """The time that this share of the observations took at most, over all processes."""
    kept = ", ".join(("le", *by))
    return f"histogram_quantile({share:g}, sum by ({kept}) (rate({PREFIX}{histogram}_bucket{selector}[{RATE}])))"


def rate(counter: str, by: Sequence[str], selector: str = "") -> str:
    """Per second, over all processes."""
    return f"sum by ({', '.join(by)}) (rate({PREFIX}{counter}{selector}[{RATE}]))"


def heatmap(title: str, description: str, histogram: str, selector: str = "", width: int = 8) -> Panel:
    """How many observations fell into each bucket."""
    return Panel(
        title=title,
        description=description,
        queries=(Query(f"sum by (le) (increase({PREFIX}{histogram}_bucket{selector}[{RATE}]))"),),
        kind=Kind.HEATMAP,
        unit=Unit.SECONDS if histogram.endswith("_seconds") else Unit.NONE,
        width=width,
    )
