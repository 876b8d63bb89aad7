"""A program that is missing leaves its tests out, and fails them where nothing may be left out."""

import pytest

from tests.tools import ALL_VARIABLE, is_missing, needs, program, require_programs


def test_it_is_left_out_at_home_and_fails_in_continuous_integration(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "no rtcc-no-such-program here: install the package no-such-package"
    monkeypatch.delenv(ALL_VARIABLE, raising=False)
    with pytest.raises(pytest.skip.Exception, match=said):
        program("rtcc-no-such-program", "no-such-package")
    monkeypatch.setenv(ALL_VARIABLE, "1")
    with pytest.raises(pytest.fail.Exception, match=said):
        program("rtcc-no-such-program", "no-such-package")
    with pytest.raises(pytest.fail.Exception, match="Helm"):
        is_missing("Helm cannot be built here")


def test_what_is_there_is_used() -> None:
    assert program("sh", "dash").endswith("/sh")


@needs("sh", "dash")
def test_a_test_says_what_it_needs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    require_programs(request.node)
    request.node.add_marker(needs("rtcc-no-such-program", "no-such-package"))
    monkeypatch.setenv(ALL_VARIABLE, "1")
    with pytest.raises(pytest.fail.Exception, match="no-such-package"):
        require_programs(request.node)
