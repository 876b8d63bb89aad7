"""The names that other systems were promised are those that are served."""

import pytest

from rtcc_bridge.metrics import PREFIX, Metrics

PROMISED = {
    "histogram": {
        "event_to_floor_seconds": {"topic"},
        "probe_to_candidates_seconds": {"lane"},
        "stage_seconds": {"stage"},
        "batch_wait_seconds": {"lane"},
        "batch_size": set(),
        "outbox_lag_seconds": set(),
        "time_to_acknowledge_seconds": {"lane"},
        "time_to_approval_seconds": {"lane"},
        "time_to_peer_review_seconds": {"lane"},
        "threat_to_release_seconds": set(),
        "expunge_effective_seconds": set(),
    },
    "counter": {
        "events_total": {"topic", "outcome"},
        "dead_letters_total": {"topic", "reason"},
        "searches_total": {"purpose", "outcome"},
        "policy_refusals_total": {"rule"},
        "leads_total": {"state"},
    },
    "gauge": {
        "consumer_lag": {"topic", "partition"},
        "gallery_templates": {"gallery"},
        "gallery_version": {"gallery"},
        "ready": {"dependency"},
        "probes_in_flight": {"lane"},
        "certificates_expiring": {"days"},
    },
}
STAGES = {"decode", "detect", "quality", "align", "embed", "search", "persist", "publish"}


def served() -> dict[str, tuple[str, set[str]]]:
    return {row.name.removeprefix(f"{PREFIX}_"): (row.kind, set(row.labels)) for row in Metrics().help}


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in PROMISED.items() for name in names])
def test_what_was_promised_is_served(kind: str, name: str) -> None:
    assert served()[name] == (kind, PROMISED[kind][name])


def test_the_stages_that_were_promised_are_told_apart() -> None:
    (stages,) = (row.labels["stage"] for row in Metrics().help if row.name == f"{PREFIX}_stage_seconds")
    assert stages is not None
    assert set(stages) >= STAGES
