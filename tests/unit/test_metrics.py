"""The buckets of each histogram fit what it measures: milliseconds of work, an outage's minutes, a person's hours."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from rtcc_bridge.matching_settings import MatchingSettings
from rtcc_bridge.metric_kinds import Values
from rtcc_bridge.metrics import PREFIX, Metrics
from rtcc_bridge.policy.policy_file import load_policy
from rtcc_bridge.settings import Settings

POLICY = load_policy(Path(__file__).resolve().parents[2] / "config/policy.yaml")
SETTINGS = Settings()
HOUR = 3600.0
OUTAGE = HOUR
"""Of a broker or a database: shorter ones are told apart."""


@dataclass(frozen=True)
class Measured:
    """The values that a metric has to tell apart, from the least to the most; `limit`: one that is promised or set."""

    least: float
    most: float
    limit: float | None = None


RANGES = {
    # A chip is aligned in about a millisecond; a picture has its worker's time at most.
    "stage_seconds": Measured(0.001, SETTINGS.intake.worker_timeout_seconds),
    "batch_wait_seconds": Measured(
        0.001, SETTINGS.matching.request_timeout_seconds, SETTINGS.matching.batch_deadline_seconds
    ),
    "batch_size": Measured(1, MatchingSettings.model_json_schema()["properties"]["batch_size"]["maximum"]),
    # 500 ms for 99 of 100 events is promised to the floor (docs/slo.md), and longer when the database is away.
    "event_to_floor_seconds": Measured(0.005, OUTAGE, 0.5),
    "probe_to_candidates_seconds": Measured(0.01, OUTAGE, 1.0),
    "outbox_lag_seconds": Measured(0.005, OUTAGE),
    # A second is promised, and longer when the database is away.
    "audit_sequencing_seconds": Measured(0.01, OUTAGE, 1.0),
    # A matcher that could not ask for the gallery's version so long searches no more.
    "expunge_effective_seconds": Measured(0.01, OUTAGE, SETTINGS.matching.gallery_stale_seconds),
    # A person sees it at once, or on the next day.
    "time_to_acknowledge_seconds": Measured(1, 24 * HOUR),
    "time_to_peer_review_seconds": Measured(1, 24 * HOUR),
    "threat_to_release_seconds": Measured(5, 24 * HOUR),
    "time_to_approval_seconds": Measured(
        1, POLICY.approval.valid_hours * HOUR, POLICY.deferral.approve_within_minutes * 60.0
    ),
}


def histograms() -> dict[str, Mapping[str, Values]]:
    """The labels of each and what they may say, by name."""
    rows = [row for row in Metrics().help if row.kind == "histogram"]
    return {row.name.removeprefix(f"{PREFIX}_"): row.labels for row in rows}


def bounds_of(name: str) -> list[float]:
    """The finite upper bounds, as they are served; each of a histogram's series has the same."""
    metrics = Metrics()
    labels = histograms()[name]
    histogram = getattr(metrics, name)
    (
        histogram.labels(*(values[0] if values else "name" for values in labels.values())) if labels else histogram
    ).observe(0)
    samples = [sample for family in metrics.registry.collect() for sample in family.samples]
    buckets = [sample for sample in samples if sample.name == f"{PREFIX}_{name}_bucket"]
    bounds = dict.fromkeys(float(sample.labels["le"]) for sample in buckets)
    return [bound for bound in bounds if bound < float("inf")]


def test_every_histogram_has_a_range() -> None:
    assert set(histograms()) == set(RANGES)


@pytest.mark.parametrize("name", RANGES)
def test_buckets_span_what_is_measured_without_a_gap(name: str) -> None:
    """A quantile is read off between two bounds, so within the range one is at most five times the one before."""
    bounds, measured = bounds_of(name), RANGES[name]
    assert bounds == sorted(set(bounds))
    assert measured.least / 10 <= bounds[0] <= measured.least, "begins where the metric does"
    assert measured.most <= bounds[-1] <= measured.most * 10, "ends where the metric does"
    gaps = [after / before for before, after in pairwise(bounds)]
    assert max(gaps) <= 5


@pytest.mark.parametrize("name", [name for name, measured in RANGES.items() if measured.limit is not None])
def test_what_keeps_a_limit_is_counted_exactly(name: str) -> None:
    """A limit that no bound stands at could only be guessed at."""
    assert RANGES[name].limit in bounds_of(name)
