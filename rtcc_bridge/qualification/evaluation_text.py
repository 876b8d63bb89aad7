"""An evaluation as a table for the terminal."""

from collections.abc import Iterator, Sequence

from rtcc_bridge.matching.evaluation import MIN_PEOPLE_SHOWN, Breakdown, Counts
from rtcc_bridge.matching.evaluation_figures import Figure
from rtcc_bridge.qualification.evaluation_run import NOT_MEASURABLE, EvaluationRun


def text_lines(run: EvaluationRun) -> Iterator[str]:
    figures, plan = run.figures, run.plan
    yield f"pack {run.pack_name} {run.pack_version}, {plan.source}, {plan.on.isoformat()}, seed {plan.seed}"
    yield (
        f"{figures.pictures:,} pictures of {figures.people:,} people; {figures.failure_to_detect:,} without a face "
        "that could be used, which count as misses"
    )
    yield (
        f"gallery: {figures.gallery.people:,} people, {figures.gallery.searches:,} templates; "
        f"{figures.not_enrolled:,} people could not be enrolled"
    )
    yield f"mated searches: {_searches(figures.mated)}; non-mated: {_searches(figures.nonmated)}"
    for reason, count in run.set_aside.items():
        yield f"  {count:,} pictures without a template: {reason}"
    yield ""
    rows = [(f"FNIR at rank {rank}", shown(figure), figure.why_not) for rank, figure in figures.ranks.items()]
    rows += [(f"FNIR at FPIR {point.fpir:g}", shown(point.fnir), point.fnir.why_not) for point in figures.fpirs]
    yield from (f"{name:<20}  {figure:<24}  {why}".rstrip() for name, figure, why in rows)
    yield ""
    yield from _table(f"by probe quality (threshold of FPIR {_reference(run)} overall)", figures.quality)
    for attribute, parts in figures.groups.items():
        yield from _table(f"by {attribute} (threshold of FPIR {_reference(run)} overall)", parts)
    stages = ", ".join(f"{stage} {value:.1f}" for stage, value in run.stage_ms.items())
    yield f"a template takes {run.template_bytes:,} bytes and {run.ms_per_template:.1f} ms ({stages})"
    yield f"intervals are 95 %, by bootstrap over people; parts of fewer than {MIN_PEOPLE_SHOWN} people are not shown"


def shown(figure: Figure) -> str:
    if figure.estimate is None:
        return NOT_MEASURABLE
    estimate = figure.estimate
    return f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"


def shown_part(figure: Figure) -> str:
    """A figure of a part of the searches: where there is none, the counts beside it say why."""
    return "-" if figure.estimate is None else shown(figure)


def shown_counts(counts: Counts | None) -> str:
    return f"<{MIN_PEOPLE_SHOWN} people" if counts is None else f"{counts.searches:,} of {counts.people:,}"


def _searches(counts: Counts) -> str:
    return f"{counts.searches:,} of {counts.people:,} people"


def _reference(run: EvaluationRun) -> str:
    return NOT_MEASURABLE if run.figures.reference_fpir is None else f"{run.figures.reference_fpir:g}"


def _table(title: str, parts: Sequence[Breakdown]) -> Iterator[str]:
    if not parts:
        return
    width = max(14, *(len(part.label) for part in parts))
    yield title
    yield f"  {'':<{width}}  {'mated':<15} {'FNIR rank 1':<24} {'FNIR':<24} {'non-mated':<15} FPIR"
    for part in parts:
        yield (
            f"  {part.label:<{width}}  {shown_counts(part.mated):<15} {shown_part(part.fnir_rank1):<24} "
            f"{shown_part(part.fnir):<24} {shown_counts(part.nonmated):<15} {shown_part(part.fpir)}"
        )
    yield ""
