"""The signs of misuse as JSON."""

from typing import Any

from rtcc_bridge.cloud_event import rfc3339
from rtcc_bridge.reports.misuse import MisuseReport


def as_json(report: MisuseReport) -> dict[str, Any]:
    covers = report.roster_covers
    return {
        "since": rfc3339(report.since),
        "until": rfc3339(report.until),
        "definitions": {kind.value: words for kind, words in report.definitions.items()},
        "rosterCovers": None if covers is None else [rfc3339(moment) for moment in covers],
        "signals": [
            {
                "kind": one.kind.value,
                "accounts": list(one.accounts),
                "count": one.count,
                "firstAt": rfc3339(one.first_at),
                "lastAt": rfc3339(one.last_at),
                "references": list(one.references),
            }
            for one in report.signals
        ],
    }
