"""Finding faces, beside the cascade as a first version has it: time for a large still, recall by size, false alarms.

    python -m bench.detect [--pack DIR] [--data ../shared/data] [--min-face 24] [--megapixels 12] [--repeats 5] [--json]

Time: one thread, the two detectors take turns, medians; `ratio` is that of processor time within each turn. Stills are
photographs enlarged to so many megapixels, with grain, and a montage of all of them at their own size. Recall:
portraits of different people scaled until the face has a known width, faded into plain grey and into pictures without
faces; a face counts as found when a box lies within a third of its width and is half to twice as wide. In the scenes,
where nobody marked the faces, the peer's are the reference. DATA holds the folders faces (one folder a person), scenes
and noface; without it nothing is measured.
"""

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from bench.detect_plain import open_plain
from bench.detect_scenes import (
    Portrait,
    Scene,
    enlarged_still,
    face_scene,
    montage,
    plain_ground,
    read_portraits,
    read_rgb,
    textured_ground,
)
from rtcc_bridge.matching.detect import Detector, open_detector
from rtcc_bridge.matching.modelpack import load_pack
from rtcc_bridge.matching.types import Box, DetectedFace, RgbImage
from rtcc_bridge.matching_settings import MatchingSettings
from rtcc_bridge.modelpacks.default_pack import ensure_default_pack

SEED = 20_261_126
WIDTHS_PX = (20, 22, 24, 26, 28, 32, 36, 40, 56)
PORTRAITS = 160
STILLS = ("df_couple.jpg", "ulfg_20.jpg", "dlib_2008_002470.jpg", "sk_camera.jpg")
TEXTURES = ("sk_gravel.jpg", "sk_grass.jpg", "sk_brick.jpg", "mpf_lp-police-cars.jpg", "sk_retina.jpg")
PLAIN, OURS = "plain", "ours"


@dataclass(frozen=True)
class Timing:
    """One still: seconds for one picture by the clock and of the processor, and the faces found."""

    still: str
    megapixels: float
    plain_seconds: float
    ours_seconds: float
    plain_cpu_seconds: float
    ours_cpu_seconds: float
    ratio: float
    plain_faces: int
    ours_faces: int


@dataclass(frozen=True)
class Recall:
    """Faces of one width on one kind of ground: how many there are, were found, and boxes where there is no face."""

    ground: str
    width_px: int
    faces: int
    plain_found: int
    ours_found: int
    plain_false: int
    ours_false: int


@dataclass(frozen=True)
class Agreement:
    """Photographs: faces that the peer found, that both found, and that only we found."""

    pictures: str
    plain_faces: int
    both: int
    only_ours: int


def time_stills(detectors: dict[str, Detector], stills: dict[str, RgbImage], repeats: int) -> list[Timing]:
    report = []
    for name, still in stills.items():
        taken: dict[str, list[tuple[float, float]]] = {which: [] for which in detectors}
        faces = {}
        for _ in range(repeats):
            for which, detector in detectors.items():
                started = (time.perf_counter(), time.process_time())
                faces[which] = len(detector.detect(still))
                taken[which].append((time.perf_counter() - started[0], time.process_time() - started[1]))
        plain, ours = (np.median(taken[which], axis=0).round(3).tolist() for which in (PLAIN, OURS))
        ratio = statistics.median(one[1] / other[1] for one, other in zip(taken[PLAIN], taken[OURS], strict=True))
        megapixels = round(still.shape[0] * still.shape[1] / 1e6, 2)
        report.append(
            Timing(name, megapixels, plain[0], ours[0], plain[1], ours[1], round(ratio, 2), faces[PLAIN], faces[OURS])
        )
    return report


def recall_by_width(detectors: dict[str, Detector], portraits: list[Portrait], data: Path) -> list[Recall]:
    grounds = {"plain": [plain_ground()], "textured": [textured_ground(data / "noface" / name) for name in TEXTURES]}
    report = []
    for name, pictures in grounds.items():
        for width in WIDTHS_PX:
            random = np.random.default_rng([SEED, width])
            scenes = _scenes(portraits, pictures, width, random)
            counts = {which: _count(detector, scenes) for which, detector in detectors.items()}
            faces = sum(len(scene.boxes) for scene in scenes)
            (plain_found, plain_false), (ours_found, ours_false) = counts[PLAIN], counts[OURS]
            report.append(Recall(name, width, faces, plain_found, ours_found, plain_false, ours_false))
    return report


def _scenes(
    portraits: list[Portrait], grounds: Sequence[RgbImage], width: int, random: np.random.Generator
) -> list[Scene]:
    """All portraits once, on as many canvases as that takes."""
    scenes: list[Scene] = []
    left = list(portraits)
    while left:
        scenes.append(face_scene(left, grounds[len(scenes) % len(grounds)], width, random))
        left = left[len(scenes[-1].boxes) :]
    return scenes


def _count(detector: Detector, scenes: list[Scene]) -> tuple[int, int]:
    found = false = 0
    for scene in scenes:
        detected = detector.detect(scene.pixels)
        hits = face_pairs([face.box for face in detected], scene.boxes)
        found, false = found + hits, false + len(detected) - hits
    return found, false


def face_pairs(found: list[Box], faces: list[Box]) -> int:
    """How many of the faces have a box of their own."""
    left = list(found)
    pairs = 0
    for face in faces:
        partner = next((box for box in left if _fits(box, face)), None)
        if partner is not None:
            left.remove(partner)
            pairs += 1
    return pairs


def _fits(box: Box, face: Box) -> bool:
    across = (box.left + box.right - face.left - face.right) / 2
    down = (box.top + box.bottom - face.top - face.bottom) / 2
    return float(np.hypot(across, down)) <= face.width / 3 and 0.5 <= box.width / face.width <= 2


def agreement(detectors: dict[str, Detector], folder: Path) -> Agreement:
    plain = both = ours = 0
    for path in sorted(folder.iterdir()):
        image = read_rgb(path)
        faces: dict[str, list[DetectedFace]] = {which: one.detect(image) for which, one in detectors.items()}
        shared = face_pairs([face.box for face in faces[OURS]], [face.box for face in faces[PLAIN]])
        plain, both, ours = plain + len(faces[PLAIN]), both + shared, ours + len(faces[OURS])
    return Agreement(folder.name, plain, both, ours - both)


def _print_table(rows: Sequence[Timing | Recall | Agreement]) -> None:
    for row in rows:
        print(", ".join(f"{name} {value}" for name, value in asdict(row).items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack", type=Path, help="an MTCNN pack; without it the default one, built where it is kept")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--min-face", type=int, default=24)
    parser.add_argument("--plain-min-face", type=int, help="the peer's; without it the same")
    parser.add_argument("--megapixels", type=float, default=12.0)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    arguments = parser.parse_args()
    if not arguments.data.is_dir():
        print(f"no pictures in {arguments.data}: give a folder with --data to measure detection")
        return
    cv2.setNumThreads(1)
    pack = arguments.pack or ensure_default_pack(MatchingSettings().packs_directory, lambda *_: None)
    ours = open_detector(load_pack(pack), min_face_px=arguments.min_face)
    plain = open_plain(arguments.plain_min_face or arguments.min_face)
    detectors: dict[str, Detector] = {PLAIN: plain, OURS: ours}
    scenes = arguments.data / "scenes"
    random = np.random.default_rng(SEED)
    stills = {name: enlarged_still(scenes / name, arguments.megapixels, random) for name in STILLS}
    stills["all scenes side by side"] = montage(sorted(scenes.iterdir()), arguments.megapixels)
    timings = time_stills(detectors, stills, arguments.repeats)
    _print_table(timings)
    portraits = read_portraits(arguments.data / "faces", plain, PORTRAITS)
    recalls = recall_by_width(detectors, portraits, arguments.data)
    _print_table(recalls)
    agreements = [agreement(detectors, arguments.data / name) for name in ("scenes", "noface")]
    _print_table(agreements)
    if arguments.json:
        report = {
            "min_face_px": arguments.min_face,
            "timings": [asdict(row) for row in timings],
            "recall": [asdict(row) for row in recalls],
            "agreement": [asdict(row) for row in agreements],
        }
        print(json.dumps(report))


if __name__ == "__main__":
    main()
