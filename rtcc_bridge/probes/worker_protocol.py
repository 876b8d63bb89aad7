"""How the parent and a sandboxed worker talk over two pipes: what the bytes are and how the fields are read.

A worker that a hostile picture has taken over may answer anything. So the parent reads lengths first and refuses what
is larger than the question allows, and then parses nothing but JSON of bounded size and raw bytes.

    request  = u32 length, JSON, then chunks: (u32 length, bytes)..., then u32 0 (end) or u32 0xFFFFFFFF (given up)
    answer   = u32 length of the JSON, u32 length of the body, JSON, body

Integers are big-endian. An upload that is given up gets no answer.
"""

import json
import math
import re
import struct
from collections.abc import Sequence
from typing import Final, NoReturn, cast

MAX_REQUEST_JSON_BYTES: Final = 256 * 1024
MAX_ANSWER_JSON_BYTES: Final = 2 * 1024 * 1024
CHUNK_BYTES: Final = 256 * 1024
END_OF_UPLOAD: Final = 0
UPLOAD_GIVEN_UP: Final = 0xFFFF_FFFF

LENGTH: Final = struct.Struct("!I")
ANSWER_LENGTHS: Final = struct.Struct("!II")

_WORD: Final = re.compile(r"[a-z][a-z0-9_]{0,47}")


class ProtocolError(Exception):
    """The other side said something that is not part of the protocol. It is not listened to any further."""


def encode_json(fields: object, limit: int = MAX_ANSWER_JSON_BYTES) -> bytes:
    """JSON as bytes; ProtocolError where it is longer than the other side would read."""
    encoded = json.dumps(fields, allow_nan=False, separators=(",", ":")).encode()
    if len(encoded) > limit:
        raise ProtocolError(f"{len(encoded)} bytes of JSON, {limit} are allowed")
    return encoded


def decode_json(data: bytes) -> "Fields":
    """The object in `data`, whose size the caller has bounded; ProtocolError where it is not a JSON object."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"not JSON: {type(error).__name__}") from error
    return Fields(value, "message")


class Fields:
    """One JSON object, read strictly: each field by name, type and range. Every method raises ProtocolError.

    `end` has to be called last; what nobody asked for is an error as well.
    """

    def __init__(self, value: object, where: str) -> None:
        self._where = where
        if not isinstance(value, dict):
            self._fail("is not an object")
        self._left: dict[str, object] = dict(value)

    def _fail(self, problem: str) -> NoReturn:
        raise ProtocolError(f"{self._where} {problem}")

    def _take(self, name: str) -> object:
        if name not in self._left:
            self._fail(f"lacks {name}")
        return self._left.pop(name)

    def end(self) -> None:
        if self._left:
            self._fail(f"has {len(self._left)} unknown fields")

    def flag(self, name: str) -> bool:
        value = self._take(name)
        if not isinstance(value, bool):
            self._fail(f"{name} is not true or false")
        return value

    def whole_number(self, name: str, low: int, high: int) -> int:
        value = self._take(name)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self._fail(f"{name} is not a whole number from {low} to {high}")
        return value

    def number(self, name: str, low: float, high: float) -> float:
        return self._number(name, self._take(name), low, high)

    def word(self, name: str) -> str:
        """A short fixed word of lower-case letters, digits and underscores."""
        value = self._take(name)
        if not isinstance(value, str) or not _WORD.fullmatch(value):
            self._fail(f"{name} is not a word")
        return value

    def text(self, name: str, limit: int) -> str:
        """A text of at most `limit` printable characters: it may end up on a screen and in a log."""
        value = self._take(name)
        if not isinstance(value, str) or len(value) > limit or not value.isprintable():
            self._fail(f"{name} is not a text of at most {limit} printable characters")
        return value

    def numbers(self, name: str, count: int, low: float, high: float) -> tuple[float, ...]:
        return tuple(self._number(name, value, low, high) for value in self._list(name, count, count))

    def whole_numbers(self, name: str, most: int, low: int, high: int) -> tuple[int, ...]:
        """A list of at most so many whole numbers."""
        values = self._list(name, 0, most)
        if not all(type(value) is int and low <= value <= high for value in values):
            self._fail(f"{name} holds something else than whole numbers from {low} to {high}")
        return cast("tuple[int, ...]", tuple(values))

    def texts(self, name: str, most: int, limit: int) -> tuple[str, ...]:
        listed = [Fields({"text": value}, f"{self._where}.{name}") for value in self._list(name, 0, most)]
        return tuple(entry.text("text", limit) for entry in listed)

    def objects(self, name: str, most: int) -> tuple["Fields", ...]:
        return tuple(Fields(value, f"{self._where}.{name}") for value in self._list(name, 0, most))

    def mappings(self, name: str, most: int) -> tuple[object, ...]:
        """A list of at most so many entries, for whoever reads them as strictly."""
        return tuple(self._list(name, 0, most))

    def section(self, name: str) -> "Fields":
        return Fields(self._take(name), f"{self._where}.{name}")

    def names(self, most: int) -> tuple[str, ...]:
        """The names of the fields that are left, for an object whose keys are data; at most `most`, all words."""
        names = tuple(self._left)
        if len(names) > most or not all(_WORD.fullmatch(name) for name in names):
            self._fail(f"has more than {most} names, or one that is not a word")
        return names

    def _list(self, name: str, least: int, most: int) -> Sequence[object]:
        value = self._take(name)
        if not isinstance(value, list) or not least <= len(value) <= most:
            self._fail(f"{name} is not a list of {least} to {most} entries")
        return value

    def _number(self, name: str, value: object, low: float, high: float) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            self._fail(f"{name} is not a number")
        # A whole number beyond the range of floats has to be refused before it is converted.
        if not (math.isfinite(value) if isinstance(value, float) else True) or not low <= value <= high:
            self._fail(f"{name} is not between {low} and {high}")
        return float(value)
