"""JSON from outside: only what every later stage (database, feed, other systems) can hold is let in."""

import json
import math
from typing import Any, Final, NoReturn

from rtcc_bridge.errors import InvalidInputError

MAX_DEPTH: Final = 32
MAX_INTEGER: Final = 2**63 - 1
"""What 64-bit consumers and databases can hold."""


def read_json(content: bytes) -> Any:
    """The value that the bytes hold.

    Raises InvalidInputError for anything that is not one JSON text in UTF-8 (RFC 8259), and for what that standard
    leaves open and readers disagree about: a name twice in one object, NaN and infinity, integers beyond 64 bits,
    half surrogate pairs and NUL in text, more than 32 levels.
    """
    try:
        value = json.loads(
            content.decode("utf-8"),
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_float=_float,
            parse_int=_integer,
        )
    except UnicodeDecodeError as error:
        raise _refused(f"is not UTF-8: {error.reason} at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise _refused(f"is not JSON: {error.msg} at character {error.pos}") from error
    except RecursionError as error:
        raise _too_deep() from error
    _check_tree(value)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _refused("has a name twice in one object")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise _refused(f"holds {name}, which JSON has not")


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _refused("holds a number that is too large")
    return number


def _integer(text: str) -> int:
    if len(text) > 20 or abs(number := int(text)) > MAX_INTEGER:
        raise _refused("holds an integer beyond 64 bits")
    return number


def _check_tree(root: Any) -> None:
    pending: list[tuple[Any, int]] = [(root, 1)]
    while pending:
        value, depth = pending.pop()
        if depth > MAX_DEPTH:
            raise _too_deep()
        if isinstance(value, dict):
            pending.extend((part, depth + 1) for pair in value.items() for part in pair)
        elif isinstance(value, list):
            pending.extend((part, depth + 1) for part in value)
        elif isinstance(value, str):
            _check_text(value)


def _check_text(text: str) -> None:
    if "\x00" in text:
        raise _refused("holds a NUL character, which PostgreSQL cannot store")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise _refused("holds half of a surrogate pair") from error


def _too_deep() -> InvalidInputError:
    return _refused(f"is nested deeper than {MAX_DEPTH} levels")


def _refused(what: str) -> InvalidInputError:
    return InvalidInputError(f"the text {what}", reason="not_json")
