"""The OpenAPI 3.1 document, written from the operations and the models that they answer with."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from functools import cache
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from rtcc_bridge import __version__
from rtcc_bridge.errors import NotFoundError
from rtcc_bridge.policy.accounts import DEMO_ACCOUNT_HEADER, DEMO_ACCOUNTS
from rtcc_bridge.web import (
    audit_log,
    clips,
    disclosure_orders,
    earlier,
    examination,
    exceptions,
    feed,
    floor,
    galleries,
    gallery_exports,
    gallery_pictures,
    health,
    incidents,
    leads,
    outcomes,
    people,
    policies,
    probes,
    proficiency,
    provisional,
    release,
    reports,
    retention,
    reviews,
)
from rtcc_bridge.web.operations import JSON_TYPE, Answer, Operation, Parameter
from rtcc_bridge.web.problems import CONTENT_TYPE, ProblemDocument
from rtcc_bridge.web.route_deeds import GUARDS
from rtcc_bridge.web.services import services_of

SCHEMA_MEDIA_TYPE: Final = "application/schema+json"

_PATH_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_REF: Final = "#/components/schemas/{model}"
_DESCRIPTION = (
    "Incidents in, investigative leads out. Every lead needs corroboration: it is no identification and no probable "
    "cause. People sign in on the pages and send a session's cookie, programs send a service token "
    f"(`rtcc-bridge tokens create`). In the demo alone the header {DEMO_ACCOUNT_HEADER} names one of the accounts "
    f"{', '.join(DEMO_ACCOUNTS)}, and only this machine is served."
)
_PROBLEMS: Final[Mapping[HTTPStatus, str]] = {
    HTTPStatus.BAD_REQUEST: "The request is malformed or was broken off.",
    HTTPStatus.UNAUTHORIZED: "Nobody has signed in, or not any more: `signIn` says where.",
    HTTPStatus.FORBIDDEN: "Refused: `rule` names the policy rule; without one, the request did not come the right way.",
    HTTPStatus.NOT_FOUND: "There is no such thing.",
    HTTPStatus.REQUEST_TIMEOUT: "The upload took too long.",
    HTTPStatus.CONFLICT: "It does not fit the present state.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The request is too large.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body is of another media type.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "The fields or the picture cannot be used.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "The daemon made an error; `correlationId` finds it in the log.",
    HTTPStatus.SERVICE_UNAVAILABLE: "Busy, or something that is needed does not answer: `Retry-After` says when.",
}

_SECURITY: Final[Mapping[str, Mapping[str, str]]] = {
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "__Host-rtcc_session",
        "description": "Of a person who has signed in at /sign-in. Over plain http, in the demo, it is rtcc_session.",
    },
    "serviceToken": {"type": "http", "scheme": "bearer", "description": "Of a program; good for certain deeds."},
    "demoAccount": {"type": "apiKey", "in": "header", "name": DEMO_ACCOUNT_HEADER, "description": "In the demo alone."},
}


async def get_openapi(_request: web.Request) -> web.Response:
    return web.json_response(await asyncio.to_thread(openapi_document))


async def get_schema(request: web.Request) -> web.Response:
    name = request.match_info["name"].removesuffix(".json")
    schema = (await asyncio.to_thread(services_of(request).schemas)).get(name)
    if schema is None:
        raise NotFoundError("There is no schema of this name.")
    return web.json_response(dict(schema), content_type=SCHEMA_MEDIA_TYPE)


OPERATIONS: Final = (
    *incidents.OPERATIONS,
    *probes.OPERATIONS,
    *clips.OPERATIONS,
    *earlier.OPERATIONS,
    *exceptions.OPERATIONS,
    *provisional.OPERATIONS,
    *leads.OPERATIONS,
    *examination.OPERATIONS,
    *reviews.OPERATIONS,
    *release.OPERATIONS,
    *outcomes.OPERATIONS,
    *proficiency.OPERATIONS,
    *retention.OPERATIONS,
    *reports.OPERATIONS,
    *galleries.OPERATIONS,
    *gallery_exports.OPERATIONS,
    *disclosure_orders.OPERATIONS,
    *gallery_pictures.OPERATIONS,
    *people.OPERATIONS,
    *audit_log.OPERATIONS,
    *policies.OPERATIONS,
    *feed.OPERATIONS,
    *floor.OPERATIONS,
    Operation(
        method="GET",
        path="/api/v1/openapi.json",
        handler=get_openapi,
        name="getOpenApi",
        summary="This document",
        tag="documents",
        answers=(Answer("OpenAPI 3.1."),),
    ),
    Operation(
        method="GET",
        path="/api/v1/schemas/{name}",
        handler=get_schema,
        name="getSchema",
        summary="The JSON Schema of a published event, for example lead.candidates.json",
        tag="documents",
        answers=(Answer("JSON Schema 2020-12.", media_type=SCHEMA_MEDIA_TYPE),),
        problems=(HTTPStatus.NOT_FOUND,),
    ),
    *health.OPERATIONS,
)


@cache
def openapi_document(operations: Sequence[Operation] = OPERATIONS) -> dict[str, Any]:
    """The whole document, which nobody may change: it is made once, when it is asked for. Blocks then."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "rtcc-bridge",
            "version": __version__,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": _schemas(operations),
            "securitySchemes": _SECURITY,
        },
        "security": [{name: []} for name in _SECURITY],
    }


def _operation(operation: Operation) -> dict[str, Any]:
    written: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.tag],
        "parameters": [
            *({"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
              for name in _PATH_PARAMETER.findall(operation.path)),
            *(_parameter(parameter) for parameter in operation.parameters),
        ],
        "responses": _responses(operation),
    }  # fmt: skip
    if not _takes_a_deed(operation):
        written["security"] = []
    if operation.body is not None:
        schema = dict(operation.body.schema) if operation.body.model is None else _reference(operation.body.model)
        written["requestBody"] = {"required": True, "content": {operation.body.media_type: {"schema": schema}}}
    return written


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "description": parameter.description,
        "schema": dict(parameter.schema),
    }


def _responses(operation: Operation) -> dict[str, Any]:
    answers = {str(int(answer.status)): _answer(answer) for answer in operation.answers}
    everywhere = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.INTERNAL_SERVER_ERROR)
    statuses = {*operation.problems, *everywhere[0 if _takes_a_deed(operation) else 1 :]}
    problems = {
        str(int(status)): {
            "description": _PROBLEMS[status],
            "content": {CONTENT_TYPE: {"schema": _reference(ProblemDocument)}},
        }
        for status in sorted(statuses)
        if str(int(status)) not in answers
    }
    return answers | problems


def _takes_a_deed(operation: Operation) -> bool:
    guard = GUARDS.get((operation.method, operation.path))
    return guard is None or guard.deed is not None


def _answer(answer: Answer) -> dict[str, Any]:
    schema: dict[str, Any] = {} if answer.model is None else _reference(answer.model)
    if answer.model is None and answer.media_type != JSON_TYPE:
        schema = {"type": "string"} if answer.media_type.startswith("text/") else {}
    return {"description": answer.description, "content": {answer.media_type: {"schema": schema}}}


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _REF.format(model=model.__name__)}


def _schemas(operations: Sequence[Operation]) -> dict[str, Any]:
    answered = {answer.model for operation in operations for answer in operation.answers if answer.model is not None}
    asked = {operation.body.model for operation in operations if operation.body and operation.body.model}
    answered.add(ProblemDocument)
    models: list[tuple[type[BaseModel], JsonSchemaMode]] = [(model, "serialization") for model in answered]
    models += [(model, "validation") for model in asked]
    models.sort(key=lambda one: one[0].__name__)
    _, document = models_json_schema(models, ref_template=_REF)
    schemas: dict[str, Any] = document.get("$defs", {})
    return schemas
