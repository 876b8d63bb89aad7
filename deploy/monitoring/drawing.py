"""Draws a dashboard's panels from what a Prometheus server answers, so that they can be looked at without Grafana."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from deploy.monitoring.panels import COLUMNS, RATE, Dashboard, Kind, Panel, Query, Unit
from deploy.monitoring.server import Prometheus

mpl.use("Agg")

INCHES_WIDE: Final = 16.0
INCHES_A_ROW: Final = 0.33
DOTS_PER_INCH: Final = 72
_GOOD, _BAD, _PLAIN = "#56a64b", "#e02f44", "#3d4350"
_MOST_LINES: Final = 8


@dataclass(frozen=True, slots=True)
class Span:
    """The time that is drawn, in Unix seconds. rate: what stands for Grafana's `$__rate_interval`."""

    start: float
    end: float
    step: float
    rate: str


@dataclass(frozen=True, slots=True)
class Series:
    """What one query found: name by legend, times and values float64 of the same length."""

    name: str
    labels: dict[str, str]
    times: Any
    values: Any


async def draw(dashboard: Dashboard, prometheus: Prometheus, span: Span, file: Path) -> None:
    """Writes a PNG. Raises PrometheusError for a query that is none."""
    placed = list(dashboard.placed())
    rows = max(top + panel.height for panel, _, top in placed)
    figure = Figure(figsize=(INCHES_WIDE, rows * INCHES_A_ROW + 0.5), dpi=DOTS_PER_INCH, facecolor="#f4f5f5")
    figure.suptitle(f"rtcc-bridge: {dashboard.title}", x=0.008, y=0.995, ha="left", va="top", fontsize=13)
    usable = 1 - 0.5 / (rows * INCHES_A_ROW + 0.5)
    for panel, left, top in placed:
        found = [await _ask(query, panel, prometheus, span) for query in panel.queries]
        box = (
            left / COLUMNS + 0.003,
            usable * (1 - (top + panel.height) / rows) + 0.004,
            panel.width / COLUMNS - 0.006,
            usable * panel.height / rows - 0.008,
        )
        _draw_panel(figure, box, panel, [series for answered in found for series in answered], span)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file)


async def _ask(query: Query, panel: Panel, prometheus: Prometheus, span: Span) -> list[Series]:
    expr = query.expr.replace(RATE, span.rate)
    if panel.kind in {Kind.STAT, Kind.TABLE}:
        answered = [(one["metric"], [one["value"]]) for one in await prometheus.query(expr)]
    else:
        ranged = await prometheus.query_range(expr, span.start, span.end, span.step)
        answered = [(one["metric"], one["values"]) for one in ranged]
    series = []
    for labels, values in answered:
        points = np.array([(float(moment), float(value)) for moment, value in values])
        series.append(Series(_name(query, labels), labels, points[:, 0], points[:, 1]))
    return series


def _name(query: Query, labels: dict[str, str]) -> str:
    if not query.legend:
        return ", ".join(value for name, value in labels.items() if name != "__name__")
    return re.sub(r"{{(\w+)}}", lambda found: labels.get(found[1], ""), query.legend)


def _draw_panel(
    figure: Figure, box: tuple[float, float, float, float], panel: Panel, series: Sequence[Series], span: Span
) -> None:
    left, bottom, width, height = box
    frame = figure.add_axes(box, facecolor="white")
    frame.set(xticks=[], yticks=[])
    for side in frame.spines.values():
        side.set_color("#d8d9da")
    frame.set_title(panel.title, loc="left", fontsize=9, y=1.0, pad=-12, x=0.012, fontweight="bold", color=_PLAIN)
    heights = {Kind.LINES: (0.13, 0.12, 0.84, 0.6), Kind.HEATMAP: (0.13, 0.12, 0.84, 0.72)}
    margin = heights.get(panel.kind, (0.03, 0.04, 0.94, 0.8))
    inner = figure.add_axes(
        (left + margin[0] * width, bottom + margin[1] * height, margin[2] * width, margin[3] * height),
        facecolor="white",
    )
    inner.tick_params(labelsize=7, color="#9fa7b3")
    for side in inner.spines.values():
        side.set_color("#d8d9da")
    shown = [one for one in series if np.isfinite(one.values).any()]
    if not shown:
        _say(inner, "no data")
        return
    match panel.kind:
        case Kind.LINES:
            _draw_lines(inner, panel, shown, span)
        case Kind.HEATMAP:
            _draw_heatmap(inner, panel, shown, span)
        case Kind.STAT:
            _draw_stat(inner, panel, shown)
        case Kind.TABLE:
            _draw_table(inner, panel, shown)


def _say(axes: Axes, text: str) -> None:
    axes.text(0.5, 0.5, text, ha="center", va="center", color="#9fa7b3", transform=axes.transAxes)
    axes.set(xticks=[], yticks=[])


def _draw_lines(axes: Axes, panel: Panel, series: Sequence[Series], span: Span) -> None:
    largest = sorted(series, key=lambda one: -float(np.nanmax(one.values)))[:_MOST_LINES]
    if panel.stacked:
        moments = np.arange(span.start, span.end + span.step / 2, span.step)
        values = [np.interp(moments, one.times, np.nan_to_num(one.values), left=0, right=0) for one in largest]
        axes.stackplot(moments - span.start, *values, labels=[one.name for one in largest], alpha=0.7)
    else:
        for one in largest:
            axes.plot(one.times - span.start, one.values, linewidth=1.2, label=one.name)
    highest = max(float(np.nanmax(one.values)) for one in largest)
    if panel.limit is not None:
        axes.axhline(panel.limit, color=_BAD, linestyle="--", linewidth=1)
        highest = max(highest, panel.limit * 1.1 if panel.limit < highest * 20 else highest)
    axes.set_xlim(0, span.end - span.start)
    axes.set_ylim(0, axes.get_ylim()[1] if panel.stacked else highest * 1.15 or 1)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: in_words(value, panel.unit)))
    axes.xaxis.set_major_formatter(FuncFormatter(_minutes))
    axes.grid(color="#eceff1", linewidth=0.6)
    longest = max(len(one.name) for one in largest)
    columns = max(1, min(4, round(9 * panel.width / (longest + 4))))
    place: dict[str, Any] = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "ncol": columns}
    axes.legend(fontsize=6.5, frameon=False, columnspacing=1, handlelength=1.2, labelspacing=0.2, **place)


def _draw_heatmap(axes: Axes, panel: Panel, series: Sequence[Series], span: Span) -> None:
    ordered = sorted((one for one in series), key=lambda one: float(one.labels["le"]))
    moments = np.arange(span.start, span.end + span.step / 2, span.step)
    cumulated = np.array([np.interp(moments, one.times, np.nan_to_num(one.values), left=0, right=0) for one in ordered])
    counts = np.diff(cumulated, axis=0, prepend=0).clip(min=0)
    used = np.flatnonzero(counts.sum(axis=1) > 1e-9)
    if not len(used):
        _say(axes, "nothing happened")
        return
    low, high = max(0, used[0] - 1), min(len(ordered), used[-1] + 2)
    shown = np.ma.masked_less_equal(counts[low:high], 1e-9)
    edges = np.concatenate([moments, [moments[-1] + span.step]]) - span.start
    axes.pcolormesh(edges, np.arange(high - low + 1), shown, cmap="Oranges", norm=_root_scale(shown))
    names = [in_words(float(one.labels["le"]), panel.unit) for one in ordered[low:high]]
    axes.set_yticks(np.arange(1, high - low + 1), names)
    axes.set_xlim(0, span.end - span.start)
    axes.xaxis.set_major_formatter(FuncFormatter(_minutes))


def _root_scale(shown: Any) -> Any:
    """As Grafana's: single observations stay visible beside many."""
    most = float(shown.max()) if shown.count() else 1.0
    return mpl.colors.PowerNorm(0.5, vmin=-0.15 * most, vmax=most)


def _draw_stat(axes: Axes, panel: Panel, series: Sequence[Series]) -> None:
    axes.axis("off")
    for place, one in enumerate(series):
        value = float(one.values[-1])
        text = (panel.words or {}).get(int(value)) if value.is_integer() else None
        bad = panel.limit is not None and (value < panel.limit if panel.low_is_bad else value >= panel.limit)
        middle = (place + 0.5) / len(series)
        colour = _PLAIN if panel.limit is None else _BAD if bad else _GOOD
        size = 22 if len(series) < 3 else 18
        axes.text(
            middle, 0.55, text or in_words(value, panel.unit), ha="center", va="center", fontsize=size, color=colour
        )
        if len(series) > 1 or panel.words is None:
            axes.text(middle, 0.08, one.name, ha="center", va="center", fontsize=7.5, color=_PLAIN)


def _draw_table(axes: Axes, panel: Panel, series: Sequence[Series]) -> None:
    axes.axis("off")
    columns = [name for name in dict.fromkeys(name for one in series for name in one.labels) if name != "__name__"]
    rows = sorted(
        [*(one.labels.get(name, "") for name in columns), in_words(float(one.values[-1]), panel.unit)] for one in series
    )[:12]
    heads = [*columns, "value"]
    table = axes.table(rows, colLabels=heads, loc="upper left", cellLoc="left", colLoc="left", edges="horizontal")
    table.auto_set_font_size(value=False)
    table.set_fontsize(7.5)
    for cell in table.get_celld().values():
        cell.set_edgecolor("#eceff1")


def _minutes(seconds: float, _place: object) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def in_words(value: float, unit: Unit) -> str:
    """A value with its unit, short: as an axis shows it."""
    if not math.isfinite(value):
        return "more" if value > 0 else "-"
    match unit:
        case Unit.SECONDS:
            return _duration(value)
        case Unit.SHARE:
            return f"{100 * value:.3g} %"
        case Unit.BYTES:
            return f"{value / 1e9:.3g} GB" if value >= 1e9 else f"{value / 1e6:.3g} MB"
        case Unit.PER_SECOND:
            return f"{value:.3g}/s"
        case Unit.NONE:
            return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _duration(seconds: float) -> str:
    for size, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.3g} {name}"
    return f"{seconds:.3g} s" if seconds >= 1 or seconds == 0 else f"{seconds * 1000:.3g} ms"
