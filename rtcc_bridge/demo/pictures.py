"""The demo's pictures: a public-domain portrait with a degraded re-photograph of it, or a folder of the user's own."""

import random
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from skimage import data as skimage_data

from rtcc_bridge.errors import ConfigurationError, ConfigurationProblem
from rtcc_bridge.matching.types import RgbImage

PORTRAIT_REF = "portrait-01"
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})

_HEAD_AND_SHOULDERS = (slice(0, 320), slice(60, 380))
_SCENE_WIDTH, _SCENE_HEIGHT = 640, 480
_SCALE = 0.62  # the face is then about 52 px wide
_ANGLE_DEGREES = 7.0
_BLUR_SIGMA = 0.8
_GAIN = 0.62
_NOISE_SIGMA = 4.0
_JPEG_QUALITY = 45


def portrait() -> RgbImage:
    """Head and shoulders of the public-domain NASA portrait that scikit-image ships: uint8 (320, 320, 3) RGB."""
    picture: RgbImage = skimage_data.astronaut()  # type: ignore[no-untyped-call]  # the library has no types
    return picture[_HEAD_AND_SHOULDERS]


def encode_png(picture: RgbImage) -> bytes:
    """Lossless PNG bytes of an RGB picture."""
    return cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes()


def rephotograph(picture: RgbImage, seed: int = 1) -> bytes:
    """A poor still of the same portrait, as JPEG bytes: small, turned, out of focus, dark, noisy, compressed."""
    height, width = picture.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), _ANGLE_DEGREES, _SCALE)
    turn[:, 2] += (_SCENE_WIDTH - width) / 2, (_SCENE_HEIGHT - height) / 2
    scene = cv2.warpAffine(
        picture,
        turn,
        (_SCENE_WIDTH, _SCENE_HEIGHT),
        flags=cv2.INTER_AREA,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(88, 92, 96),
    )
    dark = cv2.GaussianBlur(scene, (0, 0), _BLUR_SIGMA).astype(np.float32) * _GAIN
    noisy = dark + np.random.default_rng(seed).normal(0.0, _NOISE_SIGMA, dark.shape)
    still = np.clip(noisy, 0, 255).astype(np.uint8)
    quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    return cv2.imencode(".jpg", cv2.cvtColor(still, cv2.COLOR_RGB2BGR), quality)[1].tobytes()


@dataclass(frozen=True, slots=True)
class Person:
    """One folder of pictures: those to enrol, and the one that is searched."""

    reference: str
    enrolled: tuple[Path, ...]
    probe: Path


@dataclass(frozen=True, slots=True)
class FacesSplit:
    """Who is enrolled, who of them can be searched, and who can be searched without being enrolled."""

    enrolled: tuple[Person, ...]
    mated: tuple[Person, ...]
    nonmated: tuple[Person, ...]


def split_faces(directory: Path, seed: int = 1) -> FacesSplit:
    """Half of the people are enrolled. Of those with two pictures or more the last one is kept back as the probe.

    Raises ConfigurationError when the folder does not hold at least two people, one of them with two pictures.
    """
    people = [(folder.name, _pictures(folder)) for folder in sorted(directory.iterdir()) if folder.is_dir()]
    people = [(name, pictures) for name, pictures in people if pictures]
    chooser = random.Random(seed)  # noqa: S311 - a repeatable split, not a secret
    chooser.shuffle(people)
    half = len(people) // 2
    enrolled = tuple(
        Person(name, pictures[:-1] if len(pictures) > 1 else pictures, pictures[-1]) for name, pictures in people[:half]
    )
    mated = tuple(person for person in enrolled if person.probe not in person.enrolled)
    nonmated = tuple(Person(name, (), pictures[0]) for name, pictures in people[half:])
    if not mated or not nonmated:
        problem = ConfigurationProblem(
            str(directory),
            f"holds {len(people)} people with pictures, which is too few",
            "Give a folder with one folder a person, several people, some with two pictures or more",
        )
        raise ConfigurationError(problem)
    return FacesSplit(enrolled, mated, nonmated)


def _pictures(folder: Path) -> tuple[Path, ...]:
    return tuple(sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES))
