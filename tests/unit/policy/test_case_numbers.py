"""Two case numbers that look the same are the same."""

import pytest

from rtcc_bridge.policy.case_numbers import case_number


@pytest.mark.parametrize(
    "written",
    [
        "26-000123\N{ZERO WIDTH SPACE}",
        "26\N{NON-BREAKING HYPHEN}000123",
        "26\N{EN DASH}000123",
        "26\N{MINUS SIGN}000123",
        "26\N{SOFT HYPHEN}-000123",
        " 26-000123\N{NO-BREAK SPACE}",
        "\N{FULLWIDTH DIGIT TWO}6-000123",
        "\N{RIGHT-TO-LEFT MARK}26-000123",
    ],
)
def test_what_nobody_sees_makes_no_other_number(written: str) -> None:
    assert case_number(written) == "26-000123"


@pytest.mark.parametrize("written", ["CR 26/17", "26.4-a", "A-1"])
def test_a_number_stays_as_it_is(written: str) -> None:
    assert case_number(written) == written


def test_nothing_is_none() -> None:
    assert case_number(" \N{ZERO WIDTH SPACE} ") == ""
