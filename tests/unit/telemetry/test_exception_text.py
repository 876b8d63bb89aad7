"""What of an error gets into the log: never a text that quotes a row or an input, however deep it lies."""

import pytest
from sqlalchemy.exc import IntegrityError

from rtcc_bridge.telemetry.exception_text import format_exception


def _told(error: Exception) -> str:
    return format_exception((type(error), error, None))


def _of_the_database() -> IntegrityError:
    return IntegrityError("INSERT", {}, Exception("Key (case_number)=(26-000123) already exists"))


def test_an_error_that_quotes_nothing_is_told_as_python_does() -> None:
    assert _told(ValueError("the relay stands still")).endswith("ValueError: the relay stands still")


@pytest.mark.parametrize(
    "error",
    [
        _of_the_database(),
        ExceptionGroup("unhandled errors in a TaskGroup", [ValueError("another"), _of_the_database()]),
        ExceptionGroup("outer", [ExceptionGroup("inner", [_of_the_database()])]),
    ],
    ids=["alone", "in a group", "in a group of a group"],
)
def test_the_text_of_a_database_error_is_left_out(error: Exception) -> None:
    told = _told(error)
    assert "26-000123" not in told
    assert "IntegrityError (its text is left out: it may quote what was sent), raised at" in told
