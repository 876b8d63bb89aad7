"""Every error leaves as an RFC 9457 problem document (pages show the same words as a page)."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

import structlog
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from rtcc_bridge.errors import (
    BusyError,
    ConflictError,
    IntegrityError,
    InvalidInputError,
    NotFoundError,
    PolicyRefusalError,
    SignInRequiredError,
    TransientError,
)
from rtcc_bridge.web.origins import ForeignRequestError

CONTENT_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:rtcc-bridge:problem:"
UNAVAILABLE = "unavailable"
"""The kind of what a dependency that does not answer stands in the way of."""
UNAVAILABLE_RETRY_SECONDS = 5.0
SIGN_IN = "/sign-in"

INVALID_INPUT_STATUS = {
    "malformed": HTTPStatus.BAD_REQUEST,
    "interrupted": HTTPStatus.BAD_REQUEST,
    "stalled": HTTPStatus.REQUEST_TIMEOUT,
    "upload_timeout": HTTPStatus.REQUEST_TIMEOUT,
    "too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "media_type": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
}
"""Reasons of InvalidInputError that HTTP has a status of their own for; the others are 422."""

HTTP_DETAILS = {
    HTTPStatus.NOT_FOUND: "There is nothing at this address.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This address does not take that method; see the Allow header.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The request is larger than this address accepts.",
}

log = structlog.get_logger()


class ProblemDocument(BaseModel):
    """An error (RFC 9457)."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)

    type: str = Field(description="What kind of problem this is: a stable URN to compare with.")
    title: str = Field(description="The kind of problem in a few words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What happened and what to do about it.")
    rule: str | None = Field(None, description="The policy rule that refused, for example P02.")
    sign_in: str | None = Field(None, description="Where a person signs in, when nobody has.")
    correlation_id: str | None = Field(None, description="Give this to operations: the log has it beside the cause.")


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem document and the headers that go with it."""

    document: ProblemDocument
    headers: Mapping[str, str]

    def response(self) -> web.Response:
        return web.Response(
            text=self.document.model_dump_json(by_alias=True, exclude_none=True),
            status=self.document.status,
            content_type=CONTENT_TYPE,
            headers=self.headers,
        )


def problem_of(error: Exception) -> Problem:  # noqa: PLR0911 - one case a line is the plainest table
    """The problem document of an error. What nobody foresaw is logged under a correlation id and says no more."""
    match error:
        case web.HTTPException():
            return _from_http(error)
        case SignInRequiredError():
            return _sign_in_first(error)
        case PolicyRefusalError():
            return _problem(HTTPStatus.FORBIDDEN, f"policy.{error.rule}", "Refused by policy", str(error), error.rule)
        case ForeignRequestError():
            return _problem(HTTPStatus.FORBIDDEN, "foreign-request", "Not from here", str(error))
        case NotFoundError():
            return _problem(HTTPStatus.NOT_FOUND, "not-found", "Not found", str(error))
        case ConflictError():
            return _problem(HTTPStatus.CONFLICT, "conflict", "Does not fit the present state", str(error))
        case InvalidInputError():
            status = INVALID_INPUT_STATUS.get(error.reason, HTTPStatus.UNPROCESSABLE_ENTITY)
            return _problem(status, error.reason.replace("_", "-"), "Cannot be used", str(error))
        case BusyError():
            return _later("busy", "Busy", str(error), error.retry_after_seconds)
        case TransientError():
            return _later(UNAVAILABLE, "Not available now", str(error), UNAVAILABLE_RETRY_SECONDS)
        case _:
            return _unforeseen(error)


def _problem(status: HTTPStatus, slug: str, title: str, detail: str, rule: str | None = None) -> Problem:
    kind = TYPE_PREFIX + slug
    return Problem(ProblemDocument(type=kind, title=title, status=status, detail=detail, rule=rule), {})


def _sign_in_first(error: SignInRequiredError) -> Problem:
    found = _problem(HTTPStatus.UNAUTHORIZED, "sign-in-required", "Sign in first", str(error), error.rule).document
    document = found.model_copy(update={"sign_in": SIGN_IN})
    return Problem(document, {"WWW-Authenticate": 'Bearer realm="rtcc-bridge"'})


def _later(slug: str, title: str, detail: str, retry_seconds: float) -> Problem:
    document = _problem(HTTPStatus.SERVICE_UNAVAILABLE, slug, title, detail).document
    return Problem(document, {"Retry-After": str(max(1, round(retry_seconds)))})


def _from_http(error: web.HTTPException) -> Problem:
    status = HTTPStatus(error.status)
    headers = {name: value for name, value in error.headers.items() if name.lower() != "content-type"}
    detail = HTTP_DETAILS.get(status, f"{status.description or status.phrase}.")
    slug = status.phrase.lower().replace(" ", "-")
    return Problem(_problem(status, slug, status.phrase.capitalize(), detail).document, headers)


def _unforeseen(error: Exception) -> Problem:
    correlation_id = secrets.token_hex(8)
    log.error("request failed", correlation_id=correlation_id, exc_info=error)
    if isinstance(error, IntegrityError):
        detail = "Stored data did not pass its integrity check. The daemon stops; tell operations."
    else:
        detail = "The daemon made an error. Nothing was changed by this request; tell operations."
    document = ProblemDocument(
        type=f"{TYPE_PREFIX}internal",
        title="Internal error",
        status=HTTPStatus.INTERNAL_SERVER_ERROR,
        detail=detail,
        correlation_id=correlation_id,
    )
    return Problem(document, {})
