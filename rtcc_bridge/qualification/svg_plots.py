"""Plots as inline SVG: no script, no outside address, colours from the page's style sheet."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from rtcc_bridge.matching.evaluation_figures import FpirFigures
from rtcc_bridge.matching.types import Estimate

_WIDTH, _HEIGHT = 720, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 80, 20, 20, 60
_ROW = 30
_LABELS = 150


@dataclass(frozen=True, slots=True)
class LogAxis:
    """Maps `low` to `high` onto pixels from `start` to `end`; the values are shares, their logarithm is straight."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        bounded = min(self.high, max(self.low, value))
        part = math.log(bounded / self.low) / math.log(self.high / self.low)
        return self.start + part * (self.end - self.start)

    @property
    def ticks(self) -> Iterator[float]:
        """1, 2 and 5 times each power of ten."""
        for power in range(math.floor(math.log10(self.low)), 1):
            for step in (1, 2, 5):
                value = step * 10.0**power
                if self.low * (1 - 1e-9) <= value <= self.high * (1 + 1e-9):
                    yield value


def det_plot(det: FpirFigures) -> str:
    """FNIR against FPIR, both on logarithmic axes, with the band of the 95 % interval."""
    across = LogAxis(_floor(float(det.fpir[0])), 1.0, _LEFT, _WIDTH - _RIGHT)
    least = min((float(value) for value in det.low if value > 0), default=0.01)
    down = LogAxis(_floor(max(least, 1e-3)), 1.0, _HEIGHT - _BOTTOM, _TOP)
    upper = [_point(across.at(x), down.at(y)) for x, y in zip(det.fpir, det.high, strict=True)]
    lower = [_point(across.at(x), down.at(y)) for x, y in zip(det.fpir, det.low, strict=True)]
    line = [_point(across.at(x), down.at(y)) for x, y in zip(det.fpir, det.fnir, strict=True)]
    middle = (_TOP + _HEIGHT - _BOTTOM) / 2
    title = "DET curve: FNIR against FPIR"
    parts = [
        *_grid(across, down),
        f'<polygon class="band" points="{" ".join([*upper, *reversed(lower)])}"/>',
        f'<polyline class="line" points="{" ".join(line)}"/>',
        f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 12}" text-anchor="middle">FPIR</text>',
        f'<text x="18" y="{middle}" text-anchor="middle" transform="rotate(-90 18 {middle})">FNIR</text>',
    ]
    return _figure(title, _HEIGHT, parts)


def interval_plot(title: str, rows: Sequence[tuple[str, Estimate | None]]) -> str:
    """A figure with its interval for each label, one below the other; None where it is not shown."""
    height = _ROW * len(rows) + 50
    widest = max((estimate.high for _, estimate in rows if estimate is not None), default=1.0)
    most = min(1.0, math.ceil(max(widest, 0.05) * 20) / 20)

    def across(value: float) -> float:
        return _LABELS + value / most * (_WIDTH - _RIGHT - _LABELS)

    bottom = height - 40
    parts = [
        f'<line class="grid" x1="{across(value):.1f}" y1="0" x2="{across(value):.1f}" y2="{bottom}"/>'
        f'<text x="{across(value):.1f}" y="{bottom + 20}" text-anchor="middle">{value:.3g}</text>'
        for value in (most * step / 5 for step in range(6))
    ]
    for place, (label, estimate) in enumerate(rows):
        middle = _ROW * place + _ROW / 2
        parts.append(f'<text x="{_LABELS - 10}" y="{middle + 5}" text-anchor="end">{escape(label)}</text>')
        if estimate is None:
            parts.append(f'<text x="{_LABELS + 8}" y="{middle + 5}">not shown</text>')
            continue
        ends = f'x1="{across(estimate.low):.1f}" x2="{across(estimate.high):.1f}"'
        parts.append(f'<line class="line" {ends} y1="{middle}" y2="{middle}"/>')
        parts.append(f'<circle class="dot" cx="{across(estimate.value):.1f}" cy="{middle}" r="5"/>')
    return _figure(title, height, parts)


def _grid(across: LogAxis, down: LogAxis) -> Iterator[str]:
    for value in across.ticks:
        place = across.at(value)
        yield f'<line class="grid" x1="{place:.1f}" y1="{_TOP}" x2="{place:.1f}" y2="{_HEIGHT - _BOTTOM}"/>'
        yield f'<text x="{place:.1f}" y="{_HEIGHT - _BOTTOM + 20}" text-anchor="middle">{value:g}</text>'
    for value in down.ticks:
        place = down.at(value)
        yield f'<line class="grid" x1="{_LEFT}" y1="{place:.1f}" x2="{_WIDTH - _RIGHT}" y2="{place:.1f}"/>'
        yield f'<text x="{_LEFT - 8}" y="{place + 5:.1f}" text-anchor="end">{value:g}</text>'


def _floor(value: float) -> float:
    """The next 1, 2 or 5 times a power of ten below."""
    power = 10.0 ** math.floor(math.log10(value))
    return max(step * power for step in (1, 2, 5) if step * power <= value * (1 + 1e-9))


def _point(x: float, y: float) -> str:
    return f"{x:.1f},{y:.1f}"


def _figure(title: str, height: float, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )
