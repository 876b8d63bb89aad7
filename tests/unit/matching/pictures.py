"""Pictures for tests: one real face that scikit-image ships (public domain), and files made of it."""

import io
from typing import Any

import numpy as np
import skimage.data
from PIL import Image

from rtcc_bridge.matching.types import Box, DetectedFace, Float32Array, RgbImage

PORTRAIT_LANDMARKS = np.array([[203, 102], [247, 103], [224, 128], [202, 141], [245, 142]], np.float32)
"""Where the portrait's eyes, nose and mouth corners are, to within a few pixels."""


def portrait() -> RgbImage:
    """512 x 512, one face about 86 px wide, looking at the camera; a badge on the sleeve can pass for another."""
    return np.asarray(skimage.data.astronaut(), np.uint8)  # type: ignore[no-untyped-call]


def gradient(height: int = 40, width: int = 60) -> RgbImage:
    """A picture in which every corner differs: red grows to the right, green downwards."""
    rows, columns = np.mgrid[:height, :width]
    blue = np.full((height, width), 90)
    return np.stack([columns * 255 // width, rows * 255 // height, blue], axis=2).astype(np.uint8)


def encoded(pixels: RgbImage | Image.Image, image_format: str = "PNG", **options: Any) -> bytes:
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    buffer = io.BytesIO()
    picture.save(buffer, image_format, **options)
    return buffer.getvalue()


def face_at(landmarks: Float32Array, width: float = 80.0, score: float = 0.999) -> DetectedFace:
    """A detected face with a box around its landmarks."""
    across, down = landmarks.mean(axis=0).tolist()
    half = width / 2
    return DetectedFace(Box(across - half, down - half * 1.3, across + half, down + half * 1.3), landmarks, score)


def head(yaw: float, pitch: float, roll: float) -> Float32Array:
    """Landmarks of a head of points in space, turned and seen from far away."""
    points = np.array([[-0.5, -0.5, 0], [0.5, -0.5, 0], [0, 0.044, 0.5], [-0.4, 0.5, 0], [0.4, 0.5, 0]])
    a, b, c = np.radians([yaw, pitch, roll])
    turn = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    tilt = np.array([[1, 0, 0], [0, np.cos(b), np.sin(b)], [0, -np.sin(b), np.cos(b)]])
    lean = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    seen = points @ (lean @ tilt @ turn).T
    return np.asarray(seen[:, :2] * 60 + 256, np.float32)
