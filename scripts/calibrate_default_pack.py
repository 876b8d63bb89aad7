"""Calibrates the default model pack on one half of the people in a folder and measures on the other half.

    python scripts/calibrate_default_pack.py FACES PACK [--output FILE] [--date YYYY-MM-DD]

FACES holds one folder a person. Only aggregate statistics are written: no picture, no template, no name.
"""

import argparse
import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from rtcc_bridge.matching.calibration import Calibration, load_calibration, save_calibration
from rtcc_bridge.matching.calibration_fit import TAIL_FRACTION, fit_calibration
from rtcc_bridge.matching.modelpack import ModelPack, load_pack
from rtcc_bridge.matching.session import Device
from rtcc_bridge.matching.types import Float32Array, Float64Array, Int64Array
from rtcc_bridge.qualification.labelled_folder import labelled_files
from rtcc_bridge.qualification.templates import TemplateMaker

OUTPUT = Path(__file__).resolve().parents[1] / "rtcc_bridge" / "modelpacks" / "default_calibration.json"
SEED = 20_240_601
SPLIT_SALT = "calibration-half-1"
TARGETS = (0.01, 0.03, 0.05, 0.10)
GALLERY_SIZES = (100, 200)
REPEATS = 40


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """templates: float32 (n, D); people: int64 (n,), who each shows; quality: int64 (n,); names: of the people."""

    templates: Float32Array
    people: Int64Array
    quality: Int64Array
    names: list[str]

    def of(self, chosen: list[int]) -> "Labelled":
        rows = np.isin(self.people, chosen)
        _, people = np.unique(self.people[rows], return_inverse=True)
        names = [self.names[person] for person in chosen]
        return Labelled(self.templates[rows], people.astype(np.int64), self.quality[rows], names)


def embed_folder(faces: Path, pack: ModelPack) -> Labelled:
    made = TemplateMaker(pack, Device.CPU, workers=2).make(labelled_files(faces), lambda _done, _total: None)
    for picture in made.set_aside:
        print(f"{picture.path.name}: {picture.why}")
    found = made.pictures.found
    pictures = made.pictures
    return Labelled(pictures.templates[found], pictures.people[found], pictures.quality[found], list(made.people))


def in_calibration_half(name: str) -> bool:
    """Stable for a person, whatever other people are in the folder."""
    return hashlib.sha256(f"{SPLIT_SALT}/{name}".encode()).digest()[0] % 2 == 0


def calibrate(half: Labelled, pack: ModelPack, date: str) -> Calibration:
    booking = sum(name.startswith("MEDS_") for name in half.names)
    pictures = len(half.templates)
    provenance = {
        "people and pictures": f"{len(half.names)} people, {pictures} pictures: {booking} people from NIST MEDS-II "
        f"(booking photos), {len(half.names) - booking} from LFW deep-funneled (press photos)",
        "selection": "the people whose sha256 of "
        f"'{SPLIT_SALT}/' and the folder's name begins with an even byte, about half of those at hand; the other half "
        "was kept for measuring. Nobody was left out, no comparison was excluded",
        "face": "the one nearest to the picture's centre; no quality gate",
        "comparison": "each picture with the best photo of each other person; people count alike",
        "tail": f"fitted above the score that {TAIL_FRACTION:.1%} of comparisons reach; about "
        f"{len(half.names) * (len(half.names) - 1) // 2} pairs of people: rates far below one in that many are "
        "extrapolated",
        "limits": "press photos and few booking photos; the people's origins are not balanced, and the highest scores "
        "of strangers are among people of like origin and sex. Calibrate on your own pictures",
        "pack": f"{pack.name} {pack.version}",
        "seed": str(SEED),
        "date": date,
    }
    calibration = fit_calibration(
        half.templates,
        half.people,
        recognizer_sha256=pack.files[pack.recognizer.file],
        provenance=provenance,
        seed=SEED,
        quality=half.quality,
    )
    tail = calibration.impostors.tail
    note = (
        f"among the {booking} booking people alone {booking_rate(half, tail.score):.1%} of comparisons reach the score "
        f"that {tail.fmr:.1%} of all do, and so few people show little: expect more candidates than estimated there"
    )
    return replace(calibration, provenance={**provenance, "booking photos": note})


def booking_rate(half: Labelled, score: float) -> float:
    """The share of comparisons among booking photos of different people that reach a score."""
    booking = half.of([person for person, name in enumerate(half.names) if name.startswith("MEDS_")])
    others, _ = best_scores(booking)
    weights = 1 / np.bincount(booking.people)[booking.people]
    reached = np.average((others >= score).sum(axis=1), weights=weights)
    return float(reached / (len(booking.names) - 1))


def best_scores(half: Labelled) -> tuple[Float64Array, Float64Array]:
    """(others, own): the score of each picture with the best photo of each person, float64 (n, people), own column
    minus infinity; and with the best other photo of the same person, float64 (n,), NaN where there is none."""
    scores = half.templates.astype(np.float64) @ half.templates.astype(np.float64).T
    np.fill_diagonal(scores, -np.inf)
    best = np.stack([scores[:, half.people == person].max(axis=1) for person in range(len(half.names))], axis=1)
    rows = np.arange(len(best))
    own = best[rows, half.people].copy()
    own[np.isinf(own)] = np.nan
    best[rows, half.people] = -np.inf
    return best, own


def print_measures(half: Labelled, calibration: Calibration) -> None:
    """Predicted against measured, on people that nothing was fitted to. People count alike."""
    others, own = best_scores(half)
    weights = 1 / np.bincount(half.people)[half.people]
    everyone = len(half.names) - 1
    generator = np.random.default_rng(SEED)
    print(f"held-out half: {len(half.names)} people, {len(others)} pictures, {int((~np.isnan(own)).sum())} with a mate")
    print("gallery  target  threshold  estimated FPIR (95 %)     measured FPIR  TPIR at rank 1")
    for size in (*GALLERY_SIZES, everyone):
        galleries = _galleries(len(half.names), size, generator) if size < everyone else [np.arange(len(half.names))]
        for target in TARGETS:
            threshold = calibration.threshold_for(target, size)
            measured = [_measure(others, own, weights, half.people, gallery, threshold) for gallery in galleries]
            fpir, tpir = np.nanmean(measured, axis=0)
            estimate = calibration.estimated_fpir(threshold, size)
            print(
                f"{size:7d}  {target:6.2f}  {threshold:9.4f}  {estimate.value:.3f} ({estimate.low:.3f} to "
                f"{estimate.high:.3f})    {fpir:13.3f}  {tpir:14.3f}"
            )


def _galleries(people: int, size: int, generator: np.random.Generator) -> list[Int64Array]:
    return [generator.permutation(people)[:size].astype(np.int64) for _ in range(REPEATS)]


def _measure(
    others: Float64Array,
    own: Float64Array,
    weights: Float64Array,
    people: Int64Array,
    gallery: Int64Array,
    threshold: float,
) -> tuple[float, float]:
    """FPIR over the people who are not in the gallery (with everyone in it: each is left out in turn) and TPIR."""
    strangers = others[:, gallery].max(axis=1)
    enrolled = np.isin(people, gallery)
    outside = ~enrolled if not enrolled.all() else enrolled
    mated = enrolled & ~np.isnan(own)
    fpir = np.average(strangers[outside] >= threshold, weights=weights[outside])
    tpir = np.average((own[mated] >= threshold) & (own[mated] > strangers[mated]), weights=weights[mated])
    return float(fpir), float(tpir)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", type=Path)
    parser.add_argument("pack", type=Path)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--date", default=datetime.now(UTC).date().isoformat())
    arguments = parser.parse_args()
    pack = load_pack(arguments.pack)
    everyone = embed_folder(arguments.faces, pack)
    chosen = [person for person, name in enumerate(everyone.names) if in_calibration_half(name)]
    rest = [person for person in range(len(everyone.names)) if person not in set(chosen)]
    save_calibration(calibrate(everyone.of(chosen), pack, arguments.date), arguments.output)
    calibration = load_calibration(arguments.output)
    print(f"wrote {arguments.output}")
    print_measures(everyone.of(rest), calibration)
    for size in (10_000, 100_000, 1_000_000):
        threshold = calibration.threshold_for(0.05, size)
        estimate = calibration.estimated_fpir(threshold, size)
        print(
            f"{size:7d} people: FPIR 0.05 ({estimate.low:.3f} to {estimate.high:.3f}) at {threshold:.4f}, extrapolated"
        )


if __name__ == "__main__":
    main()
