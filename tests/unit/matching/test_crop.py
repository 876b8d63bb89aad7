"""The crop holds all that alignment reads of the chosen face, and nothing that shows another."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from rtcc_bridge.matching.align import extract_chip, similarity_transform
from rtcc_bridge.matching.crop import MAX_SIDE_PX, crop_face
from rtcc_bridge.matching.embed import open_embedder
from rtcc_bridge.matching.modelpack import ModelPack
from rtcc_bridge.matching.types import Box, DetectedFace, Float32Array, Float64Array, RgbImage
from tests.unit.matching.pictures import PORTRAIT_LANDMARKS, face_at, portrait

_ARCFACE = np.array([[38.3, 51.7], [73.5, 51.5], [56.0, 71.7], [41.5, 92.4], [70.7, 92.2]], np.float64)
_FRONTAL = np.array([[-18, -19], [18, -19], [0, 2], [-15, 21], [15, 21]], np.float32)


def _assert_same_chip(found: RgbImage, expected: RgbImage) -> None:
    """The same but for the last bit of the landmarks' coordinates."""
    assert np.abs(found.astype(int) - expected).max() <= 2


def _picture(side: int = 700) -> RgbImage:
    return np.random.default_rng(8).integers(0, 256, (side, side, 3), np.uint8)


def _turned(degrees: float) -> Float32Array:
    angle = np.radians(degrees)
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return np.asarray(_FRONTAL @ rotation + 350, np.float32)


@pytest.mark.parametrize("degrees", range(-180, 180, 45))
@pytest.mark.parametrize("template_of", ["default", "arcface"])
def test_the_chip_from_the_crop_is_the_chip_from_the_picture(
    default_pack: ModelPack, degrees: int, template_of: str
) -> None:
    template: Float64Array = np.array(default_pack.recognizer.alignment_template)
    size = default_pack.recognizer.input_size
    if template_of == "arcface":
        template, size = _ARCFACE, 112
    face = face_at(_turned(degrees))
    crop = crop_face(_picture(), face, [])
    to_crop = similarity_transform(template, crop.landmarks.astype(np.float64))
    corners = np.array([[0, 0], [size, 0], [size, size], [0, size]]) @ to_crop[:, :2].T + to_crop[:, 2]
    assert corners.min() > 0
    assert (corners.max(axis=0) < crop.pixels.shape[1::-1]).all()
    _assert_same_chip(
        extract_chip(crop.pixels, crop.landmarks, template, size),
        extract_chip(_picture(), face.landmarks, template, size),
    )


def test_the_crop_is_a_copy() -> None:
    picture = _picture()
    crop = crop_face(picture, face_at(_turned(0)), [])
    crop.pixels[:] = 0
    np.testing.assert_array_equal(picture, _picture())


def test_bystanders_are_painted_over_and_the_chosen_face_is_not() -> None:
    picture = _picture()
    face = face_at(_turned(0), width=60)
    beside = replace(face, box=Box(390, 300, 450, 400))
    overlapping = replace(face, box=Box(300, 330, 340, 380))
    crop = crop_face(picture, face, [face, beside, overlapping])
    left, top = (face.landmarks - crop.landmarks)[0].round().astype(int)

    def in_crop(box: Box) -> tuple[slice, slice]:
        return slice(int(box.top) - top, int(box.bottom) - top), slice(int(box.left) - left, int(box.right) - left)

    assert (crop.pixels[in_crop(beside.box)] == 128).all()
    assert (crop.pixels[in_crop(Box(300, 330, 320, 380))] == 128).all()
    chosen = slice(int(face.box.top), int(face.box.bottom)), slice(int(face.box.left), int(face.box.right))
    np.testing.assert_array_equal(crop.pixels[in_crop(face.box)], picture[chosen])
    untouched = crop_face(picture, face, [])
    assert (untouched.pixels != crop.pixels).any()


def test_a_bystander_far_away_changes_nothing() -> None:
    face = face_at(_turned(0))
    far = face_at(_turned(0) + 5000)
    np.testing.assert_array_equal(crop_face(_picture(), face, [far]).pixels, crop_face(_picture(), face, []).pixels)


def test_up_to_the_bound_every_pixel_is_that_of_the_picture() -> None:
    """The face is so large that the crop is the whole picture."""
    landmarks = (_FRONTAL * 12 + MAX_SIDE_PX / 2).astype(np.float32)
    picture = _picture(MAX_SIDE_PX)
    crop = crop_face(picture, face_at(landmarks, width=900), [])
    np.testing.assert_array_equal(crop.pixels, picture)
    np.testing.assert_array_equal(crop.landmarks, landmarks)
    assert crop_face(_picture(MAX_SIDE_PX + 1), face_at(landmarks, width=900), []).pixels.shape == picture.shape


@pytest.mark.parametrize("scale", [5, 8])
def test_a_crop_that_was_shrunk_gives_the_template_of_the_picture(default_pack: ModelPack, scale: int) -> None:
    """What the bound takes away is nothing that the model sees. With a bound of 150 px the similarity would be .997."""
    large = cv2.resize(portrait(), None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC).astype(np.float64)
    grain = np.random.default_rng(3).normal(0, 12, large.shape)
    picture = np.clip(large + grain, 0, 255).astype(np.uint8)
    landmarks = ((PORTRAIT_LANDMARKS + 0.5) * scale - 0.5).astype(np.float32)
    crop = crop_face(picture, face_at(landmarks, width=86 * scale), [])
    assert max(crop.pixels.shape) == MAX_SIDE_PX
    template, size = np.array(default_pack.recognizer.alignment_template), default_pack.recognizer.input_size
    chips = [
        extract_chip(picture, landmarks, template, size),
        extract_chip(crop.pixels, crop.landmarks, template, size),
    ]
    whole, cut_out = open_embedder(default_pack).embed(np.stack(chips))
    assert float(whole @ cut_out) > 0.9995


def test_a_large_face_is_shrunk_to_the_bound_with_its_landmarks() -> None:
    picture = _picture(3000)
    landmarks = ((_turned(0) - 350) * 18 + 1500).astype(np.float32)
    crop = crop_face(picture, face_at(landmarks, width=1500), [])
    assert max(crop.pixels.shape) == MAX_SIDE_PX
    spread = np.ptp(crop.landmarks, axis=0) / np.ptp(landmarks, axis=0)
    np.testing.assert_allclose(spread, MAX_SIDE_PX / 3000, rtol=0.01)


def test_a_face_at_the_edge_is_clipped_and_still_aligns_the_same() -> None:
    picture = _picture()
    face = face_at(_turned(0) - 340)
    crop = crop_face(picture, face, [])
    _assert_same_chip(
        extract_chip(crop.pixels, crop.landmarks, _ARCFACE, 112),
        extract_chip(picture, face.landmarks, _ARCFACE, 112),
    )


@pytest.mark.parametrize(
    "face", [face_at(np.zeros((5, 2), np.float32)), face_at(_turned(0) + 5000), face_at(_turned(0) - 5000)]
)
def test_what_cannot_be_cut_out_is_refused(face: DetectedFace) -> None:
    with pytest.raises(ValueError, match=r"give no alignment|outside the picture"):
        crop_face(_picture(), face, [])
