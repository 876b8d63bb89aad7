"""The bands of probe quality that figures are told apart by."""

from bisect import bisect_right

import numpy as np

from rtcc_bridge.matching.types import Int64Array

BAND_STARTS = (0, 25, 50, 75)
"""Quarters of the unified quality score. They are fixed, so that figures of two packs, or of two years, stand side by
side; bands cut at a sample's own quantiles would mean something else in each."""

BAND_NAMES = ("0-24", "25-49", "50-74", "75-100")


def band_of(unified_score: int) -> str:
    """The name of the band of one score (0 to 100)."""
    return BAND_NAMES[bisect_right(BAND_STARTS, unified_score) - 1]


def bands_of(unified_scores: Int64Array) -> Int64Array:
    """The place of each score (0 to 100) in BAND_NAMES: int64, the shape of `unified_scores`."""
    return np.asarray(np.searchsorted(BAND_STARTS, unified_scores, side="right") - 1, np.int64)
