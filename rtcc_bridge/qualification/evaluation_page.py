"""An evaluation as one HTML page that stands alone: tables, and plots that show what the tables say."""

from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from rtcc_bridge.matching.evaluation import Breakdown
from rtcc_bridge.qualification.evaluation_run import EvaluationRun
from rtcc_bridge.qualification.evaluation_text import shown, shown_counts, shown_part
from rtcc_bridge.qualification.svg_plots import det_plot, interval_plot

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1b1b1f; --paper: #fff; --grid: #d5d5dc; --mark: #1f5fbf; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e6ea; --paper: #17171b; --grid: #3a3a44; --mark: #7db0ff; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 62rem;
  margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { text-align: left; padding: .25rem 1rem .25rem 0; border-bottom: 1px solid var(--grid); vertical-align: top; }
th, td:not(:last-child) { white-space: nowrap; }
svg { width: 100%; max-width: 45rem; font: 13px system-ui, sans-serif; }
svg text { fill: var(--ink); }
.grid { stroke: var(--grid); }
.line { stroke: var(--mark); stroke-width: 2.5; fill: none; }
.band { fill: var(--mark); opacity: .2; }
.dot { fill: var(--mark); }
"""

_TERMS: Final = (
    "FNIR is the share of searches for enrolled people that do not return the person, FPIR the share of searches for "
    "people who are not enrolled that return anybody. A picture on which no face was found is a miss. Intervals are "
    "95 %, by bootstrap over people. A figure that the sample cannot support is not measurable."
)


def page(run: EvaluationRun) -> str:
    figures = run.figures
    title = f"Evaluation of the model pack {run.pack_name} {run.pack_version}"
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p>{escape(_TERMS)}</p>",
        _rows(("", ""), _facts(run)),
        "<h2>Figures</h2>",
        _rows(
            ("figure", "value", ""),
            [
                *((f"FNIR at rank {rank}", shown(figure), figure.why_not) for rank, figure in figures.ranks.items()),
                *((f"FNIR at FPIR {one.fpir:g}", shown(one.fnir), one.fnir.why_not) for one in figures.fpirs),
            ],
        ),
    ]
    if figures.det is not None:
        parts += ["<h2>DET curve</h2>", det_plot(figures.det)]
        parts.append("<p>It ends at the lowest FPIR that the sample supports; the band is the 95 % interval.</p>")
    parts += _section(run, "By probe quality", figures.quality)
    for attribute, groups in figures.groups.items():
        parts += _section(run, f"By {attribute}", groups)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>\n'
        f"<body>\n{chr(10).join(parts)}\n</body></html>\n"
    )


def _facts(run: EvaluationRun) -> Iterator[tuple[str, str]]:
    figures, plan = run.figures, run.plan
    yield "pictures", f"{plan.source}: {figures.pictures:,} of {figures.people:,} people"
    yield "date and seed", f"{plan.on.isoformat()}, {plan.seed}"
    yield "gallery", f"{figures.gallery.people:,} people, {figures.gallery.searches:,} templates"
    yield "mated searches", f"{figures.mated.searches:,} of {figures.mated.people:,} people"
    yield "non-mated searches", f"{figures.nonmated.searches:,} of {figures.nonmated.people:,} people"
    yield "no face found", f"{figures.failure_to_detect:,} pictures; {figures.not_enrolled:,} people not enrolled"
    for reason, count in run.set_aside.items():
        yield f"without a template: {reason}", f"{count:,} pictures"
    stages = ", ".join(f"{stage} {value:.1f}" for stage, value in run.stage_ms.items())
    yield "a template", f"{run.template_bytes:,} bytes, {run.ms_per_template:.1f} ms ({stages})"
    for part, sha256 in run.networks.items():
        yield part, f"sha256 {sha256}"


def _section(run: EvaluationRun, title: str, parts: Sequence[Breakdown]) -> Iterator[str]:
    if not parts:
        return
    yield f"<h2>{escape(title)}</h2>"
    reference = run.figures.reference_fpir
    if reference is not None:
        yield f"<p>FNIR and FPIR at the threshold that gives everybody together an FPIR of {reference:g}.</p>"
    yield _rows(
        ("", "mated searches", "FNIR at rank 1", "FNIR", "non-mated searches", "FPIR"),
        [
            (
                part.label,
                shown_counts(part.mated),
                shown_part(part.fnir_rank1),
                shown_part(part.fnir),
                shown_counts(part.nonmated),
                shown_part(part.fpir),
            )
            for part in parts
        ],
    )
    for name, rows in (
        ("FNIR at rank 1", [(part.label, part.fnir_rank1.estimate) for part in parts]),
        ("FPIR", [(part.label, part.fpir.estimate) for part in parts]),
    ):
        if any(estimate is not None for _, estimate in rows):
            yield f"<h3>{name}</h3>"
            yield interval_plot(f"{title}: {name}", rows)


def _rows(heads: Sequence[str], rows: "Iterator[tuple[str, ...]] | Sequence[tuple[str, ...]]") -> str:
    head = "".join(f'<th scope="col">{escape(one)}</th>' for one in heads) if any(heads) else ""
    body = "".join(
        f'<tr><th scope="row">{escape(first)}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in rest)}</tr>'
        for first, *rest in rows
    )
    return f"<table>{f'<thead><tr>{head}</tr></thead>' if head else ''}<tbody>{body}</tbody></table>"
