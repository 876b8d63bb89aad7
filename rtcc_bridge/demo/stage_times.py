"""What one probe's stages took on average, read from the daemon's own metrics."""

from collections.abc import Mapping

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

STAGES = ("decode", "detect", "quality", "crop", "align", "embed", "search", "persist", "publish")


async def mean_milliseconds(http: aiohttp.ClientSession, address: str) -> Mapping[str, float]:
    """Mean milliseconds by stage, and of the whole way from authority to the feed by lane.

    Raises aiohttp.ClientError when the daemon does not answer.
    """
    async with http.get(f"{address}/metrics") as answer:
        text = await answer.text()
    sums: dict[str, float] = {}
    counts: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        if family.name not in {"rtcc_bridge_stage_seconds", "rtcc_bridge_probe_to_candidates_seconds"}:
            continue
        for sample in family.samples:
            label = sample.labels.get("stage") or f"authority to feed, {sample.labels.get('lane')} lane"
            if sample.name.endswith("_sum"):
                sums[label] = sample.value
            elif sample.name.endswith("_count"):
                counts[label] = sample.value
    means = {label: 1000 * sums[label] / counts[label] for label in sums if counts.get(label)}
    order = [stage for stage in STAGES if stage in means]
    return {label: means[label] for label in [*order, *sorted(means.keys() - set(order))]}
