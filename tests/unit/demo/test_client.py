"""Which answers of the daemon are about the still itself."""

import pytest

from rtcc_bridge.demo.client import CallError
from rtcc_bridge.errors import BusyError, ConflictError, InvalidInputError, NotFoundError, PolicyRefusalError
from rtcc_bridge.probes.unsettled import too_large
from rtcc_bridge.web.problems import problem_of


def refusal(error: Exception) -> CallError:
    """The refusal as the daemon answers it."""
    document = problem_of(error).document
    return CallError("POST /probes", document.status, document.model_dump_json(by_alias=True, exclude_none=True))


@pytest.mark.parametrize(
    "error",
    [
        too_large("still", 25_000_000),
        InvalidInputError("It is no picture.", "unreadable"),
        PolicyRefusalError("P03", "Animated."),
    ],
)
def test_a_still_that_cannot_be_used_is_told_from_other_refusals(error: Exception) -> None:
    refused = refusal(error)
    assert refused.is_about_the_still
    assert refused.problem["detail"] == str(error)


@pytest.mark.parametrize(
    "error",
    [
        PolicyRefusalError("P02", "Not this incident."),
        NotFoundError("No such incident."),
        ConflictError("Merged."),
        BusyError("Later."),
    ],
)
def test_other_refusals_are_not_about_the_still(error: Exception) -> None:
    assert not refusal(error).is_about_the_still


@pytest.mark.parametrize("text", ["", "Bad Gateway", "[1]", '"text"'])
def test_an_answer_that_is_no_problem_document_is_kept_in_the_message(text: str) -> None:
    refused = CallError("GET /", 502, text)
    assert not refused.is_about_the_still
    assert str(refused) == f"GET /: 502 {text}"
