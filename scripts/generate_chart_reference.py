"""Writes the chart's values.schema.json and README.md from the comments of its values.yaml; --check only compares.

Each value is described by the comment directly above it. A line of that comment that begins with @schema narrows what
is allowed there. What may stand under `settings` comes from the program's own settings.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel

from rtcc_bridge.settings import Settings

ROOT: Final = Path(__file__).resolve().parents[1]
CHART: Final = ROOT / "deploy/helm/rtcc-bridge"

MADE_BY_THE_CHART: Final[Mapping[str, frozenset[str]]] = {
    "KafkaSettings": frozenset(
        {"bootstrap_servers", "client_id", "group_instance_id", "security_protocol", "tls", "sasl"}
    ),
    "DatabaseSettings": frozenset({"url", "application_name"}),
    "ObjectSettings": frozenset({"url", "ledger_url", "transit_url", "transit_mount", "transit_key"}),
    "WebSettings": frozenset({"host", "port", "public_url", "trusted_proxies"}),
    "MatchingSettings": frozenset({"device"}),
    "Settings": frozenset({"operations"}),
}
"""Settings that follow from other values. Secrets and paths of the pod are left out by their kind."""

RESOURCE_LIST: Final = {"type": "object", "additionalProperties": {"type": ["string", "number"]}}
DEFINITIONS: Final[Mapping[str, Any]] = {
    "Resources": {
        "type": "object",
        "additionalProperties": False,
        "properties": {"requests": RESOURCE_LIST, "limits": RESOURCE_LIST},
    },
    "Peers": {
        "type": "array",
        "items": {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": False,
            "properties": {
                "ipBlock": {"type": "object"},
                "namespaceSelector": {"type": "object"},
                "podSelector": {"type": "object"},
            },
        },
    },
    "Ports": {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 1, "maximum": 65535}},
}

INTRODUCTION: Final = """\
<!-- Generated from values.yaml by `make docs`. Do not edit. -->

# The chart of rtcc-bridge

A Deployment for each role (web, consumer, matcher, relay), or one process with all of them on SQLite. How to install it
and what has to be there before says [docs/install-kubernetes.md](../../../docs/install-kubernetes.md).
`values-production.yaml` and `values-single-node.yaml` are to start from. Values that contradict each other are refused
with a sentence, and so are unknown ones.
"""

KINDS: Final = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}


class UndescribedError(Exception):
    """A value without a comment, or one whose type nothing tells."""


@dataclass(frozen=True, slots=True)
class Value:
    """One value of the chart. children: of a mapping that is described key by key, else None."""

    path: str
    description: str
    schema: Mapping[str, Any]
    default: Any
    children: "tuple[Value, ...] | None"


def read_values(text: str) -> tuple[Value, ...]:
    """The tree of values with their comments. Raises UndescribedError."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode)
    return tuple(_read(root, "", text.splitlines(), yaml.safe_load(text)))


def _read(node: yaml.MappingNode, above: str, lines: list[str], defaults: Mapping[str, Any]) -> Iterator[Value]:
    for key, content in node.value:
        path = f"{above}{key.value}"
        description, narrowed = _comment(path, key, lines)
        default = defaults[key.value]
        if isinstance(content, yaml.MappingNode) and not {"$ref", "additionalProperties"} & narrowed.keys():
            children = tuple(_read(content, f"{path}.", lines, default))
            yield Value(path, description, _object(children), default, children)
            continue
        yield Value(path, description, _leaf(path, default, narrowed), default, None)


def _comment(path: str, key: yaml.ScalarNode, lines: list[str]) -> tuple[str, dict[str, Any]]:
    mark = " " * key.start_mark.column + "#"
    said: list[str] = []
    number = key.start_mark.line
    while number > 0 and lines[number - 1].startswith(mark):
        number -= 1
        said.insert(0, lines[number].removeprefix(mark).strip())
    narrowed: dict[str, Any] = {}
    for line in said:
        if line.startswith("@schema "):
            narrowed |= yaml.safe_load(line.removeprefix("@schema "))
    description = " ".join(line for line in said if not line.startswith("@schema "))
    if not description:
        raise UndescribedError(f"{path} is not described: write a comment above it")
    return description, narrowed


def _object(children: tuple[Value, ...]) -> dict[str, Any]:
    properties = {
        child.path.rpartition(".")[2]: {**child.schema, "description": child.description} for child in children
    }
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _leaf(path: str, default: Any, narrowed: Mapping[str, Any]) -> dict[str, Any]:
    if "$ref" in narrowed:
        # Beside a bare $ref other words do not count in the draft that every Helm 3 knows.
        return {"allOf": [narrowed]}
    if "type" in narrowed or "enum" in narrowed:
        return dict(narrowed)
    if default is None or (default == {} and not narrowed):
        raise UndescribedError(f"{path}: nothing tells its type: write a line with @schema above it")
    return {"type": KINDS[type(default)], **narrowed}


def schema(values: tuple[Value, ...]) -> str:
    """values.schema.json: every value, and no other."""
    document = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$comment": "Generated from values.yaml by `make docs`. Do not edit.",
        "title": "Values of the chart of rtcc-bridge",
        **_object(values),
        "$defs": {**DEFINITIONS, **settings_definitions()},
    }
    document["properties"]["global"] = {"type": "object", "description": "Helm gives it to a chart within another one."}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def settings_definitions() -> dict[str, Any]:
    """What may stand under `settings`: the program's model without secrets, paths and what the chart makes itself."""
    model = Settings.model_json_schema(mode="validation")
    sections: dict[str, Any] = model.pop("$defs")
    sections["Settings"] = {name: model[name] for name in ("type", "properties", "additionalProperties")}
    bounds = dict(_upper_bounds(Settings))
    for name, section in sections.items():
        left_out = MADE_BY_THE_CHART.get(name, frozenset())
        section["properties"] = {
            key: _plain(field) | bounds.get((name, key), {})
            for key, field in section["properties"].items()
            if key not in left_out and not _is_secret_or_path(field)
        }
    whole = sections["Settings"]["properties"]
    for name in [name for name, field in whole.items() if _is_empty(sections, field)]:
        del whole[name]
    return {
        name: {"type": "object", "additionalProperties": False, "properties": sections[name]["properties"]}
        for name in sorted(set(_used(sections, "Settings")))
    }


def _upper_bounds(model: type[BaseModel]) -> Iterator[tuple[tuple[str, str], dict[str, float]]]:
    """The least of those that stand on a field: its type's own hides the others in the program's JSON Schema."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _upper_bounds(field.annotation)
        elif found := [item.le for item in field.metadata if getattr(item, "le", None) is not None]:
            yield (model.__name__, name), {"maximum": min(found)}


def _is_empty(sections: Mapping[str, Any], field: Mapping[str, Any]) -> bool:
    """Whether nothing of this section is left to be set."""
    return "allOf" in field and not sections[field["allOf"][0]["$ref"].rpartition("/")[2]]["properties"]


def _is_secret_or_path(field: Mapping[str, Any]) -> bool:
    return any(kind.get("format") in {"password", "path"} for kind in (field, *field.get("anyOf", ())))


def _plain(field: Mapping[str, Any]) -> dict[str, Any]:
    """Without titles and defaults, which are the program's to say."""
    kept = {name: value for name, value in field.items() if name not in {"title", "default", "description"}}
    return {"allOf": [kept]} if "$ref" in kept else kept


def _used(sections: Mapping[str, Any], name: str) -> Iterator[str]:
    yield name
    for field in sections[name]["properties"].values():
        for part in field.get("allOf", ()):
            yield from _used(sections, part["$ref"].rpartition("/")[2])


def readme(values: tuple[Value, ...]) -> str:
    """A table for each part of the values."""
    parts = [INTRODUCTION]
    single = [value for value in values if value.children is None]
    parts.append(_table("Values", "", single))
    parts.extend(
        _table(f"`{value.path}`", value.description, list(_leaves(value)))
        for value in values
        if value.children is not None
    )
    return "\n".join(parts).rstrip() + "\n"


def _leaves(value: Value) -> Iterator[Value]:
    for child in value.children or ():
        yield child
        yield from _leaves(child)


def _table(title: str, description: str, rows: list[Value]) -> str:
    lines = [f"## {title}", ""]
    if description:
        lines += [description, ""]
    lines += ["| value | allowed | default | meaning |", "|---|---|---|---|"]
    lines += [f"| `{row.path}` | {_allowed(row)} | {_default(row)} | {_cell(row.description)} |" for row in rows]
    return "\n".join([*lines, ""])


def _allowed(value: Value) -> str:
    if value.children is not None:
        return ""
    schema = value.schema
    if "allOf" in schema:
        return {"Settings": "settings", "Resources": "resources", "Peers": "peers", "Ports": "ports"}[
            schema["allOf"][0]["$ref"].rpartition("/")[2]
        ]
    if "enum" in schema:
        return ", ".join(f"`{json.dumps(one)}`" for one in schema["enum"])
    kind = schema["type"]
    bounds = "".join(
        f", {sign} {schema[word]}" for word, sign in (("minimum", ">="), ("maximum", "<=")) if word in schema
    )
    return (" or ".join(kind) if isinstance(kind, list) else kind) + bounds


def _default(value: Value) -> str:
    return "" if value.children is not None else f"`{_cell(json.dumps(value.default, ensure_ascii=False))}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def documents() -> dict[Path, str]:
    values = read_values((CHART / "values.yaml").read_text(encoding="utf-8"))
    return {CHART / "values.schema.json": schema(values), CHART / "README.md": readme(values)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only compare")
    only_compare = parser.parse_args().check
    stale = []
    for path, content in documents().items():
        if path.is_file() and path.read_text(encoding="utf-8") == content:
            continue
        stale.append(str(path.relative_to(ROOT)))
        if not only_compare:
            path.write_text(content, encoding="utf-8")
    if only_compare and stale:
        print("out of date, run `make docs`:", *stale, sep="\n  ")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
