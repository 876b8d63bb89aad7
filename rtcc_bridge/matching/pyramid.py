"""Smaller copies of one picture, each made once and from the nearest larger one."""

import math

import cv2
import numpy as np

from rtcc_bridge.matching.types import RgbImage

_LEAST_SHRINKAGE = 0.75
"""A copy is made from a halved picture only if it still shrinks that to this share or less: nearer to 1, an average by
area is no longer one over whole pixels and blurs."""


class Pyramid:
    """A picture with its halves, quarters and so on, which are made when they are first needed.

    Not for several threads at once. Holds at most a third more pixels than the picture itself.
    """

    def __init__(self, image: RgbImage) -> None:
        self._copies = [image]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture itself."""
        height, width = self._copies[0].shape[:2]
        return width, height

    def halved(self, times: int) -> RgbImage:
        """The picture with its sides halved so many times, by area; a side is never less than one pixel."""
        while len(self._copies) <= times:
            height, width = self._copies[-1].shape[:2]
            self._copies.append(_shrunk(self._copies[-1], (max(1, width // 2), max(1, height // 2))))
        return self._copies[times]

    def level(self, scale: float) -> RgbImage:
        """The picture at `scale` (above 0, at most 1), by area, its sides rounded up to whole pixels.

        Averaged in two steps where `scale` is small, so that the full picture is read for the largest levels only. At
        a half, a quarter and so on it is the halved copy, whose sides are rounded down.
        """
        halvings = -math.log2(scale)
        if halvings.is_integer():
            return self.halved(int(halvings))
        width, height = self.size
        source = self.halved(max(0, math.floor(math.log2(_LEAST_SHRINKAGE) + halvings)))
        return _shrunk(source, (math.ceil(width * scale), math.ceil(height * scale)))


def _shrunk(image: RgbImage, size: tuple[int, int]) -> RgbImage:
    if image.shape[1::-1] == size:
        return image
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
