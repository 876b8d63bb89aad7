"""When a batch starts and how large it gets."""

import math
from collections import deque
from statistics import median
from typing import Protocol

from rtcc_bridge.matching.service_time import ServiceTime

_TOLERANCE = 0.02
"""Items per second that are given up for a smaller batch, which answers sooner and holds up a threat for less long."""
_COMPANY_COST = 0.1
"""How much longer, as a share, an imminent batch may take for the routine items that fill it."""
_SAMPLES_NEAR = 3
"""A first run that had to set something up is not the last word on a size that is near the one in use."""
_STALE_AFTER_BATCHES = 256
"""A figure that old is measured again: the gallery grows, and the machine has other work at times."""
_GAPS = 9


class BatchPolicy(Protocol):
    """What a batcher asks. Times are seconds of the event loop's clock."""

    def arrived(self, now: float) -> None:
        """A routine item came: the next one may be expected after as long."""
        ...

    def ran(self, size: int, seconds: float) -> None:
        """A batch of that size was computed in so long."""
        ...

    def size(self, waiting: int) -> int:
        """The most items that the next batch takes, with so many waiting; at least 1."""
        ...

    def company(self, urgent: int) -> int:
        """Routine items that may join a batch of so many imminent ones."""
        ...

    def start_at(self, waiting: int, oldest_at: float, now: float) -> float:
        """When a batch of the so many routine items that wait starts, if nobody else comes before."""
        ...


class AdaptiveBatches:
    """Batches as large as they are worth, and a wait for company that is expected to pay.

    With s(b) the measured seconds of a batch of b:

    Size. The smallest power of two at which b / s(b) comes within 2 % of the best measured. While the device is busy
    items gather by themselves, so that batches grow with the load up to this size and no capacity is lost: this is the
    dynamic batching whose queue Y. Inoue analyses ("Queueing analysis of GPU-based inference servers with dynamic
    batching: a closed-form characterization", Performance Evaluation 147, 2021; he lets a batch take all that wait).
    A larger batch would let its first item wait for its last and a threat for the whole of it, and give nothing in
    return: on a CPU, where s(b) is nearly b s(1), batches of a few remain of a limit of 32. Every power of two runs
    once when so many wait, those next to the size in use three times, and each again after 256 batches, a larger one
    after as many more as it is larger: rarely enough that a threat seldom meets one, and a size that brings more is
    found even when its half brings nothing.

    Deadline. The device is free and n items wait, fewer than a batch may hold; the next is expected after a gap g. If
    the batch starts now, the newcomer waits for its end and runs in one of its own: it has its answer s(n) + s(1) from
    now on. If the batch waits for it, all have theirs g + s(n + 1) from now on. With m = s(n + 1) - s(n), waiting costs
    each of the n items g + m and saves the newcomer s(1) - m - g; so it lowers the sum of all answer times only while

        g < s(1) / (n + 1) - m.

    (A newcomer that comes after s(n) would not have waited at all, so the true saving is smaller still.) g is the mean
    gap of the latest arrivals, from their median as for exponential gaps, which a pause between two bursts does not
    move; when nobody came for as long as the right-hand side, whoever was expected is not coming, and the batch starts.
    At a low load g is large, and on a device that gains nothing by batches the right-hand side is negative: there the
    batch starts at once. This looks one arrival ahead; the exact rule is a limit of the same kind on n (R. K. Deb,
    R. F. Serfozo, "Optimal control of batch service queues", Advances in Applied Probability 5(2), 1973).

    Company. An imminent batch waits for nobody; routine items fill it only as far as it takes at most a tenth longer.
    """

    def __init__(self, max_batch_size: int, max_wait_seconds: float) -> None:
        """max_wait_seconds: no batch waits for company longer than that after its oldest item came."""
        if max_batch_size < 1 or max_wait_seconds < 0:
            raise ValueError("a batch holds at least one item, and a wait is not negative")
        self._max_batch_size = max_batch_size
        self._max_wait_seconds = max_wait_seconds
        self._sizes = [*(1 << power for power in range((max_batch_size - 1).bit_length())), max_batch_size]
        self._times = ServiceTime()
        self._gaps: deque[float] = deque(maxlen=_GAPS)
        self._last_arrival = -math.inf

    def arrived(self, now: float) -> None:
        self._gaps.append(now - self._last_arrival)
        self._last_arrival = now

    def ran(self, size: int, seconds: float) -> None:
        self._times.record(size, seconds)

    def size(self, waiting: int) -> int:
        size = min(self._times.smallest_worthwhile(_TOLERANCE), self._max_batch_size)
        possible = [other for other in self._sizes if other <= waiting]
        for other in possible:
            if self._times.is_due(other, samples=1, batches=_STALE_AFTER_BATCHES * max(1, other // size)):
                return other
        for other in possible:
            is_near = size <= 2 * other <= 4 * size
            if is_near and self._times.is_due(other, samples=_SAMPLES_NEAR, batches=_STALE_AFTER_BATCHES):
                return other
        return size

    def company(self, urgent: int) -> int:
        bearable = self._times.seconds(urgent) * (1 + _COMPANY_COST)
        joining = 0
        while urgent + joining < self._max_batch_size and self._times.seconds(urgent + joining + 1) <= bearable:
            joining += 1
        return joining

    def start_at(self, waiting: int, oldest_at: float, now: float) -> float:
        gap = median(self._gaps) / math.log(2) if len(self._gaps) == _GAPS else math.inf
        marginal = self._times.seconds(waiting + 1) - self._times.seconds(waiting)
        worth = self._times.seconds(1) / (waiting + 1) - marginal
        if gap >= worth:
            return now
        return min(self._last_arrival + worth, oldest_at + self._max_wait_seconds)
