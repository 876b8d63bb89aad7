"""How many spans were lost, and by what. They are lost from the start, and metrics are there a little later."""

import threading
from collections import Counter
from collections.abc import Callable
from typing import Final

QUEUE_FULL: Final = "queue_full"
"""While the collector was away or slow, newer spans took their place."""
NOT_SENT: Final = "not_sent"
"""The collector did not take them."""


class SpanLosses:
    """Counts in any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._before: Counter[str] = Counter()
        self._count: Callable[[str, int], None] = self._remember

    def add(self, reason: str, spans: int) -> None:
        with self._lock:
            self._count(reason, spans)

    def count_in(self, count: Callable[[str, int], None]) -> None:
        """From now on `count` is told, of what was lost before too. It must not block or raise."""
        with self._lock:
            for reason, spans in self._before.items():
                count(reason, spans)
            self._before.clear()
            self._count = count

    def _remember(self, reason: str, spans: int) -> None:
        self._before[reason] += spans
