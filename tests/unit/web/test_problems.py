"""Which problem document each error becomes."""

import json

import pytest
from aiohttp import web

from rtcc_bridge.errors import (
    BridgeError,
    BusyError,
    ConflictError,
    IntegrityError,
    InvalidInputError,
    NotFoundError,
    PolicyRefusalError,
    SignInRequiredError,
    UnavailableError,
)
from rtcc_bridge.web.problems import CONTENT_TYPE, problem_of


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (InvalidInputError("no"), 422, "invalid"),
        (InvalidInputError("no", "malformed"), 400, "malformed"),
        (InvalidInputError("no", "too_large"), 413, "too-large"),
        (InvalidInputError("no", "upload_timeout"), 408, "upload-timeout"),
        (InvalidInputError("no", "media_type"), 415, "media-type"),
        (InvalidInputError("no", "decoder_crashed"), 422, "decoder-crashed"),
        (NotFoundError("no"), 404, "not-found"),
        (ConflictError("no"), 409, "conflict"),
        (PolicyRefusalError("P07", "no"), 403, "policy.P07"),
        (SignInRequiredError("P10", "no"), 401, "sign-in-required"),
        (BusyError("no"), 503, "busy"),
        (UnavailableError("no"), 503, "unavailable"),
        (IntegrityError("no"), 500, "internal"),
        (BridgeError("no"), 500, "internal"),
        (KeyError("no"), 500, "internal"),
        (web.HTTPNotFound(), 404, "not-found"),
        (web.HTTPMethodNotAllowed("PUT", ["GET"]), 405, "method-not-allowed"),
        (web.HTTPRequestEntityTooLarge(1, 2), 413, "request-entity-too-large"),
    ],
)
def test_each_error_has_its_status_and_type(error: Exception, status: int, kind: str) -> None:
    document = problem_of(error).document
    assert (document.status, document.type) == (status, f"urn:rtcc-bridge:problem:{kind}")
    assert document.detail.endswith(".") or document.detail == "no"


def test_a_refusal_names_its_rule_and_only_a_refusal_does() -> None:
    assert problem_of(PolicyRefusalError("P02", "no")).document.rule == "P02"
    assert problem_of(ConflictError("no")).document.rule is None


def test_whoever_has_not_signed_in_is_told_where_to() -> None:
    problem = problem_of(SignInRequiredError("P29", "no"))
    assert (problem.document.rule, problem.document.sign_in) == ("P29", "/sign-in")
    assert problem.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(("seconds", "header"), [(0.2, "1"), (1.0, "1"), (12.4, "12")])
def test_busy_says_when_to_come_back(seconds: float, header: str) -> None:
    assert problem_of(BusyError("no", seconds)).headers == {"Retry-After": header}


def test_the_allowed_methods_are_kept() -> None:
    assert problem_of(web.HTTPMethodNotAllowed("PUT", ["GET", "POST"])).headers["Allow"] == "GET,POST"


def test_what_nobody_foresaw_tells_nothing_but_a_reference_of_its_own() -> None:
    one, other = (problem_of(RuntimeError("INC-1 of a person")).document for _ in range(2))
    assert one.correlation_id is not None
    assert one.correlation_id != other.correlation_id
    assert "INC-1" not in one.model_dump_json()


def test_the_document_is_written_as_rfc_9457_names_its_fields() -> None:
    response = problem_of(PolicyRefusalError("P05", 'say "no"')).response()
    assert response.content_type == CONTENT_TYPE
    assert json.loads(response.text or "") == {
        "type": "urn:rtcc-bridge:problem:policy.P05",
        "title": "Refused by policy",
        "status": 403,
        "detail": 'say "no"',
        "rule": "P05",
    }
