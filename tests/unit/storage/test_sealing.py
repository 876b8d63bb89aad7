"""The format of sealed objects: what goes in comes out, and nothing else does."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtcc_bridge.errors import IntegrityError
from rtcc_bridge.storage.sealing import (
    CHUNK_BYTES,
    HEADER,
    TAG_BYTES,
    Sealer,
    generate_key,
    sealed_size,
    unseal,
    unseal_into,
)

KEY = bytes(range(32))
STEP = CHUNK_BYTES + TAG_BYTES


def seal(plain: bytes, key: bytes = KEY, name: str = "kind/name", pieces: int = 1) -> bytes:
    sealer = Sealer(key, name)
    size = max(1, -(-len(plain) // pieces))
    parts = [sealer.update(plain[start : start + size]) for start in range(0, len(plain), size)]
    return b"".join([*parts, sealer.finish()])


def filled(size: int) -> bytes:
    return bytes(i * 31 % 251 for i in range(size))


def refused(sealed: bytes, key: bytes = KEY, name: str = "kind/name") -> bool:
    try:
        unseal(key, name, memoryview(sealed))
    except IntegrityError:
        return True
    return False


@given(
    size=st.sampled_from([0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, 3 * CHUNK_BYTES + 7]),
    pieces=st.integers(1, 9),
)
def test_what_was_sealed_comes_back_however_it_was_cut(size: int, pieces: int) -> None:
    plain = filled(size)
    sealed = seal(plain, pieces=pieces)
    assert len(sealed) == sealed_size(size)
    assert unseal(KEY, "kind/name", memoryview(sealed)) == plain


@settings(max_examples=30)
@given(st.lists(st.integers(0, 2 * CHUNK_BYTES + 9), max_size=5), st.integers(0, CHUNK_BYTES))
def test_what_was_sealed_fills_the_places_where_it_belongs(sizes: list[int], more: int) -> None:
    sizes.append(more)
    plain = filled(sum(sizes))
    places = [bytearray(size) for size in sizes]
    unseal_into(KEY, "kind/name", memoryview(seal(plain)), [memoryview(place) for place in places])
    assert b"".join(places) == plain


def test_places_for_more_or_less_than_was_sealed_are_not_filled() -> None:
    sealed = memoryview(seal(filled(CHUNK_BYTES + 5)))
    for sizes in ([CHUNK_BYTES], [CHUNK_BYTES, 6], []):
        places = [memoryview(bytearray(size)) for size in sizes]
        with pytest.raises(IntegrityError, match="not what belongs there"):
            unseal_into(KEY, "kind/name", sealed, places)
        assert not any(map(any, places))


@pytest.mark.parametrize("size", [5, CHUNK_BYTES, 3 * CHUNK_BYTES])
def test_a_changed_bit_is_noticed_wherever_the_bytes_go(size: int) -> None:
    for position in (len(HEADER), -1):
        sealed = bytearray(seal(filled(size)))
        sealed[position] ^= 1
        for cut in (0, 3, size):
            places = [memoryview(bytearray(cut)), memoryview(bytearray(size - cut))]
            with pytest.raises(IntegrityError, match="altered"):
                unseal_into(KEY, "kind/name", memoryview(sealed), places)


@given(st.binary(max_size=300), st.data())
def test_one_changed_bit_is_noticed(plain: bytes, data: st.DataObject) -> None:
    sealed = bytearray(seal(plain))
    position = data.draw(st.integers(0, len(sealed) - 1))
    sealed[position] ^= 1 << data.draw(st.integers(0, 7))
    assert refused(bytes(sealed))


@given(st.binary(max_size=2000))
def test_bytes_that_nobody_sealed_are_refused(data: bytes) -> None:
    assert refused(data)
    assert refused(HEADER + data)


def test_a_cut_at_a_chunk_boundary_is_noticed() -> None:
    sealed = seal(filled(3 * CHUNK_BYTES))
    for chunks in range(3):
        assert refused(sealed[: len(HEADER) + chunks * STEP])
    assert refused(sealed[:-1])
    assert refused(sealed + b"\0")


def test_chunks_out_of_order_repeated_or_left_out_are_noticed() -> None:
    sealed = seal(filled(3 * CHUNK_BYTES + 5))
    header, body = sealed[: len(HEADER)], sealed[len(HEADER) :]
    chunks = [body[start : start + STEP] for start in range(0, len(body), STEP)]
    assert not refused(header + b"".join(chunks))
    for order in ([1, 0, 2, 3], [0, 0, 2, 3], [0, 2, 3], [0, 1, 2, 2, 3]):
        assert refused(header + b"".join(chunks[number] for number in order))


def test_a_whole_last_chunk_cannot_be_given_an_empty_successor() -> None:
    """Otherwise one plain text would have two sealed forms."""
    sealer = Sealer(KEY, "kind/name")
    sealed = sealer.update(filled(CHUNK_BYTES + 1))[: len(HEADER) + STEP]
    forger = Sealer(KEY, "kind/name")
    forger._position = 1
    forger._begun = True
    assert refused(sealed + forger.finish())


def test_objects_cannot_stand_in_for_each_other() -> None:
    sealed = seal(b"picture", name="kind/a")
    assert refused(sealed, name="kind/b")
    assert refused(sealed, key=bytes(32), name="kind/a")


def test_the_same_bytes_look_different_in_every_object_and_nothing_plain_shows() -> None:
    plain = b"face" * 100
    first, second = seal(plain, generate_key()), seal(plain, generate_key())
    assert first[len(HEADER) :] != second[len(HEADER) :]
    assert b"face" not in first


def test_a_sealer_holds_back_no_more_than_a_chunk() -> None:
    sealer = Sealer(KEY, "kind/name")
    ready = sealer.update(filled(10 * CHUNK_BYTES))
    assert len(ready) == len(HEADER) + 9 * STEP


def test_the_refusal_names_the_object_and_the_chunk() -> None:
    sealed = bytearray(seal(filled(2 * CHUNK_BYTES)))
    sealed[-1] ^= 1
    with pytest.raises(IntegrityError, match=r"kind/name .*chunk 1 of 2"):
        unseal(KEY, "kind/name", memoryview(bytes(sealed)))
