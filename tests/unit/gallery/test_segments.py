"""The content of a segment is read under the header that it was written with, or not at all."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcc_bridge.errors import IntegrityError
from rtcc_bridge.gallery.segments import SegmentHeader, SegmentPlaces, decode_segment, encode_segment
from rtcc_bridge.matching.stored_templates import StoredTemplates, TemplateRoom

HEADER = SegmentHeader("city", "seg-1", "ab" * 32, rows=3, template_length=5)


def put(header: SegmentHeader, room: TemplateRoom, data: bytes) -> None:
    """As the vault does."""
    places = SegmentPlaces(header, room, len(data))
    for place in places.in_order:
        place.cast("B")[:] = data[: place.nbytes]
        data = data[place.nbytes :]
    assert not data
    places.settle()


def stored(rows: int, length: int) -> StoredTemplates:
    generator = np.random.default_rng(rows)
    planes = generator.integers(-127, 128, (2, rows, length)).astype(np.int8)
    return StoredTemplates(planes[0], planes[1], generator.random(rows, np.float32))


ROWS = stored(3, 5)


@given(rows=st.integers(0, 20), length=st.integers(1, 40), name=st.text(max_size=20))
def test_rows_come_back_as_they_were(rows: int, length: int, name: str) -> None:
    header = SegmentHeader(name, "seg", "ab" * 32, rows, length)
    values = stored(rows, length)
    back = decode_segment(header, encode_segment(header, values))
    assert np.array_equal(back.high, values.high)
    assert np.array_equal(back.low, values.low)
    assert np.array_equal(back.scales, values.scales)


def test_rows_that_go_to_their_place_are_as_they_were() -> None:
    room = TemplateRoom.of(5, 5)
    before, after = room.part(0, 1), room.part(4, 5)
    for other in (before, after):
        other.put(stored(1, 5), np.array([0]))
    put(HEADER, room.part(1, 4), encode_segment(HEADER, ROWS))
    found = room.filled()
    for rows, values in (([1, 2, 3], ROWS), ([0], stored(1, 5)), ([4], stored(1, 5))):
        part = found.take(np.array(rows))
        assert np.array_equal(part.high, values.high)
        assert np.array_equal(part.low, values.low)
        assert np.array_equal(part.scales, values.scales)


@pytest.mark.parametrize(
    "other",
    [
        replace(HEADER, gallery="other"),
        replace(HEADER, segment_id="seg-2"),
        replace(HEADER, template_hash="cd" * 32),
        replace(HEADER, rows=5, template_length=3),
        replace(HEADER, rows=2),
    ],
)
def test_a_segment_of_another_header_is_refused(other: SegmentHeader) -> None:
    with pytest.raises(IntegrityError, match="other rows"):
        decode_segment(other, encode_segment(HEADER, ROWS))
    with pytest.raises(IntegrityError, match="other rows"):
        put(other, TemplateRoom.of(other.rows, other.template_length), encode_segment(HEADER, ROWS))


def test_a_truncated_or_longer_segment_is_refused() -> None:
    data = encode_segment(HEADER, ROWS)
    for bad in (data[:-1], data + b"\0", data[:-20], b""):
        with pytest.raises(IntegrityError):
            decode_segment(HEADER, bad)
        with pytest.raises(IntegrityError):
            put(HEADER, TemplateRoom.of(3, 5), bad)


def test_what_the_header_does_not_describe_is_not_written() -> None:
    with pytest.raises(ValueError, match="not what the header says"):
        encode_segment(HEADER, stored(2, 5))
