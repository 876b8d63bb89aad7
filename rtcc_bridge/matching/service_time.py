"""What a batch costs on this device, learned from the batches that ran."""

from collections import deque
from collections.abc import Collection

import numpy as np

_SAMPLES = 9
"""Batches of a size that its figure is the median of: one that another process held up does not move it."""
_LEAST_SECONDS = 1e-6
"""Clocks there are that do not see so short a batch."""


class ServiceTime:
    """Seconds of a batch by its size.

    Sizes are kept by the power of two that they fill at most, which is the shape that a GPU runs them in.
    """

    def __init__(self) -> None:
        self._samples: dict[int, deque[tuple[int, float]]] = {}
        self._sampled_at: dict[int, int] = {}
        self._batches = 0
        self._sizes = [0.0]
        self._seconds = [0.0]

    def record(self, size: int, seconds: float) -> None:
        """A batch of that size took so long."""
        shape = shape_of(size)
        self._batches += 1
        self._samples.setdefault(shape, deque(maxlen=_SAMPLES)).append((size, max(seconds, _LEAST_SECONDS)))
        self._sampled_at[shape] = self._batches
        typical = [_typical(self._samples[shape]) for shape in sorted(self._samples)]
        self._sizes = [0.0, *(float(size) for size, _ in typical)]
        self._seconds = [0.0, *(seconds for _, seconds in typical)]

    def is_due(self, size: int, *, samples: int, batches: int) -> bool:
        """Whether its shape has run fewer than so many times, or not once in so many batches."""
        shape = shape_of(size)
        return len(self._samples.get(shape, ())) < samples or self._batches - self._sampled_at[shape] >= batches

    def seconds(self, size: int) -> float:
        """What a batch of that size takes, read off between none and the sizes that ran; no more beyond them."""
        return float(np.interp(size, self._sizes, self._seconds))

    def smallest_worthwhile(self, tolerance: float) -> int:
        """The smallest power of two at which items per second come within `tolerance` of the best of those that ran.

        1 while none did.
        """
        rates = [size / seconds for size, seconds in zip(self._sizes[1:], self._seconds[1:], strict=True)]
        enough = max(rates, default=0.0) * (1 - tolerance)
        return next((shape for shape, rate in zip(sorted(self._samples), rates, strict=True) if rate >= enough), 1)


def _typical(samples: Collection[tuple[int, float]]) -> tuple[int, float]:
    """The batch whose seconds per item are the median: its size and its seconds belong together."""
    return sorted(samples, key=lambda sample: sample[1] / sample[0])[(len(samples) - 1) // 2]


def shape_of(size: int) -> int:
    """The least power of two that is not below `size`."""
    return 1 << (size - 1).bit_length()
