"""Learns what each quality component leaves of rank-1 on one half of the people, and measures on the other half.

    python -m scripts.calibrate_quality FACES PACK [--output FILE] [--date YYYY-MM-DD]
        [--people N] [--probes N]

FACES holds one folder a person. Of each person one picture is enrolled and another searched, as it is and degraded in
known ways (`scripts.quality_degradations`). Only the curves are written: no picture, no template, no name.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from rtcc_bridge.matching.modelpack import load_pack
from rtcc_bridge.matching.quality import LIMITS, unified_score
from rtcc_bridge.matching.quality_curves import CURVES_FILE, Curve, read_curves
from rtcc_bridge.matching.types import Float64Array
from scripts.quality_degradations import DEGRADATIONS
from scripts.quality_rows import CLEAN, MIXED, SEED, SPLIT_SALT, Half, Row, measure_half

LEARNT_FROM = {
    "face_width": ("shrunk",),
    "inter_eye_distance": ("shrunk",),
    "crop_of_the_face": ("cut",),
    "luminance_mean": ("dark",),
    "under_exposure": ("dark",),
    "over_exposure": ("bright",),
    "dynamic_range": ("flat",),
    "illumination_uniformity": ("side-lit",),
    "sharpness": ("blurred",),
    "compression_artifacts": ("compressed",),
}
"""The degradations in which each component changes and little else does."""

MORE_IS_BETTER = {name for name, limits in LIMITS.items() if limits.warned > limits.refused}
BINS = 12
BANDS = (0, 20, 40, 60, 80, 90, 95, 101)
MIXTURES = 6


def fit_curve(values: Float64Array, first: Float64Array, clean_rate: float, *, rising: bool) -> Curve:
    """Isotonic regression (pool adjacent violators, Ayer et al. 1955) of rank-1 over bins with as many searches each,
    as shares of `clean_rate`."""
    order = np.argsort(values, kind="stable")
    bins = [part for part in np.array_split(order, BINS) if len(part)]
    middles = [float(np.median(values[part])) for part in bins]
    rates = [float(first[part].mean()) for part in bins]
    sign = 1.0 if rising else -1.0
    blocks: list[list[float]] = []
    for middle, rate, part in zip(middles, rates, bins, strict=True):
        blocks.append([sign * rate, float(len(part)), middle, middle])
        while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
            rate_b, weight_b, _, last = blocks.pop()
            rate_a, weight_a, begin, _ = blocks.pop()
            weight = weight_a + weight_b
            blocks.append([(rate_a * weight_a + rate_b * weight_b) / weight, weight, begin, last])
    points: dict[float, float] = {}
    for block_rate, _, begin, last in blocks:
        share = round(min(1.0, sign * block_rate / clean_rate), 4)
        points |= {round(begin, 4): share, round(last, 4): share}
    return Curve(tuple(points), tuple(points.values()))


def fit_curves(half: Half) -> dict[str, Curve]:
    clean = rate(_rows(half, CLEAN))
    curves = {}
    for name, ways in LEARNT_FROM.items():
        rows = [row for how in (CLEAN, *ways) for row in _rows(half, how) if name in row.values]
        values = np.array([row.values[name] for row in rows])
        first = np.array([row.first for row in rows], np.float64)
        curves[name] = fit_curve(values, first, clean, rising=name in MORE_IS_BETTER)
    return curves


def _rows(half: Half, how: str) -> list[Row]:
    return [row for row in half.rows if row.how == how]


def rate(rows: Sequence[Row]) -> float:
    """Rank-1 among those in which a face was found."""
    return (
        float(np.mean([row.first for row in rows if row.values])) if any(row.values for row in rows) else float("nan")
    )


def shares_of(row: Row, curves: Mapping[str, Curve]) -> list[float]:
    return [curve.share(row.values[name]) for name, curve in curves.items() if name in row.values]


COMBINED: dict[str, Callable[[list[float]], float]] = {
    "the worst": min,
    "their product": lambda shares: float(np.prod(shares)),
    "geometric mean of both": lambda shares: float(np.sqrt(min(shares) * np.prod(shares))),
    "worst times mean, root": lambda shares: float(np.sqrt(min(shares) * np.mean(shares))),
}


def print_combinations(half: Half, curves: Mapping[str, Curve], clean: float) -> None:
    rows = [row for row in _rows(half, MIXED) if row.values]
    first = np.array([row.first for row in rows], np.float64)
    print(f"\nways to combine, on {len(rows)} pictures degraded in two ways at once (fitting half)\n")
    print("| way | Brier score | area under the curve |\n|---|---:|---:|")
    for name, combine in COMBINED.items():
        predicted = np.array([clean * combine(shares_of(row, curves)) for row in rows])
        print(f"| {name} | {((predicted - first) ** 2).mean():.4f} | {area_under_curve(predicted, first):.3f} |")


def area_under_curve(scores: Float64Array, first: Float64Array) -> float:
    """The chance that a search that succeeds scores above one that fails; ties count half."""
    good, bad = scores[first == 1], scores[first == 0]
    above = (good[:, None] > bad).mean() + (good[:, None] == bad).mean() / 2
    return float(above)


def print_components(half: Half, curves: Mapping[str, Curve], clean: float) -> None:
    print(f"\nheld-out half: {half.people} people, {half.probes} searched, rank-1 as they are {clean:.3f}\n")
    print("| degraded | step | faces found | rank-1 | foretold | component | median | warned, refused |")
    print("|---|---:|---:|---:|---:|---|---:|---:|")
    for how, (_, steps) in DEGRADATIONS.items():
        for step in map(str, steps):
            rows = [row for row in _rows(half, how) if row.step == step]
            found = [row for row in rows if row.values]
            for name in (name for name, ways in LEARNT_FROM.items() if how in ways):
                if not found:
                    continue
                values = np.array([row.values[name] for row in found])
                foretold = clean * np.mean([curves[name].share(value) for value in values])
                verdicts = [LIMITS[name].verdict(value).value for value in values]
                limits = ", ".join(f"{verdicts.count(word) / len(values):.0%}" for word in ("warned", "refused"))
                print(
                    f"| {how} | {step} | {len(found) / len(rows):.0%} | {rate(found):.3f} | {foretold:.3f} | {name} | "
                    f"{np.median(values):.3g} | {limits} |"
                )


def print_bands(half: Half, curves: Mapping[str, Curve], clean: float) -> None:
    rows = [row for row in half.rows if row.values]
    scores = np.array([unified_score(shares_of(row, curves)) for row in rows])
    first = np.array([row.first for row in rows], np.float64)
    print("\n| unified score | searches | rank-1 | foretold |\n|---|---:|---:|---:|")
    for low, high in pairwise(BANDS):
        chosen = (scores >= low) & (scores < high)
        if chosen.any():
            foretold = clean * scores[chosen].mean() / 100
            print(f"| {low} to {high - 1} | {chosen.sum()} | {first[chosen].mean():.3f} | {foretold:.3f} |")
    print(f"\narea under the curve of the unified score: {area_under_curve(scores.astype(np.float64), first):.3f}")


def print_pose(half: Half) -> None:
    """Natural, not made: what the pictures as they are show of turned heads."""
    rows = [row for row in _rows(half, CLEAN) if row.values]
    print("\n| pose of the pictures as they are | searches | rank-1 |\n|---|---:|---:|")
    for name, bands in (("head_pose_yaw", (0, 10, 20, 30, 91)), ("head_pose_pitch", (0, 10, 20, 30, 91))):
        for low, high in pairwise(bands):
            chosen = [row for row in rows if low <= row.values[name] < high]
            if chosen:
                print(f"| {name} {low} to {high - 1} | {len(chosen)} | {rate(chosen):.3f} |")


def print_limits(curves: Mapping[str, Curve]) -> None:
    print("\n| component | .9 of rank-1 left at | .5 left at | warned | refused |\n|---|---:|---:|---:|---:|")
    for name, curve in curves.items():
        ninety, half = (curve.value_at(share) for share in (0.9, 0.5))
        print(f"| {name} | {ninety} | {half} | {LIMITS[name].warned} | {LIMITS[name].refused} |")


def write_curves(curves: Mapping[str, Curve], half: Half, clean: float, pack: str, date: str, path: Path) -> None:
    provenance = {
        "people": f"{half.people} people enrolled with one picture each, {half.probes} searched with another, of LFW "
        "deep-funneled (press photos) and NIST MEDS-II (booking photos)",
        "selection": f"the people whose sha256 of '{SPLIT_SALT}/' and the folder's name begins with an even byte; the "
        "other half was kept for measuring",
        "searches": f"{sum(bool(row.values) for row in half.rows)} with a face, degraded by blurring, shrinking, "
        "darkening, overexposing, flattening, light from one side, JPEG, cutting and hiding; rank-1 of the pictures as "
        f"they are: {clean:.3f}",
        "curve": "share of that rank-1, isotonic over twelve bins; points are the bins' medians",
        "pack": pack,
        "seed": str(SEED),
        "date": date,
    }
    points = {name: {"values": list(curve.values), "shares": list(curve.shares)} for name, curve in curves.items()}
    path.write_text(json.dumps({"provenance": provenance, "curves": points}, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", type=Path)
    parser.add_argument("pack", type=Path)
    parser.add_argument("--output", type=Path, default=CURVES_FILE)
    parser.add_argument("--date", default=datetime.now(UTC).date().isoformat())
    parser.add_argument("--people", type=int, default=10_000, help="at most so many are enrolled in each half")
    parser.add_argument("--probes", type=int, default=10_000, help="at most so many of them are searched")
    arguments = parser.parse_args()
    measure = partial(
        measure_half,
        arguments.faces,
        arguments.pack,
        mixtures=MIXTURES,
        most_people=arguments.people,
        most_probes=arguments.probes,
    )
    with ProcessPoolExecutor(2) as pool:
        fitting, held_out = pool.map(measure, (True, False))
    clean, held_out_clean = (rate(_rows(half, CLEAN)) for half in (fitting, held_out))
    pack = load_pack(arguments.pack)
    write_curves(fit_curves(fitting), fitting, clean, f"{pack.name} {pack.version}", arguments.date, arguments.output)
    curves = read_curves(arguments.output)
    print(f"wrote {arguments.output}; fitting half: {fitting.people} people, {fitting.probes} searched, {clean:.3f}")
    print_limits(curves)
    print_combinations(fitting, curves, clean)
    print_components(held_out, curves, held_out_clean)
    print_bands(held_out, curves, held_out_clean)
    print_pose(held_out)


if __name__ == "__main__":
    main()
