"""The format of a sealed object: chunks, each encrypted and authenticated, bound to its place and to the object's name.

The construction is STREAM (V. T. Hoang, R. Reyhanitabar, P. Rogaway, D. Vizár, "Online Authenticated-Encryption and its
Nonce-Reuse Misuse-Resistance", CRYPTO 2015, section 7) over AES-256-GCM: chunk i has the nonce i || last, where `last`
is 1 for the last chunk only. So chunks cannot be reordered, repeated, left out or cut off without being noticed. A
counter is a safe nonce because every object has a random key of its own, which encrypts nothing else.

Header and object key are the associated data of every chunk, so an object cannot stand in for another.
"""

import struct
from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from rtcc_bridge.errors import IntegrityError

CHUNK_BYTES: Final = 65_536
TAG_BYTES: Final = 16
_STEP: Final = CHUNK_BYTES + TAG_BYTES
_FORMAT: Final = 1
_HEADER: Final = struct.Struct(">8sII")  # magic, format, bytes per chunk
HEADER: Final = _HEADER.pack(b"RTCCSEAL", _FORMAT, CHUNK_BYTES)


def generate_key() -> bytes:
    """A new random key of 256 bits, for one object."""
    return AESGCM.generate_key(256)


def sealed_size(size_bytes: int) -> int:
    """Bytes that an object of `size_bytes` takes when it is sealed."""
    return len(HEADER) + size_bytes + TAG_BYTES * _chunk_count(size_bytes)


class Sealer:
    """Seals one object piece by piece. Holds at most one chunk back, since only the end tells which one is the last."""

    def __init__(self, key: bytes, object_key: str) -> None:
        self._cipher = AESGCM(key)
        self._associated = _associated_data(object_key)
        self._held = bytearray()
        self._position = 0
        self._begun = False

    def update(self, data: bytes | bytearray | memoryview) -> bytes:
        """Takes plain bytes in and gives the sealed bytes that are ready, perhaps none."""
        self._held += data
        ready = [self._begin()]
        whole = (len(self._held) - 1) // CHUNK_BYTES if self._held else 0
        view = memoryview(self._held)
        starts = range(0, whole * CHUNK_BYTES, CHUNK_BYTES)
        ready.extend(self._chunk(view[start : start + CHUNK_BYTES], last=False) for start in starts)
        view.release()
        del self._held[: whole * CHUNK_BYTES]
        return b"".join(ready)

    def finish(self) -> bytes:
        """The last sealed bytes. Nothing can be added afterwards."""
        return self._begin() + self._chunk(self._held, last=True)

    def _begin(self) -> bytes:
        begun, self._begun = self._begun, True
        return b"" if begun else HEADER

    def _chunk(self, plain: bytearray | memoryview, *, last: bool) -> bytes:
        sealed = self._cipher.encrypt(_nonce(self._position, last=last), plain, self._associated)
        self._position += 1
        return sealed


def unseal(key: bytes, object_key: str, sealed: memoryview) -> bytes:
    """The plain bytes. Blocks for about 70 µs a MiB.

    Raises IntegrityError when one bit differs from what was sealed under this key and name.
    """
    plain = bytearray(_plain_size(object_key, sealed))
    unseal_into(key, object_key, sealed, [memoryview(plain)])
    return bytes(plain)


def unseal_into(key: bytes, object_key: str, sealed: memoryview, places: Sequence[memoryview]) -> None:
    """Writes the plain bytes into these places, one after the other; together they are as large as the plain bytes.

    So what is large goes where it is needed, without being copied. Raises IntegrityError as `unseal`, or when the plain
    bytes are not as many as the places: whatever lies in them then is not to be used. Blocks.
    """
    size = _plain_size(object_key, sealed)
    if size != sum(place.nbytes for place in places):
        raise IntegrityError(f"{object_key} has {size} plain bytes, which is not what belongs there")
    cipher = AESGCM(key)
    associated = _associated_data(object_key)
    filling = _Filling(places)
    count = _chunk_count(size)
    for position in range(count):
        start = len(HEADER) + position * _STEP
        chunk = sealed[start : start + _STEP]
        nonce = _nonce(position, last=position == count - 1)
        try:
            place = filling.next(len(chunk) - TAG_BYTES)
            if place is None:
                filling.put(memoryview(cipher.decrypt(nonce, chunk, associated)))
            else:
                cipher.decrypt_into(nonce, chunk, associated, place)
        except InvalidTag as error:
            raise IntegrityError(
                f"{object_key} was altered, cut off, swapped or sealed under another key (chunk {position} of {count})"
            ) from error


class _Filling:
    """Places that are filled from the first byte to the last."""

    def __init__(self, places: Sequence[memoryview]) -> None:
        self._places = [place.cast("B") for place in reversed(places) if place.nbytes]

    def next(self, size: int) -> memoryview | None:
        """The next `size` bytes, filled from now on; None unless they lie together."""
        if not size or not self._places or len(self._places[-1]) < size:
            return None
        place = self._places.pop()
        if len(place) > size:
            self._places.append(place[size:])
        return place[:size]

    def put(self, plain: memoryview) -> None:
        """Copies bytes for which there is room, to wherever that lies."""
        while plain:
            size = min(len(plain), len(self._places[-1]))
            place = self.next(size)
            assert place is not None
            place[:] = plain[:size]
            plain = plain[size:]


def _plain_size(object_key: str, sealed: memoryview) -> int:
    """How many plain bytes an object of this length has. IntegrityError: no sealed object has it, or begins like it."""
    body = len(sealed) - len(HEADER)
    if body < TAG_BYTES or bytes(sealed[: len(HEADER)]) != HEADER:
        raise IntegrityError(f"{object_key} is not a sealed object of this program")
    size = body - TAG_BYTES * -(-body // _STEP)
    if sealed_size(size) != len(sealed):
        raise IntegrityError(f"{object_key} was cut off, or ends in an empty chunk, which no sealed object does")
    return size


def _chunk_count(size_bytes: int) -> int:
    return max(1, -(-size_bytes // CHUNK_BYTES))


def _nonce(position: int, *, last: bool) -> bytes:
    return position.to_bytes(11, "big") + (b"\x01" if last else b"\x00")


def _associated_data(object_key: str) -> bytes:
    return HEADER + object_key.encode()
