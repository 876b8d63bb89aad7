"""What becomes of uploads: pictures turn into upright RGB, everything else into a refusal with a reason."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rtcc_bridge.matching.decode import DecodeLimits, decode, exif_orientation
from rtcc_bridge.matching.errors import UnreadableImageError
from tests.unit.matching.pictures import encoded, gradient

_LIMITS = DecodeLimits()


def _reason(data: bytes, limits: DecodeLimits = _LIMITS) -> str:
    with pytest.raises(UnreadableImageError) as caught:
        decode(data, limits)
    assert len(str(caught.value)) > 20
    return caught.value.reason


@pytest.mark.parametrize(("image_format", "options"), [("PNG", {}), ("WEBP", {"lossless": True})])
def test_lossless_pictures_come_back_unchanged(image_format: str, options: dict[str, Any]) -> None:
    np.testing.assert_array_equal(decode(encoded(gradient(), image_format, **options)), gradient())


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 2}])
def test_a_jpeg_comes_back_nearly_unchanged(options: dict[str, Any]) -> None:
    found = decode(encoded(gradient(), "JPEG", quality=95, **options))
    assert np.abs(found.astype(int) - gradient()).max() < 40


def test_a_lossy_webp_is_read() -> None:
    found = decode(encoded(gradient(), "WEBP", quality=90))
    assert np.abs(found.astype(int) - gradient()).mean() < 6


def test_the_result_is_plain_pixels() -> None:
    found = decode(encoded(gradient()))
    assert found.dtype == np.uint8
    assert found.flags.c_contiguous
    assert found.flags.writeable


def test_greyscale_one_bit_and_palette_become_rgb() -> None:
    picture = Image.fromarray(gradient())
    for mode in ("L", "1", "P"):
        converted = picture.convert(mode)
        np.testing.assert_array_equal(decode(encoded(converted)), np.array(converted.convert("RGB")))


def test_sixteen_bits_are_scaled_to_eight() -> None:
    deep = np.array([[0, 257, 32_896, 65_535]], np.uint16)
    assert decode(encoded(Image.fromarray(deep)))[0, :, 0].tolist() == [0, 1, 128, 255]


def test_transparent_pixels_show_a_neutral_grey() -> None:
    pixels = np.zeros((1, 3, 4), np.uint8)
    pixels[0, 1] = (200, 0, 0, 255)
    pixels[0, 2] = (255, 255, 255, 128)
    found = decode(encoded(Image.fromarray(pixels, "RGBA")))
    assert found[0, 0].tolist() == [128] * 3
    assert found[0, 1].tolist() == [200, 0, 0]
    assert 190 <= found[0, 2, 0] <= 193


def test_a_transparent_palette_entry_shows_a_neutral_grey() -> None:
    picture = Image.new("P", (2, 1))
    picture.putpalette([255, 0, 0, 0, 255, 0])
    picture.putpixel((1, 0), 1)
    for transparency in (0, b"\x00\xff"):
        found = decode(encoded(picture, transparency=transparency))
        assert found.tolist() == [[[128, 128, 128], [0, 255, 0]]]


def test_cmyk_is_converted_whether_adobe_wrote_it_or_not() -> None:
    """Pillow writes the Adobe marker and inverted ink; without the marker the same bytes mean the opposite."""
    ink = Image.new("CMYK", (32, 32), (0, 255, 255, 0))
    data = encoded(ink, "JPEG", quality=95)
    red = decode(data)[16, 16]
    assert red[0] > 240
    assert red[1] < 15
    start = data.index(b"\xff\xee")
    (length,) = struct.unpack_from(">H", data, start + 2)
    assert data[start + 4 : start + 9] == b"Adobe"
    without_marker = data[:start] + data[start + 2 + length :]
    assert decode(without_marker)[16, 16].max() < 15


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_undone(image_format: str, orientation: int) -> None:
    """Pillow's own `exif_transpose` is the peer."""
    from PIL import ImageOps  # noqa: PLC0415

    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, Any] = {"lossless": True} if image_format == "WEBP" else {}
    data = encoded(gradient(), image_format, exif=exif, **options)
    with Image.open(io.BytesIO(data)) as picture:
        expected = np.array(ImageOps.exif_transpose(picture))
    np.testing.assert_array_equal(decode(data), expected)


@given(st.binary(max_size=80))
def test_damaged_exif_means_upright(exif: bytes) -> None:
    assert 1 <= exif_orientation(exif) <= 8
    assert 1 <= exif_orientation(b"Exif\0\0II*\0" + exif) <= 8


def test_exif_of_the_other_byte_order_is_read() -> None:
    tiff = b"MM\0*" + struct.pack(">IHHHIHH", 8, 1, 0x0112, 3, 1, 6, 0)
    assert exif_orientation(b"Exif\0\0" + tiff) == 6


@pytest.mark.parametrize("data", [b"", b"\xff", b"just text in a file named .jpg", b"\0" * 100, b"RIFF\0\0\0\0WAVE"])
def test_what_is_no_picture(data: bytes) -> None:
    assert _reason(data) == "not_an_image"


def test_a_tiff_of_500_pages_is_refused_by_its_first_bytes() -> None:
    page = Image.fromarray(gradient())
    data = encoded(page, "TIFF", save_all=True, append_images=[page] * 499)
    assert len(data) > 500 * 40 * 60
    assert _reason(data) == _reason(data[:4]) == "unsupported_format"


@pytest.mark.parametrize("image_format", ["GIF", "BMP", "TIFF"])
def test_other_formats_are_named(image_format: str) -> None:
    with pytest.raises(UnreadableImageError, match=f"this is {image_format}: save it as JPEG") as caught:
        decode(encoded(gradient(), image_format))
    assert caught.value.reason == "unsupported_format"


@pytest.mark.parametrize(("brand", "name"), [(b"heic", "HEIC"), (b"avif", "AVIF"), (b"isom", "a video")])
def test_containers_are_named(brand: bytes, name: str) -> None:
    with pytest.raises(UnreadableImageError, match=f"this is {name}"):
        decode(b"\0\0\0\x18ftyp" + brand + bytes(40))


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.995])
def test_a_truncated_picture_is_refused_wherever_it_ends(image_format: str, share: float) -> None:
    noise = np.random.default_rng(6).integers(0, 256, (64, 64, 3), np.uint8)
    data = encoded(noise, image_format)
    assert _reason(data[: int(len(data) * share)]) == "truncated"


def test_too_many_bytes() -> None:
    data = encoded(gradient())
    assert _reason(data, DecodeLimits(max_bytes=len(data) - 1)) == "too_large"
    decode(data, DecodeLimits(max_bytes=len(data)))


def test_too_many_pixels() -> None:
    data = encoded(gradient(10, 10))
    assert _reason(data, DecodeLimits(max_pixels=99)) == "too_many_pixels"
    decode(data, DecodeLimits(max_pixels=100))


def _png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _png(width: int, height: int, *chunks: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _png_chunk(b"IHDR", header) + b"".join(chunks) + _png_chunk(b"IEND", b"")


def _webp_canvas(width: int, height: int, flags: int = 0) -> bytes:
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    chunk = b"WEBPVP8X" + struct.pack("<I", 10) + bytes([flags, 0, 0, 0]) + size
    return b"RIFF" + struct.pack("<I", len(chunk)) + chunk


def _jpeg_frame(width: int, height: int) -> bytes:
    return b"\xff\xd8\xff\xc0" + struct.pack(">HBHHB", 17, 8, height, width, 3) + bytes(9) + b"\xff\xd9"


@pytest.mark.parametrize(
    "bomb",
    [
        _png(200_000, 200_000, _png_chunk(b"IDAT", zlib.compress(bytes(1000)))),
        _webp_canvas(16_383, 16_383),
        _jpeg_frame(65_500, 65_500),
    ],
)
def test_a_decompression_bomb_is_refused_by_its_header(bomb: bytes) -> None:
    assert _reason(bomb) == "too_many_pixels"


@pytest.mark.parametrize("image_format", ["PNG", "WEBP"])
def test_animated_pictures_are_refused(image_format: str) -> None:
    frames = [Image.fromarray(gradient()), Image.fromarray(255 - gradient())]
    data = encoded(frames[0], image_format, save_all=True, append_images=frames[1:], duration=100)
    assert _reason(data) == "animated"


def test_of_several_pictures_in_one_jpeg_the_first_is_taken() -> None:
    others = [Image.fromarray(255 - gradient())]
    data = encoded(Image.fromarray(gradient()), "MPO", save_all=True, append_images=others, quality=95)
    assert np.abs(decode(data).astype(int) - gradient()).mean() < 10


@pytest.mark.parametrize(
    "data",
    [
        _png(0, 10),
        _png(4, 4, _png_chunk(b"IDAT", b"not deflated")),
        b"\xff\xd8\xff\xe0\0\x04ab" + bytes(100),
        b"\xff\xd8\xff\xda" + bytes(100),
        _webp_canvas(10, 10),
        _jpeg_frame(10, 10),
    ],
)
def test_damaged_pictures_are_refused(data: bytes) -> None:
    assert _reason(data) in {"corrupt", "truncated"}


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["JPEG", "PNG", "WEBP"]), st.data())
def test_whatever_the_bytes_the_answer_is_pixels_or_a_refusal(image_format: str, data: st.DataObject) -> None:
    content = bytearray(encoded(gradient(), image_format))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = decode(bytes(content), DecodeLimits(max_pixels=100_000))
    except UnreadableImageError:
        return
    assert found.dtype == np.uint8
    assert found.shape[2] == 3
