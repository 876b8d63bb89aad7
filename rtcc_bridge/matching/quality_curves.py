"""What a measured property of a face is worth: how much of rank-1 is left, learnt by `scripts/calibrate_quality.py`.

The file beside this module holds a few points for each property and how they came about, and nothing of any person.
"""

import json
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

CURVES_FILE = Path(__file__).with_name("quality_curves.json")


@dataclass(frozen=True, slots=True)
class Curve:
    """The share of rank-1 that is left at a value of a property: straight between points, level beyond them.

    values rise; shares run from 0 to 1 and go one way, since no face becomes better by more of a fault.
    """

    values: tuple[float, ...]
    shares: tuple[float, ...]

    def __post_init__(self) -> None:
        steps, changes = np.diff(self.values), np.diff(self.shares)
        if len(self.values) != len(self.shares) or not self.values or (steps <= 0).any():
            raise ValueError("a curve needs as many shares as values, and values that rise")
        if min(self.shares) < 0 or max(self.shares) > 1 or ((changes < 0).any() and (changes > 0).any()):
            raise ValueError("a curve's shares lie between 0 and 1 and go one way")

    def share(self, value: float) -> float:
        # Of a single value, and few points, NumPy's own function spends most of its time on making arrays of them.
        after = bisect_right(self.values, value)
        if after in (0, len(self.values)):
            return self.shares[min(after, len(self.shares) - 1)]
        (left, low), (right, high) = ((self.values[at], self.shares[at]) for at in (after - 1, after))
        return (high - low) / (right - left) * (value - left) + low

    def value_at(self, share: float) -> float | None:
        """Where the curve comes to a share below its best; None when it never falls so low."""
        shares, values = np.array(self.shares), np.array(self.values)
        if share < shares.min():
            return None
        if shares[0] > shares[-1]:
            shares, values = shares[::-1], values[::-1]
        return float(values[0] if share <= shares[0] else np.interp(share, shares, values))


def read_curves(path: Path) -> Mapping[str, Curve]:
    """The curves by the name of their component. ValueError when the file does not hold curves."""
    curves = json.loads(path.read_text(encoding="utf-8"))["curves"]
    return {name: Curve(tuple(curve["values"]), tuple(curve["shares"])) for name, curve in curves.items()}


CURVES: Mapping[str, Curve] = read_curves(CURVES_FILE)
"""Read when the module is loaded: a sandboxed worker has no files left later."""
