"""Which incident types count as absolutely refused, however a dispatch system writes them."""

import pytest

from rtcc_bridge.policy.purposes import absolute_refusal


@pytest.mark.parametrize(
    ("incident_type", "code"),
    [
        ("CIVDIS", "CIVDIS"),
        ("CIVDIS-1", "CIVDIS"),
        ("civdis2", "CIVDIS"),
        (" Civ-Dis / crowd", "CIVDIS"),
        ("CIVDISTURB", "CIVDIS"),
        ("\uff23\uff29\uff36\uff24\uff29\uff33", "CIVDIS"),
        ("ALIEN.02", "ALIEN"),
        ("HOMICIDE", None),
        ("CIVIL", None),
        ("", None),
    ],
)
def test_the_beginning_of_a_type_decides(incident_type: str, code: str | None) -> None:
    assert absolute_refusal(incident_type) == code
