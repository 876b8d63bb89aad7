"""Matchers and batches: is the device used, are batches full, is the gallery the newest?"""

from typing import Final

from deploy.monitoring.panels import RATE, Dashboard, Kind, Panel, Query, Unit
from deploy.monitoring.queries import PREFIX, heatmap, quantile, rate

MATCHERS: Final = Dashboard(
    name="matchers",
    title="matchers and batches",
    description="The search: device, batches, galleries, and the picture workers before it.",
    panels=(
        Panel(
            title="Matchers by device",
            description="Where templates are made and compared.",
            queries=(Query(f"sum by (device) ({PREFIX}matcher_device)", "{{device}}"),),
            kind=Kind.STAT,
            width=6,
            height=5,
        ),
        Panel(
            title="GPU lost",
            description="Matchers that should work on a GPU and work on the CPU.",
            queries=(Query(f"sum({PREFIX}gpu_lost)", "lost"),),
            kind=Kind.STAT,
            width=6,
            height=5,
            limit=1,
        ),
        Panel(
            title="Templates searched",
            description="The least of any matcher: all should have the same.",
            queries=(Query(f"min by (gallery) ({PREFIX}gallery_templates)", "{{gallery}}"),),
            kind=Kind.STAT,
            width=6,
            height=5,
        ),
        Panel(
            title="Segments to scrub",
            description="Gallery segments in which the template of a removed person still lies.",
            queries=(Query(f"max({PREFIX}segments_to_scrub)", "segments"),),
            kind=Kind.STAT,
            width=6,
            height=5,
            limit=1,
        ),
        Panel(
            title="Booked pictures by outcome",
            description="In each hour, of the record system. What is not enrolled has its reason in the log.",
            queries=(
                Query(f"round(sum by (outcome) (increase({PREFIX}gallery_bookings_total[1h]))) > 0", "{{outcome}}"),
            ),
            stacked=True,
        ),
        Panel(
            title="Pictures sent on a gallery's page",
            description="How long the oldest waits for its template, which a matcher makes in a second or two.",
            queries=(Query(f"max({PREFIX}sent_picture_wait_seconds)", "the oldest"),),
            unit=Unit.SECONDS,
            limit=300,
        ),
        Panel(
            title="Sealed segments",
            description="Each batch of bookings adds one; small ones are merged, sixteen at a time.",
            queries=(Query(f"max by (gallery) ({PREFIX}gallery_segments)", "{{gallery}}"),),
        ),
        Panel(
            title="Searches by outcome",
            description="busy: the matcher's queue was full, and the search is tried again.",
            queries=(Query(f"{rate('searches_total', ('outcome',))} > 0", "{{outcome}}"),),
            unit=Unit.PER_SECOND,
            stacked=True,
        ),
        heatmap("Batch size", "How many probes went through the device together.", "batch_size"),
        Panel(
            title="Mean batch",
            description="Probes in a batch. Under load it should come near `matching.batch_size`.",
            queries=(
                Query(
                    f"sum(rate({PREFIX}batch_size_sum[{RATE}])) / sum(rate({PREFIX}batch_size_count[{RATE}]))", "probes"
                ),
            ),
        ),
        Panel(
            title="Wait for the batch, 99 %",
            description="Imminent probes are served first.",
            queries=(Query(quantile(0.99, "batch_wait_seconds", ("lane",)), "{{lane}}"),),
            unit=Unit.SECONDS,
        ),
        Panel(
            title="Embedding and search, 95 %",
            description="Of one batch.",
            queries=(Query(quantile(0.95, "stage_seconds", ("stage",), '{stage=~"embed|search"}'), "{{stage}}"),),
            unit=Unit.SECONDS,
        ),
        Panel(
            title="Probes in work",
            description="Records of search requests that are being handled.",
            queries=(Query(f"sum by (lane) ({PREFIX}probes_in_flight)", "{{lane}}"),),
        ),
        Panel(
            title="Gallery version",
            description="Matchers that stand apart for longer than seconds do not follow.",
            queries=(Query(f"{PREFIX}gallery_version", "{{gallery}}, {{instance}}"),),
        ),
        Panel(
            title="Age of the gallery's head",
            description="Since each matcher last confirmed who was removed; at 10 s it stops searching (P25).",
            queries=(Query(f"{PREFIX}gallery_head_age_seconds", "{{gallery}}, {{instance}}"),),
            unit=Unit.SECONDS,
            limit=10,
        ),
        Panel(
            title="Picture workers replaced",
            description="In 15 minutes. A picture that kills its worker is refused.",
            queries=(Query(f"sum by (reason) (increase({PREFIX}worker_restarts_total[15m])) > 0", "{{reason}}"),),
        ),
    ),
)
