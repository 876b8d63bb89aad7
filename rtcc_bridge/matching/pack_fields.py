"""Reads the fields of a pack.json strictly: every field is asked for by type, and what nobody asked for is an error."""

import json
import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NoReturn

from rtcc_bridge.matching.errors import ModelPackError


def parse_json(path: Path, data: bytes) -> Any:
    """JSON in which a key may stand only once per object; ModelPackError names the file."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ModelPackError(f"{path}: a key stands twice in one object; remove one")
        return found

    try:
        return json.loads(data, object_pairs_hook=once)
    except ValueError as error:
        raise ModelPackError(
            f"{path} is not JSON: {error}; correct it or take the pack from its source again"
        ) from error


class Fields:
    """One JSON object of a pack.json. Every method raises ModelPackError naming the file and the field."""

    def __init__(self, file: Path, value: Any, name: str = "") -> None:
        self._file = file
        self._name = name
        if not isinstance(value, dict):
            self.fail(f"{name or 'the document'} has to be an object")
        self._left: dict[str, Any] = dict(value)

    @property
    def name(self) -> str:
        """Where in the document it stands; empty for the document itself."""
        return self._name

    def fail(self, problem: str) -> NoReturn:
        raise ModelPackError(f"{self._file}: {problem}")

    def _take(self, key: str) -> tuple[str, Any]:
        name = f"{self._name}.{key}" if self._name else key
        if key not in self._left:
            self.fail(f"the field {name} is missing")
        return name, self._left.pop(key)

    def section(self, key: str) -> "Fields":
        name, value = self._take(key)
        return Fields(self._file, value, name)

    def optional_section(self, key: str) -> "Fields | None":
        name, value = self._take(key)
        return None if value is None else Fields(self._file, value, name)

    def text(self, key: str, allowed: Collection[str] = ()) -> str:
        name, value = self._take(key)
        if not isinstance(value, str) or not value:
            self.fail(f"{name} has to be a text")
        if allowed and value not in allowed:
            self.fail(f"{name} is {value!r}; it has to be one of {', '.join(sorted(allowed))}")
        return value

    def optional_text(self, key: str) -> str | None:
        name, value = self._take(key)
        if value is not None and (not isinstance(value, str) or not value):
            self.fail(f"{name} has to be a text or null")
        return value

    def whole_number(self, key: str, low: int, high: int) -> int:
        name, value = self._take(key)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self.fail(f"{name} has to be a whole number from {low} to {high}")
        return value

    def flag(self, key: str) -> bool:
        name, value = self._take(key)
        if not isinstance(value, bool):
            self.fail(f"{name} has to be true or false")
        return value

    def number(self, key: str) -> float:
        name, value = self._take(key)
        if not _is_number(value):
            self.fail(f"{name} has to be a number")
        return float(value)

    def numbers(self, key: str, count: int) -> tuple[float, ...]:
        name, value = self._take(key)
        return self._numbers(name, value, count)

    def points(self, key: str, count: int) -> tuple[tuple[float, ...], ...]:
        name, value = self._take(key)
        if not isinstance(value, list) or len(value) != count:
            self.fail(f"{name} has to be a list of {count} points")
        return tuple(self._numbers(name, point, 2) for point in value)

    def _numbers(self, name: str, value: Any, count: int) -> tuple[float, ...]:
        if not isinstance(value, list) or len(value) != count or not all(map(_is_number, value)):
            self.fail(f"{name} has to hold {count} numbers")
        return tuple(float(number) for number in value)

    def texts_by_name(self, key: str, names: Collection[str] | None = None) -> Mapping[str, str]:
        """An object of texts; with `names`, it has to have exactly those keys."""
        name, value = self._take(key)
        if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
            self.fail(f"{name} has to be an object of texts")
        self._require_names(name, value, names)
        return value

    def shares_by_name(self, key: str, names: Collection[str]) -> Mapping[str, float]:
        """An object of numbers between 0 and 1 that has exactly the keys `names`."""
        name, value = self._take(key)
        if not isinstance(value, dict) or not all(_is_number(number) and 0 < number < 1 for number in value.values()):
            self.fail(f"{name} has to be an object of numbers between 0 and 1")
        self._require_names(name, value, names)
        return {part: float(number) for part, number in value.items()}

    def _require_names(self, name: str, value: dict[str, Any], names: Collection[str] | None) -> None:
        if names is not None and set(value) != set(names):
            self.fail(f"{name} has to name exactly: {', '.join(sorted(names))}")

    def end(self) -> None:
        """Every field was asked for; what is left is unknown."""
        if self._left:
            where = f" in {self._name}" if self._name else ""
            self.fail(f"unknown field{where}: {', '.join(sorted(self._left))}; remove it or correct its spelling")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
