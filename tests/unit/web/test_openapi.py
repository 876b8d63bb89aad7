"""The description of the API, as far as it can be judged without serving it."""

import re

from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from rtcc_bridge.web.openapi import OPERATIONS, openapi_document
from rtcc_bridge.web.problems import CONTENT_TYPE


def test_the_document_is_valid_openapi() -> None:
    validate(openapi_document(), cls=OpenAPIV31SpecValidator)


def test_operations_have_names_of_their_own_and_places_of_their_own() -> None:
    assert len({operation.name for operation in OPERATIONS}) == len(OPERATIONS)
    assert len({(operation.method, operation.path) for operation in OPERATIONS}) == len(OPERATIONS)


def test_every_operation_says_which_problems_it_answers_with() -> None:
    for path, item in openapi_document()["paths"].items():
        for operation in item.values():
            problems = {
                status for status, answer in operation["responses"].items() if CONTENT_TYPE in answer["content"]
            }
            assert {"403", "500"} <= problems
            named = set(re.findall(r"\{(\w+)\}", path))
            assert {one["name"] for one in operation["parameters"] if one["in"] == "path"} == named


def test_p15_the_constants_of_a_lead_are_constants_of_the_schema() -> None:
    lead = openapi_document()["components"]["schemas"]["LeadData"]
    constants = {name: field.get("const") for name, field in lead["properties"].items() if "const" in field}
    assert constants["classification"] == "INVESTIGATIVE_LEAD_ONLY"
    assert constants["positiveIdentification"] is False
    assert constants["corroborationRequired"] is True
    assert set(constants) <= set(lead["required"])


def test_p16_no_document_of_the_api_has_a_place_for_a_score_of_a_candidate() -> None:
    schemas = openapi_document()["components"]["schemas"]
    assert set(schemas["CandidateRef"]["properties"]) == {"candidateRef"}
    names = {name for schema in schemas.values() for name in schema.get("properties", {})}
    assert not names & {"similarityScore", "rank", "template", "subjectId", "subjectRef"}
