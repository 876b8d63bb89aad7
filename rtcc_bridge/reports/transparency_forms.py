"""The transparency report as a page, as a table for other programs, and as JSON. One set of words for all of them."""

import base64
import csv
import hashlib
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from rtcc_bridge.cloud_event import rfc3339
from rtcc_bridge.reports.purpose_words import PURPOSE_WORDS
from rtcc_bridge.reports.suppression import SMALLEST_SHOWN
from rtcc_bridge.reports.tally import Act
from rtcc_bridge.reports.transparency import TransparencyReport

LEFT_OUT: Final = "left out"

TITLES: Final[Mapping[str, str]] = {
    "purpose": "Searches by purpose",
    "offense": "Searches by offense, as dispatch codes it now",
    "gallery": "Searches by gallery",
    "outcome": "What had become of them when this report was made",
    "approval": "How they were approved",
    "reviews": "Blind reviews that were concluded",
    "refusals": "Attempts that were refused, by rule",
}
WORDS: Final[Mapping[str, str]] = {
    **{purpose.value: words for purpose, words in PURPOSE_WORDS.items()},
    "nobody_alike": "nobody alike was found",
    "inconclusive": "inconclusive",
    "corroborated": "released, then corroborated by independent evidence",
    "refuted": "released, then refuted by independent evidence",
    "unresolved": "released, and the evidence did not resolve it",
    "released_without_an_outcome_yet": "released, no outcome yet",
    "still_examined": "still being examined",
    "withdrawn_before_release": "withdrawn before anybody received it",
    "taken_back_after_release": "taken back after its release",
    "expired": "expired without an outcome",
    "before_the_search": "by a supervisor before the search",
    "after_it_in_time": "by a supervisor after the search, in time (imminent threat)",
    "not_in_time": "not in time: withdrawn",
    "refused_after_it": "refused after the search: withdrawn",
    "still_awaited_or_withdrawn": "still awaited, or withdrawn before",
    "no_third_examiner": "no third examiner was asked",
    "third_examiner": "the two differed, so that a third had to be asked",
}
ACTS: Final[Mapping[Act, str]] = {
    Act.STILLS: "stills that were attached",
    Act.TOO_POOR: "stills too poor to be compared",
    Act.REFUSED: "searches that a supervisor refused",
    Act.OVERRIDES: "killings first coded as a disturbance, searched after two people attested to it",
    Act.DECLARED: "incidents declared imminent by a watch commander",
    Act.PROVISIONAL: "incidents opened while the feed was down",
    Act.UNRECONCILED: "of such incidents, those withdrawn since nobody reconciled them",
    Act.EXPUNGED: "people or pictures expunged from a gallery",
    Act.PACKETS: "leads disclosed in a discovery packet",
    Act.EXERCISES: "searches in exercises, in a training gallery; counted nowhere else",
}
NOTES: Final = (
    "A lead is an investigative lead only: no identification, no probable cause. It needs corroboration.",
    f"Counts from 1 to {SMALLEST_SHOWN - 1} are left out, and further ones with which they could be worked out.",
    "Each table of searches splits the same searches another way.",
)


@dataclass(frozen=True, slots=True)
class Row:
    """A row as it is read. count: None where it is left out."""

    words: str
    count: int | None


def rows_of(report: TransparencyReport, key: str) -> Iterator[Row]:
    """The rows of one table, in its order."""
    for name, count in report.tables[key].counts.items():
        yield Row(WORDS.get(name, name), count)


def act_rows(report: TransparencyReport) -> Iterator[Row]:
    for act, count in report.acts.items():
        yield Row(ACTS[act], count)


def style() -> str:
    """How the page looks; it stands in the page, which has nothing outside it. Blocks."""
    return (files("rtcc_bridge.reports") / "templates" / "transparency.css").read_text(encoding="utf-8")


def style_source() -> str:
    """By which a Content-Security-Policy lets this style in and no other (CSP Level 3, section 8.4). Blocks."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(style().encode()).digest()).decode()}'"


def page(report: TransparencyReport) -> str:
    """One HTML file with nothing outside it. Blocks a few milliseconds."""
    environment = Environment(
        loader=PackageLoader("rtcc_bridge.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    tables = [(title, tuple(rows_of(report, key)), report.tables[key].total) for key, title in TITLES.items()]
    return environment.get_template("transparency.html").render(
        report=report,
        tables=tables,
        acts=tuple(act_rows(report)),
        notes=NOTES,
        left_out=LEFT_OUT,
        made_before=tuple(f"{one:%Y-%m-%d %H:%M} UTC" for one in report.made_before),
        style=style(),
    )


def comma_separated(report: TransparencyReport) -> str:
    """`table,row,count`; an empty count is left out, and the last row of each table is its total."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(("table", "row", "count"))
    rows.writerow(("period", "months (UTC)", str(report.period)))
    rows.writerow(("period", "made at", rfc3339(report.made_at)))
    rows.writerow(("period", "preliminary", "yes" if report.is_preliminary else "no"))
    rows.writerows(("period", "made before", rfc3339(one)) for one in report.made_before)
    rows.writerow(("policy", "sha256", report.policy_hash))
    for key in TITLES:
        for name, count in report.tables[key].counts.items():
            rows.writerow((key, _as_text(name), _count(count)))
        rows.writerow((key, "total", _count(report.tables[key].total)))
    for act, count in report.acts.items():
        rows.writerow(("acts", act.value, _count(count)))
    for name, minutes in (
        ("median", report.review_times.median),
        ("90th percentile", report.review_times.ninth_decile),
    ):
        rows.writerow(("review minutes", name, "" if minutes is None else f"{minutes:g}"))
    return out.getvalue()


def as_json(report: TransparencyReport) -> dict[str, Any]:
    """null: left out."""
    return {
        "period": {"first": report.period.first, "last": report.period.last},
        "madeAt": rfc3339(report.made_at),
        "preliminary": report.is_preliminary,
        "madeBefore": [rfc3339(one) for one in report.made_before],
        "overlapping": [str(one) for one in report.overlapping],
        "policyHash": report.policy_hash,
        "tables": {key: {"rows": dict(found.counts), "total": found.total} for key, found in report.tables.items()},
        "acts": {act.value: count for act, count in report.acts.items()},
        "reviewMinutes": {
            "median": report.review_times.median,
            "ninthDecile": report.review_times.ninth_decile,
        },
        "notes": list(NOTES),
    }


def _count(count: int | None) -> str:
    return "" if count is None else str(count)


def _as_text(name: str) -> str:
    """What dispatch has named must not be a formula to a spreadsheet."""
    return f"'{name}" if name.startswith(("=", "+", "-", "@", "\t", "\r")) else name
