"""The pages of the two contracts, for people: what the AsyncAPI and the OpenAPI document say, as tables."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

Json = Mapping[str, Any]

_CHOICE: Final = re.compile(r"\^\(([A-Za-z|]+)\)\$")
"""A pattern that is nothing but a list of words."""
_BOUNDS: Final = (("minimum", "from"), ("maximum", "to"), ("maxLength", "at most"))

_KAFKA_HEAD = """# Kafka contract

What other systems send and get. It is the readable side of [asyncapi.json](asyncapi.json) (AsyncAPI 3); the JSON
Schema of each event's `data`, to validate against, lies in `docs/schemas` and is served at
`/api/v1/schemas/NAME.json`.

Every value is a CloudEvents 1.0 event. What is read may come in structured mode (`application/cloudevents+json`) or
in binary mode (`ce_…` headers); what is written is in structured mode. `(source, id)` is the identity of an event: a
repetition with the same pair has no second effect. Delivery is at least once: a reader of the leads orders them by
`sequence`, which is gapless for each lead, and skips what it has seen. Topic names are settings (`kafka.topics`), and
so is a translation of a site's own types and codes (`kafka.type_mapping`, `kafka.incident_status_mapping`). What
cannot be processed goes to the dead letters with the reason. A sender may use transactions: what it aborts is never
read, and what it leaves open holds back what comes after it. `rtcc-bridge topics acls` prints the rights that each side
needs; a sender's right to write under its transactional id is for the site to grant.

**Who reads leads commits.** A system that reads `rtcc.leads` or `rtcc.leads.exercise` reads as a consumer group whose
name is known to the department (`topics acls` gives the crime center's feed those that begin with `rtcc-feed`), and
commits an offset when it has taken over what lies before it, within a minute. The broker tells this program of it, and
the group stands in the ledger of the lead's receivers (P19): it has had each lead that lies before its offset, and it
knows that a lead was taken back when it has come past that event. Reading without committing is not allowed: whoever
may read by the broker's list of rights stands there for every lead, and is asked for until they have committed.

"""

_HTTP_HEAD = """# HTTP reference

What the daemon serves, from [openapi.json](openapi.json) (OpenAPI 3.1), which it also serves itself at
`/api/v1/openapi.json`. Errors are problem documents (RFC 9457, `application/problem+json`) with `type`, `title` and
`detail`, and with `rule` where a policy rule refused. `/healthz`, `/readyz` and `/metrics` are served at
`operations.port` too, where that is set.

"""


def kafka_page(document: Json) -> str:
    """The AsyncAPI document as a page: the topics, and a table of fields for each kind of event."""
    return "".join([_KAFKA_HEAD, *_topics(document), *_events(document)])


def _topics(document: Json) -> Iterator[str]:
    yield "## Topics\n\n| topic | direction | what and by which key | events |\n|---|---|---|---|\n"
    for name, channel in document["channels"].items():
        actions = {
            operation["action"]
            for operation in document["operations"].values()
            if operation["channel"]["$ref"] == f"#/channels/{name}"
        }
        direction = " and ".join(
            word for action, word in (("receive", "read"), ("send", "written")) if action in actions
        )
        events = ", ".join(f"[`{message}`](#{_anchor(message)})" for message in channel["messages"])
        yield f"| `{channel['address']}` | {direction} | {_cell(channel['description'])} | {events} |\n"
    yield "\n"


def _events(document: Json) -> Iterator[str]:
    """One section for each shape of `data`; events that share one stand together."""
    shared: list[tuple[list[str], Json | None, str]] = []
    for name, message in document["components"]["messages"].items():
        data = message.get("payload", {}).get("properties", {}).get("data")
        text = (data or message).get("description", "")
        same = next((names for names, known, _ in shared if data is not None and known == data), None)
        if same is None:
            shared.append(([name], data, text))
        else:
            same.append(name)
    for names, data, text in shared:
        for name in names:
            yield f'<a id="{_anchor(name)}"></a>\n'
        yield f"\n## {', '.join(f'`{name}`' for name in names)}\n\n{text}\n\n"
        if data is not None:
            yield from _fields(data)


def http_page(document: Json) -> str:
    """The OpenAPI document as a page: each operation with what it takes and answers, and each schema's fields."""
    parts = [_HTTP_HEAD, document["info"]["description"], "\n\n"]
    tags: dict[str, list[str]] = {}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            tags.setdefault(operation["tags"][0], []).extend(_operation(method, path, operation))
    for tag, operations in tags.items():
        parts += [f"## {tag}\n\n", *operations]
    parts.append("## Documents\n\n")
    for name, schema in document["components"]["schemas"].items():
        if schema.get("type") == "object":
            parts += [f"### {name}\n\n", *_fields(schema)]
        elif words := _choice(schema):
            parts.append(f"### {name}\n\nOne of {', '.join(f'`{word}`' for word in words)}.\n\n")
    return "".join(parts)


def _operation(method: str, path: str, operation: Json) -> Iterator[str]:
    yield f"### `{method.upper()} {path}`\n\n{operation['summary']}.\n\n"
    taken = [
        (one["name"], one["in"], one["schema"], one.get("required", False), one.get("description", ""))
        for one in operation["parameters"]
    ]
    if taken:
        yield "| parameter | in | type | meaning |\n|---|---|---|---|\n"
        for name, place, schema, required, text in taken:
            needed = " (required)" if required else ""
            yield f"| `{name}` | {place}{needed} | {_type(schema)} | {_cell(text)} |\n"
        yield "\n"
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"Takes {_described(media_type, content['schema'])}.\n\n"
        if "$ref" not in content["schema"]:
            yield from _fields(content["schema"])
    yield "| status | answer |\n|---|---|\n"
    for status, answer in sorted(operation["responses"].items()):
        what = [_described(kind, content.get("schema", {})) for kind, content in answer["content"].items()]
        shown = f" ({', '.join(what)})" if what and status < "400" else ""
        yield f"| {status} | {_cell(answer['description'] + shown)} |\n"
    yield "\n"


def _described(media_type: str, schema: Json) -> str:
    named = schema.get("$ref", "").rpartition("/")[2]
    return f"[{named}](#{named.lower()}) as `{media_type}`" if named else f"`{media_type}`"


def _fields(schema: Json) -> Iterator[str]:
    """A row for each field; those of objects within follow, with the path to them."""
    yield "| field | type | | meaning |\n|---|---|---|---|\n"
    yield from _rows(schema, "")
    yield "\n"


def _rows(schema: Json, path: str) -> Iterator[str]:
    required: Sequence[str] = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        needed = "required" if name in required else ""
        yield f"| `{path}{name}` | {_type(field)} | {needed} | {_cell(_meaning(field))} |\n"
        inner, step = _inner(field)
        if inner is not None:
            yield from _rows(inner, f"{path}{name}{step}.")


def _inner(field: Json) -> tuple[Json | None, str]:
    """The object in a field, whether it may be null or is one of a list, and what a path into it says of that."""
    if "properties" in field:
        return field, ""
    if field.get("type") == "array":
        inner, step = _inner(field.get("items", {}))
        return inner, f"[]{step}"
    for option in field.get("anyOf", ()):
        inner, step = _inner(option)
        if inner is not None:
            return inner, step
    return None, ""


def _meaning(field: Json) -> str:
    text = field.get("description") or next(
        (option["description"] for option in field.get("anyOf", ()) if "description" in option), ""
    )
    if "const" in field:
        return f"Always `{_literal(field['const'])}`. {text}".strip()
    return str(text)


def _type(schema: Json) -> str:
    """The type with its bounds, in a few words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if words := _choice(schema):
        return " or ".join(f"`{word}`" for word in words)
    if options := schema.get("anyOf"):
        return " or ".join(_type(option) for option in options)
    kind = str(schema.get("type", "any"))
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}"
    bounds = [f"{word} {schema[key]}" for key, word in _BOUNDS if key in schema and "const" not in schema]
    form = f" ({schema['format']})" if "format" in schema else ""
    return ", ".join([kind + form, *bounds])


def _choice(schema: Json) -> list[str]:
    """The words that alone are allowed, whichever way the schema says so."""
    if "enum" in schema:
        return [_literal(value) for value in schema["enum"]]
    listed = _CHOICE.fullmatch(schema.get("pattern", ""))
    return listed[1].split("|") if listed else []


def _literal(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _anchor(name: str) -> str:
    return name.replace(".", "-").replace("_", "-").lower()


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
