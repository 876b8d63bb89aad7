"""What a policy says, and what one says otherwise than another: field by field, in words."""

from collections.abc import Iterator, Mapping, Set
from datetime import date
from typing import Any

from pydantic import BaseModel

from rtcc_bridge.policy.policy_file import Policy

_ABOUT_THE_FILE = frozenset({"format", "hash"})


def differences(old: Policy, new: Policy) -> list[str]:
    """One line a field, in the order of the file; empty when only comments differ."""
    return list(_of_parts("", old, new))


def in_words(policy: Policy) -> list[tuple[str, str, str]]:
    """(field, value, meaning) of each field, in the order of the file; an empty meaning where the field tells it."""
    return list(_told("", policy))


def _told(path: str, part: BaseModel) -> Iterator[tuple[str, str, str]]:
    for name, field in type(part).model_fields.items():
        place, value = (f"{path}.{name}" if path else name), getattr(part, name)
        if isinstance(value, BaseModel):
            yield from _told(place, value)
        elif isinstance(value, Mapping):
            yield from ((f"{place}.{_words(key)}", _words(one), "") for key, one in value.items())
        elif path or name not in _ABOUT_THE_FILE:
            yield place, _words(value), field.description or ""


def _of_parts(path: str, old: BaseModel, new: BaseModel) -> Iterator[str]:
    for name, field in type(new).model_fields.items():
        if path == "" and name == "hash":
            continue
        place = f"{path}.{name}" if path else name
        yield from _of_values(place, getattr(old, name), getattr(new, name), field.description)


def _of_values(place: str, old: Any, new: Any, description: str | None) -> Iterator[str]:
    if old == new:
        return
    if isinstance(old, BaseModel) and isinstance(new, BaseModel):
        yield from _of_parts(place, old, new)
    elif isinstance(old, Mapping) and isinstance(new, Mapping):
        yield from _of_mappings(place, old, new)
    elif isinstance(old, Set) and isinstance(new, Set):
        yield from (f"{place}: no longer {_words(item)}" for item in sorted(old - new))
        yield from (f"{place}: also {_words(item)}" for item in sorted(new - old))
    elif new is None or old is None:
        told = "no longer there" if new is None else f"new, {_words(new)}"
        yield _explained(f"{place}: {told}", description)
    else:
        yield _explained(f"{place}: from {_words(old)} to {_words(new)}", description)


def _of_mappings(place: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for key in sorted({*old, *new}):
        where = f"{place}.{_words(key)}"
        if key not in new:
            yield f"{where}: no longer there"
        elif key not in old:
            yield f"{where}: new, {_words(new[key])}"
        else:
            yield from _of_values(where, old[key], new[key], None)


def _explained(line: str, description: str | None) -> str:
    return line if description is None else f"{line}. {description}"


def _words(value: Any) -> str:
    match value:
        case Set() | tuple() | None if not value:
            return "none"
        case BaseModel():
            return ", ".join(f"{name} {_words(getattr(value, name))}" for name in type(value).model_fields)
        case Set():
            return f"[{', '.join(sorted(map(_words, value)))}]"
        case tuple():
            return f"[{', '.join(map(_words, value))}]"
        case date():
            return value.isoformat()
    return str(value)
