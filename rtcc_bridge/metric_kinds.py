"""The kinds of metrics that `metrics.py` is made of: with labels from closed lists, and latencies that lead to a trace.

A label's value that is on no list is counted as `other`: what a sender or a sandboxed worker writes must not make
series, of which a Prometheus server has to remember each one.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from types import MappingProxyType
from typing import Final, Self, TypeAlias

from prometheus_client import Counter, Gauge, Histogram

OTHER: Final = "other"

Values: TypeAlias = tuple[str, ...] | None
"""What a label may say; None for names that are bounded elsewhere, see NAMED_ELSEWHERE."""

NAMED_ELSEWHERE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "topic": "the names in `kafka.topics`",
        "partition": "the partitions of those topics that this process reads",
        "gallery": "`matching.gallery` and `matching.training_gallery`",
        "dependency": "what a process of its roles needs",
        "version": "this program's",
    }
)
"""The labels without a list of values, and where all that they can say comes from. Nothing that is sent gets there."""
TraceId: TypeAlias = Callable[[], str | None]
"""The id of the trace that the caller is in, if there is one."""

TRACE_LABEL: Final = "trace_id"
"""Of an exemplar; Grafana finds the trace by it."""


def no_trace() -> str | None:
    """For a process without tracing."""
    return None


class LabelledCounter:
    """A counter whose labels come from closed lists. All series of them exist from the start, at 0.

    Of a series that begins with its first event Prometheus sees no increase, so the first failure would go unseen.
    """

    def __init__(self, counter: Counter, values: Sequence[Values]) -> None:
        self._counter = counter
        self._values = tuple(values)
        for combination in _combinations(self._values):
            counter.labels(*combination)

    def labels(self, *values: str) -> Counter:
        """The series of these values."""
        return self._counter.labels(*_listed(values, self._values))

    def expect(self, name: str) -> None:
        """Makes the series of a name from the settings, which is the first label's value."""
        for combination in product((name,), *(known or () for known in self._values[1:])):
            self._counter.labels(*combination)


class LabelledGauge:
    """A gauge whose labels come from closed lists, or are named elsewhere. Its series begin when they are set."""

    def __init__(self, gauge: Gauge, values: Sequence[Values]) -> None:
        self._gauge = gauge
        self._values = tuple(values)

    def labels(self, *values: str) -> Gauge:
        """The series of these values."""
        return self._gauge.labels(*_listed(values, self._values))

    def remove(self, *values: str) -> None:
        """Takes the series away, if it is there: nothing is known of it any more."""
        self._gauge.remove(*_listed(values, self._values))


class Latencies:
    """A histogram of seconds. One that is slow bears the id of its trace as an exemplar: this is the only place."""

    def __init__(self, histogram: Histogram, values: Sequence[Values], slow_seconds: float, trace_id: TraceId) -> None:
        self._histogram = histogram
        self._values = tuple(values)
        self._slow_seconds = slow_seconds
        self._trace_id = trace_id
        for combination in _combinations(self._values):
            histogram.labels(*combination)

    def labels(self, *values: str) -> Self:
        """The series of these values."""
        series: Histogram = self._histogram.labels(*_listed(values, self._values))
        return type(self)(series, (), self._slow_seconds, self._trace_id)

    def observe(self, seconds: float, trace_id: str | None = None) -> None:
        """trace_id: of what took that long, where it is not the trace that the caller is in."""
        exemplar = None
        if seconds >= self._slow_seconds and (found := trace_id or self._trace_id()) is not None:
            exemplar = {TRACE_LABEL: found}
        self._histogram.observe(seconds, exemplar)


def _combinations(values: Sequence[Values]) -> list[tuple[str, ...]]:
    """Empty where a label is named by the settings, and where there is none."""
    known = [listed for listed in values if listed is not None]
    return list(product(*known)) if known and len(known) == len(values) else []


def _listed(values: Sequence[str], known: Sequence[Values]) -> list[str]:
    return [value if listed is None or value in listed else OTHER for value, listed in zip(values, known, strict=True)]
