"""Latency by stage: where the time of an event and of a search goes."""

from typing import Final

from deploy.monitoring.panels import Dashboard, Panel, Query, Unit
from deploy.monitoring.queries import heatmap, quantile

LATENCY: Final = Dashboard(
    name="latency",
    title="latency by stage",
    description="Where the time goes. A point of a line with an exemplar leads to the trace of one slow event.",
    panels=(
        heatmap(
            "Event to the floor", "From the record's timestamp to its place on the feed.", "event_to_floor_seconds"
        ),
        heatmap(
            "Authority to candidates, imminent",
            "From authority and chosen face to the lead's place on the feed.",
            "probe_to_candidates_seconds",
            '{lane="imminent"}',
        ),
        heatmap(
            "Authority to candidates, routine",
            "From authority and chosen face to the lead's place on the feed.",
            "probe_to_candidates_seconds",
            '{lane="routine"}',
        ),
        Panel(
            title="Stages of the intake, 95 %",
            description="What an analyst waits for after an upload.",
            queries=(
                Query(
                    quantile(0.95, "stage_seconds", ("stage",), '{stage=~"decode|detect|quality|crop|preview|other"}'),
                    "{{stage}}",
                ),
            ),
            unit=Unit.SECONDS,
            width=12,
        ),
        Panel(
            title="Stages of a search, 95 %",
            description="What lies between authority and candidates, waiting for the batch included.",
            queries=(
                Query(
                    quantile(0.95, "stage_seconds", ("stage",), '{stage=~"align|embed|search|persist|publish"}'),
                    "{{stage}}",
                ),
                Query(quantile(0.95, "batch_wait_seconds", ("lane",)), "wait for the batch, {{lane}}"),
            ),
            unit=Unit.SECONDS,
            width=12,
        ),
        *(
            heatmap(f"Stage: {stage}", text, "stage_seconds", f'{{stage="{stage}"}}')
            for stage, text in (
                ("decode", "Reading the picture, in the sandbox."),
                ("detect", "Finding faces, in the sandbox."),
                ("embed", "Making templates, a batch at a time."),
                ("search", "Comparing with the gallery, a batch at a time."),
                ("persist", "The transaction of the lead."),
                ("publish", "Until the broker has acknowledged the lead's event."),
            )
        ),
        heatmap("Outbox", "From commit to publication of an outgoing event.", "outbox_lag_seconds", width=12),
        heatmap(
            "Wait for the batch",
            "From being submitted to the start of the batch.",
            "batch_wait_seconds",
            width=12,
        ),
    ),
)
