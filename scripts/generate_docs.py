"""Writes the documents that are generated from the code; with --check it only says which of them are out of date."""

import argparse
import inspect
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from deploy.monitoring import documents as monitoring
from rtcc_bridge.asyncapi import asyncapi_document
from rtcc_bridge.cli import main as cli
from rtcc_bridge.leads.schemas import lead_schemas
from rtcc_bridge.metric_kinds import NAMED_ELSEWHERE
from rtcc_bridge.metrics import PROCESS_METRICS, Metrics
from rtcc_bridge.settings import ENVIRONMENT_PREFIX, Settings
from rtcc_bridge.topic_schemas import topic_data_schemas
from rtcc_bridge.web.openapi import openapi_document
from scripts.contract_pages import http_page, kafka_page

ROOT = Path(__file__).resolve().parents[1]
GENERATED = monitoring.GENERATED


def configuration() -> str:
    """A table for each section of the settings."""
    parts = [
        GENERATED,
        "# Configuration\n\n",
        "A settings file is YAML with these sections. Unknown keys are errors. Every value can be overridden by an\n",
        f"environment variable: `{ENVIRONMENT_PREFIX}<SECTION>__<SETTING>`. `rtcc-bridge check-config` tells what is\n",
        "wrong with a file.\n\n",
    ]
    parts.extend(_section("", Settings))
    return "".join(parts)


def _section(path: str, model: type[BaseModel]) -> Iterator[str]:
    rows = []
    nested: list[tuple[str, type[BaseModel]]] = []
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            nested.append((f"{path}{name}", kind))
            continue
        rows.append(f"| `{path}{name}` | {_kind(field)} | {_default(field)} | {_cell(field.description or '')} |\n")
    if path:
        yield f"## {path.removesuffix('.')}\n\n{inspect.cleandoc(model.__doc__ or '')}\n\n"
    if rows:
        yield "| setting | type and bounds | default | meaning |\n|---|---|---|---|\n"
        yield from rows
        yield "\n"
    for name, section in nested:
        yield from _section(f"{name}.", section)


def _kind(field: FieldInfo) -> str:
    bounds: list[str] = []
    name = _type_name(field.annotation, bounds)
    bounds += _bounds(field.metadata)
    return _cell(", ".join([f"`{name}`", *bounds]))


def _type_name(kind: Any, bounds: list[str]) -> str:
    """The type as one would write it. The bounds that it brings itself are added to `bounds`."""
    if get_origin(kind) is Annotated:
        bare, *notes = get_args(kind)
        for note in notes:
            bounds += _bounds(note.metadata if isinstance(note, FieldInfo) else [note])
        return _type_name(bare, bounds)
    if get_origin(kind) in {Union, UnionType}:
        return " | ".join(_type_name(one, bounds) for one in get_args(kind))
    if kind is NoneType:
        return "None"
    name = str(kind) if not isinstance(kind, type) or get_args(kind) else kind.__name__
    for module in ("typing.", "pathlib._local.", "pathlib.", "pydantic.types."):
        name = name.replace(module, "")
    return name


def _bounds(notes: Sequence[Any]) -> Iterator[str]:
    for note in notes:
        for word, sign in (("gt", ">"), ("ge", ">="), ("lt", "<"), ("le", "<=")):
            if (bound := getattr(note, word, None)) is not None:
                yield f"{sign} {bound:g}"


def _default(field: FieldInfo) -> str:
    value: Any = field.get_default(call_default_factory=True)
    if hasattr(value, "get_secret_value"):
        value = value.get_secret_value()
    if isinstance(value, Path):
        value = str(value)
    return _cell(f"`{json.dumps(value, ensure_ascii=False)}`")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def metrics() -> str:
    """A row for each metric, and the dashboards that show it."""
    lines = [
        GENERATED,
        "# Metrics\n\n",
        "Served at `/metrics` in Prometheus's text format, and as OpenMetrics to a scraper that asks for it: there\n",
        "slow observations bear the id of their trace. Times are seconds. What a label may say comes from a closed\n",
        "list, or from where the table says; what is on no list counts as `other`. The dashboards are shown in\n",
        "[Dashboards](dashboards.md).\n\n",
        "| metric | kind | labels | meaning | dashboards |\n|---|---|---|---|---|\n",
    ]
    for row in Metrics().help:
        labels = "<br>".join(_label(name, values) for name, values in row.labels.items())
        shown = ", ".join(monitoring.shown_on(row.name))
        lines.append(f"| `{row.name}` | {row.kind} | {labels} | {_cell(row.text)} | {shown} |\n")
    for name, text in PROCESS_METRICS.items():
        kind = "counter" if name.endswith("_total") else "gauge"
        lines.append(f"| `{name}` | {kind} |  | {text} | {', '.join(monitoring.shown_on(name))} |\n")
    return "".join(lines)


def _label(name: str, values: tuple[str, ...] | None) -> str:
    if values is None:
        return f"`{name}`: {NAMED_ELSEWHERE[name]}"
    shown = ", ".join(values) if len(values) < 12 else f"{values[0]} to {values[-1]}, {len(values)} words"
    return f"`{name}`: {shown}"


def command_line() -> str:
    """The help text of each command."""
    parts = [GENERATED, "# Command line\n\n"]
    parts.extend(_command_help(cli, "rtcc-bridge", None))
    return "".join(parts)


def _command_help(command: click.Command, name: str, parent: click.Context | None) -> Iterator[str]:
    context = click.Context(
        command,
        info_name=name.rsplit(maxsplit=1)[-1],
        parent=parent,
        terminal_width=100,
        **(cli.context_settings if parent is None else {}),
    )
    yield f"## `{name}`\n\n```text\n{command.get_help(context)}\n```\n\n"
    if isinstance(command, click.Group):
        for child_name in command.list_commands(context):
            child = command.get_command(context, child_name)
            if child is not None:
                yield from _command_help(child, f"{name} {child_name}", context)


def documents() -> dict[str, str]:
    """Every generated document by its path."""
    events, api = asyncapi_document(Settings()), openapi_document()
    files = {
        "docs/configuration.md": configuration(),
        "docs/metrics.md": metrics(),
        "docs/command-line.md": command_line().rstrip() + "\n",
        "docs/kafka.md": GENERATED + kafka_page(events).rstrip() + "\n",
        "docs/http.md": GENERATED + http_page(api).rstrip() + "\n",
        "docs/asyncapi.json": _json(events),
        "docs/openapi.json": _json(api),
    }
    files |= monitoring.documents()
    for name, schema in (lead_schemas() | topic_data_schemas()).items():
        files[f"docs/schemas/{name}.json"] = _json(schema)
    return files


def _json(document: Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only compare")
    only_compare = parser.parse_args().check
    stale = []
    expected = documents()
    folders = ("docs/schemas", monitoring.DASHBOARDS_FOLDER)
    there = {str(path.relative_to(ROOT)) for folder in folders for path in (ROOT / folder).glob("*.json")}
    left_over = there - expected.keys()
    for name, content in expected.items():
        path = ROOT / name
        if path.is_file() and path.read_text(encoding="utf-8") == content:
            continue
        stale.append(name)
        if not only_compare:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
    if not only_compare:
        for name in left_over:
            (ROOT / name).unlink()
    if only_compare and (stale or left_over):
        print("out of date, run `make docs`:", *stale, *sorted(left_over), sep="\n  ")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
