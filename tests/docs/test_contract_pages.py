"""The pages of the contracts leave nothing out that the documents say."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.contract_pages import http_page, kafka_page

DOCS = Path(__file__).resolve().parents[2] / "docs"
EVENTS: dict[str, Any] = json.loads((DOCS / "asyncapi.json").read_text(encoding="utf-8"))
API: dict[str, Any] = json.loads((DOCS / "openapi.json").read_text(encoding="utf-8"))


def field_names(schema: Any) -> Iterator[str]:
    """Every name of a field in a schema, at any depth."""
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        for part in schema.values():
            yield from field_names(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from field_names(part)


def test_each_topic_and_each_field_of_each_event_is_on_the_page_of_kafka() -> None:
    page = kafka_page(EVENTS)
    for channel in EVENTS["channels"].values():
        assert f"| `{channel['address']}` | " in page
    fields = set(re.findall(r"^\| `(?:[\w.\[\]]+\.)?(\w+)` \|", page, re.MULTILINE))
    for name, message in EVENTS["components"]["messages"].items():
        assert f"`{name}`" in page
        data = message.get("payload", {}).get("properties", {}).get("data", {})
        assert set(field_names(data)) <= fields, name


@pytest.mark.parametrize("path", API["paths"])
def test_each_operation_is_on_the_page_of_http(path: str) -> None:
    page = http_page(API)
    for method, operation in API["paths"][path].items():
        section = page.partition(f"### `{method.upper()} {path}`\n")[2].partition("\n### ")[0]
        assert operation["summary"] in section
        for status in operation["responses"]:
            assert f"\n| {status} | " in section
        for parameter in operation["parameters"]:
            assert f"| `{parameter['name']}` | {parameter['in']}" in section
