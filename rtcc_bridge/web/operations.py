"""An operation of the API: its route and its description in one value, so that neither can exist without the other."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final, Literal, TypeAlias, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from rtcc_bridge.errors import InvalidInputError

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

MAX_JSON_BYTES: Final = 64 * 1024
JSON_TYPE: Final = "application/json"
_ZERO: Final = b"\\u0000"
"""As JSON has it. No text in PostgreSQL can hold it."""


class WireModel(BaseModel):
    """A document of the API: camelCase outside, nothing unknown."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        extra="forbid",
        frozen=True,
        json_schema_serialization_defaults_required=True,
    )


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query or header parameter; those of the path are read from it."""

    name: str
    place: Literal["query", "header"]
    description: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Body:
    """What a request carries: a model as JSON, or a schema written out for another media type."""

    model: type[BaseModel] | None = None
    media_type: str = JSON_TYPE
    schema: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request is answered with when it succeeds: a model as JSON, or another media type."""

    description: str
    model: type[BaseModel] | None = None
    media_type: str = JSON_TYPE
    status: HTTPStatus = HTTPStatus.OK


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one address."""

    method: Literal["GET", "POST"]
    path: str
    handler: Handler
    name: str
    summary: str
    tag: str
    answers: Sequence[Answer]
    parameters: Sequence[Parameter] = ()
    body: Body | None = None
    problems: Sequence[HTTPStatus] = ()


_Body = TypeVar("_Body", bound=BaseModel)


async def read_json(request: web.Request, model: type[_Body]) -> _Body:
    """The request's body. Raises InvalidInputError that names the fields and never repeats their values."""
    if request.content_type != JSON_TYPE:
        raise InvalidInputError(f"Send the body as {JSON_TYPE}.", "media_type")
    body = await request.read()
    if _ZERO in body:  # also as the text of its six characters, which nobody has a use for either
        raise InvalidInputError("The body holds a character that cannot be kept.", "fields")
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        details = error.errors(include_input=False, include_url=False, include_context=False)
        reason = "malformed" if details[0]["type"] == "json_invalid" else "fields"
        named = (": ".join((".".join(map(str, detail["loc"])) or "body", detail["msg"])) for detail in details[:5])
        raise InvalidInputError(f"The body cannot be used: {'; '.join(named)}.", reason) from error


def query_number(request: web.Request, name: str, default: int, *, least: int, most: int) -> int:
    """A whole number of the query. Raises InvalidInputError."""
    text = request.query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and least <= int(text) <= most):
        raise InvalidInputError(f"{name} has to be a whole number from {least} to {most}.", "fields")
    return int(text)


def answer(model: BaseModel, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    return web.Response(text=model.model_dump_json(by_alias=True), status=status, content_type=JSON_TYPE)
