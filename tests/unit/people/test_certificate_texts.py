"""How a certificate is written, and what is none."""

from datetime import UTC, datetime
from typing import Any

import pytest

from rtcc_bridge.people.certificate_texts import certificate_of, certificates_from_json, certificates_to_json
from rtcc_bridge.policy.certificates import Certificate

ISSUED = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "certificate"),
    [
        ("2026-03-01", Certificate(ISSUED)),
        (" 2026-03-01 ", Certificate(ISSUED)),
        ("2026-03-01/2027-02-28", Certificate(ISSUED, datetime(2027, 3, 1, tzinfo=UTC))),
        ("2026-03-01T01:00:00+01:00", Certificate(ISSUED)),
        (
            "2026-03-01T00:00:00Z/2027-03-01T12:00:00+01:00",
            Certificate(ISSUED, datetime(2027, 3, 1, 11, tzinfo=UTC)),
        ),
    ],
)
def test_the_spans_that_can_be_read(written: str, certificate: Certificate) -> None:
    """Of days the last one counts in full."""
    assert certificate_of(written) == certificate


@pytest.mark.parametrize(
    "written",
    [
        "soon", "", "/", "2026-03-01/", "/2027-03-01", "2026-13-01", "2026-03-01/soon", "2026-03-01/2027-01-01/",
        "2026-03-01T12:00:00", "9999-12-31", "2026-03-01/9999-12-31", "0001-01-01T00:00:00+05:00",
        None, True, 5, 1e30, [], {},
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_no_certificate(written: Any) -> None:
    assert certificate_of(written) is None


def test_what_is_kept_is_read_again() -> None:
    held = {"one": Certificate(ISSUED), "two": Certificate(ISSUED, datetime(2027, 3, 1, 11, 30, 0, 5, tzinfo=UTC))}
    assert certificates_from_json(certificates_to_json(held)) == held
    assert certificates_from_json({"one": "2026-03-01", "two": "soon", "three": None}) == {"one": Certificate(ISSUED)}
