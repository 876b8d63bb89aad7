"""Curves go one way, and the file that ships holds one for each component that was learnt."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcc_bridge.matching.quality import LIMITS
from rtcc_bridge.matching.quality_curves import CURVES, CURVES_FILE, Curve

_FALLING = Curve((1.0, 2.0, 4.0), (1.0, 0.8, 0.2))


@pytest.mark.parametrize(("value", "share"), [(0, 1.0), (1, 1.0), (1.5, 0.9), (3, 0.5), (4, 0.2), (99, 0.2)])
def test_a_curve_is_straight_between_its_points_and_level_beyond(value: float, share: float) -> None:
    assert _FALLING.share(value) == pytest.approx(share)


@given(st.sampled_from(sorted(CURVES)), st.floats(-10, 300))
def test_a_share_is_that_of_a_linear_interpolation(name: str, value: float) -> None:
    curve = CURVES[name]
    for at in (value, *curve.values):
        assert curve.share(at) == np.interp(at, curve.values, curve.shares)


@pytest.mark.parametrize(("share", "value"), [(0.9, 1.5), (0.5, 3.0), (0.2, 4.0), (0.1, None)])
def test_where_a_share_is_lost_is_found_again(share: float, value: float | None) -> None:
    assert _FALLING.value_at(share) == pytest.approx(value)
    rising = Curve(tuple(-number for number in reversed(_FALLING.values)), tuple(reversed(_FALLING.shares)))
    assert rising.value_at(share) == pytest.approx(None if value is None else -value)


@pytest.mark.parametrize(
    ("values", "shares"),
    [((), ()), ((1.0,), ()), ((1.0, 1.0), (0.0, 1.0)), ((2.0, 1.0), (0.0, 1.0)), ((1.0, 2.0), (0.0, 1.1)),
     ((1.0, 2.0, 3.0), (0.0, 1.0, 0.5))],
)  # fmt: skip
def test_what_is_no_curve_is_refused(values: tuple[float, ...], shares: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="a curve"):
        Curve(values, shares)


def test_the_file_says_how_it_came_about_and_holds_no_more_than_points() -> None:
    document = json.loads(CURVES_FILE.read_text())
    assert set(document) == {"provenance", "curves"}
    assert {"people", "selection", "searches", "pack", "seed", "date"} <= set(document["provenance"])
    assert set(CURVES) <= set(LIMITS)
    assert {"face_width", "inter_eye_distance", "sharpness", "compression_artifacts"} <= set(CURVES)
    assert sum(len(curve.values) for curve in CURVES.values()) < 400


@pytest.mark.parametrize("name", sorted(CURVES))
def test_a_curve_goes_the_way_of_its_limits(name: str) -> None:
    limits = LIMITS[name]
    better, worse = CURVES[name].share(limits.warned), CURVES[name].share(limits.refused)
    assert better >= worse


@given(st.sampled_from(sorted(CURVES)), st.floats(-1e4, 1e4), st.floats(0, 1e4))
def test_more_of_a_fault_is_never_worth_more(name: str, value: float, more: float) -> None:
    worse = value - more if LIMITS[name].warned > LIMITS[name].refused else value + more
    assert CURVES[name].share(worse) <= CURVES[name].share(value)
