"""What a dashboard is here, and how one becomes the JSON that Grafana imports."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

SCHEMA_VERSION: Final = 41
"""Of Grafana 12; newer versions bring it up to theirs when they load it."""
COLUMNS: Final = 24
RATE: Final = "$__rate_interval"
"""Grafana's own: at least four scrapes long, and as long as a point of the picture."""

_DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}


class Kind(StrEnum):
    """Grafana's panels that are used."""

    LINES = "timeseries"
    HEATMAP = "heatmap"
    STAT = "stat"
    TABLE = "table"


class Unit(StrEnum):
    """Grafana's names of units."""

    NONE = "short"
    SECONDS = "s"
    SHARE = "percentunit"
    BYTES = "bytes"
    PER_SECOND = "reqps"


@dataclass(frozen=True, slots=True)
class Query:
    """One PromQL expression. legend: what a series is called, with `{{label}}`."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel. description: what to see in it. limit: a line (or a colour, for a stat) from which on it is bad.

    words: for a stat, what a value is called. low_is_bad: the limit is a least value, not a most.
    """

    title: str
    description: str
    queries: Sequence[Query]
    kind: Kind = Kind.LINES
    unit: Unit = Unit.NONE
    width: int = 8
    height: int = 8
    limit: float | None = None
    low_is_bad: bool = False
    stacked: bool = False
    words: Mapping[int, str] | None = None

    def as_json(self, number: int, left: int, top: int) -> dict[str, Any]:
        """number: unique in the dashboard."""
        panel: dict[str, Any] = {
            "id": number,
            "type": self.kind.value,
            "title": self.title,
            "description": self.description,
            "datasource": _DATASOURCE,
            "gridPos": {"x": left, "y": top, "w": self.width, "h": self.height},
            "targets": [self._target(query, chr(ord("A") + place)) for place, query in enumerate(self.queries)],
            "fieldConfig": {"defaults": self._defaults(), "overrides": []},
            "options": self._options(),
        }
        if self.kind is Kind.TABLE:
            panel["transformations"] = [{"id": "organize", "options": {"excludeByName": {"Time": True}}}]
        return panel

    def _target(self, query: Query, letter: str) -> dict[str, Any]:
        formats = {Kind.HEATMAP: "heatmap", Kind.TABLE: "table"}
        is_instant = self.kind in {Kind.TABLE, Kind.STAT}
        return {
            "refId": letter,
            "datasource": _DATASOURCE,
            "editorMode": "code",
            "expr": query.expr,
            "legendFormat": "{{le}}" if self.kind is Kind.HEATMAP else query.legend or "__auto",
            "format": formats.get(self.kind, "time_series"),
            "instant": is_instant,
            "range": not is_instant,
            "exemplar": self.kind is Kind.LINES and "_bucket" in query.expr,
        }

    def _defaults(self) -> dict[str, Any]:
        good, bad = ("red", "green") if self.low_is_bad else ("green", "red")
        steps: list[dict[str, Any]] = [{"color": good if self.limit is not None else "text", "value": None}]
        if self.limit is not None:
            steps.append({"color": bad, "value": self.limit})
        defaults: dict[str, Any] = {"unit": self.unit.value, "thresholds": {"mode": "absolute", "steps": steps}}
        if self.words is not None:
            options = {str(value): {"text": text, "index": value} for value, text in self.words.items()}
            defaults["mappings"] = [{"type": "value", "options": options}]
        if self.kind is Kind.LINES:
            defaults["min"] = 0
            defaults["custom"] = {
                "drawStyle": "line",
                "lineWidth": 1,
                "fillOpacity": 20 if self.stacked else 0,
                "showPoints": "never",
                "stacking": {"mode": "normal" if self.stacked else "none", "group": "A"},
                "thresholdsStyle": {"mode": "off" if self.limit is None else "dashed"},
            }
        return defaults

    def _options(self) -> dict[str, Any]:
        match self.kind:
            case Kind.LINES:
                return {
                    "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
                    "tooltip": {"mode": "multi", "sort": "desc"},
                }
            case Kind.HEATMAP:
                return {
                    "calculate": False,
                    "color": {
                        "mode": "scheme",
                        "scheme": "Oranges",
                        "scale": "exponential",
                        "exponent": 0.5,
                        "steps": 64,
                        "fill": "dark-orange",
                        "reverse": False,
                    },
                    "yAxis": {"unit": self.unit.value, "axisPlacement": "left", "reverse": False},
                    "cellGap": 1,
                    "filterValues": {"le": 1e-9},
                    "rowsFrame": {"layout": "auto"},
                    "tooltip": {"mode": "single", "showColorScale": False, "yHistogram": False},
                    "legend": {"show": True},
                    "exemplars": {"color": "rgba(255,0,255,0.7)"},
                }
            case Kind.STAT:
                return {
                    "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
                    "colorMode": "value" if self.limit is None else "background",
                    "graphMode": "none",
                    "justifyMode": "auto",
                    "orientation": "auto",
                    "textMode": "auto",
                }
            case Kind.TABLE:
                return {"showHeader": True, "cellHeight": "sm", "footer": {"show": False, "reducer": ["sum"]}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """Panels from left to right and from top to bottom."""

    name: str
    title: str
    description: str
    panels: Sequence[Panel]

    def placed(self) -> Iterator[tuple[Panel, int, int]]:
        """Each panel with the column and the row at which it begins."""
        left = top = tallest = 0
        for panel in self.panels:
            if left + panel.width > COLUMNS:
                left, top, tallest = 0, top + tallest, 0
            yield panel, left, top
            left, tallest = left + panel.width, max(tallest, panel.height)

    def as_json(self) -> str:
        return json.dumps(self._document(), indent=2, ensure_ascii=False) + "\n"

    def _document(self) -> dict[str, Any]:
        return {
            "uid": f"rtcc-bridge-{self.name}",
            "title": f"rtcc-bridge: {self.title}",
            "description": self.description,
            "tags": ["rtcc-bridge"],
            "schemaVersion": SCHEMA_VERSION,
            "version": 1,
            "editable": False,
            "graphTooltip": 1,
            "refresh": "30s",
            "time": {"from": "now-3h", "to": "now"},
            "timezone": "browser",
            "templating": {
                "list": [
                    {
                        "name": "datasource",
                        "label": "Prometheus",
                        "type": "datasource",
                        "query": "prometheus",
                        "current": {},
                        "hide": 0,
                    }
                ]
            },
            "annotations": {"list": []},
            "links": [
                {
                    "type": "dashboards",
                    "title": "rtcc-bridge",
                    "tags": ["rtcc-bridge"],
                    "asDropdown": True,
                    "keepTime": True,
                    "includeVars": True,
                }
            ],
            "panels": [
                panel.as_json(number, left, top) for number, (panel, left, top) in enumerate(self.placed(), start=1)
            ],
        }
