"""Canonical JSON (RFC 8785): one value, one sequence of bytes, so that a hash of it means something."""

import json
import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

_WORD: Final = json.encoder.encode_basestring
"""What an encoder with `ensure_ascii=False` calls for a text: every text of every entry goes through it."""

_CONSTANTS: Final[Mapping[bool | None, str]] = MappingProxyType({None: "null", True: "true", False: "false"})


def canonical_json(value: Any) -> bytes:
    """The value as RFC 8785 writes it, in UTF-8.

    Raises ValueError for what it cannot hold: NaN, infinities, integers that are no IEEE 754 double, lone surrogates,
    keys that are not text, other types.
    """
    return _text(value).encode("utf-8")  # a lone surrogate fails here, and UnicodeEncodeError is a ValueError


def _text(value: Any) -> str:
    match value:
        case str():
            return _WORD(value)
        case None | bool():
            return _CONSTANTS[value]
        case int():
            return _integer(value)
        case float():
            return _number(value)
        case dict() | Mapping():
            return "{" + ",".join([f"{_WORD(key)}:{_text(value[key])}" for key in _sorted_keys(value)]) + "}"
        case list() | tuple() | Sequence() if not isinstance(value, bytes | bytearray):
            return "[" + ",".join(_text(item) for item in value) + "]"
    message = f"{type(value).__name__} has no canonical JSON"
    raise ValueError(message)


def _sorted_keys(mapping: Mapping[Any, Any]) -> list[str]:
    """Section 3.2.3: keys are sorted by their UTF-16 code units."""
    if not all(isinstance(key, str) for key in mapping):
        message = "a key that is not text has no canonical JSON"
        raise ValueError(message)
    if all(map(str.isascii, mapping)):  # where the order of code units is the usual one
        return sorted(mapping)
    return sorted(mapping, key=lambda key: key.encode("utf-16-be"))


def _integer(value: int) -> str:
    """A reader takes every number for a double (RFC 7493, section 2.2): what it would read has to be the same."""
    written = str(int(value))
    if abs(value) >= 2**53 and (abs(value) >= 2**1023 or _number(float(value)) != written):
        message = "an integer that a double cannot hold has no canonical JSON"
        raise ValueError(message)
    return written


def _number(value: float) -> str:
    """Section 3.2.2.3: as ECMAScript writes a number. repr gives the same shortest digits, laid out differently."""
    if not math.isfinite(value):
        message = "a number that is not finite has no canonical JSON"
        raise ValueError(message)
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    digits, point = _decimal(abs(value))
    if len(digits) <= point <= 21:
        return sign + digits + "0" * (point - len(digits))
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{fraction}e{point - 1:+d}"


def _decimal(value: float) -> tuple[str, int]:
    """The shortest significant digits of a positive number, and the place of the decimal point before them."""
    mantissa, _, exponent = repr(value).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    leading_zeros = len(whole + fraction) - len(digits)
    point = len(whole) - leading_zeros + int(exponent or 0)
    return digits.rstrip("0"), point
