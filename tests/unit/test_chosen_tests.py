"""Which tests run on the embedded parts, and which of them once more on Apache Kafka and PostgreSQL."""

import pytest

from tests import chosen_tests
from tests.brokers import KAFKA, TANSU
from tests.databases import POSTGRESQL, SQLITE

pytest_plugins = ["pytester"]

TESTS = f"""
import pytest

EACH = pytest.mark.parametrize("case", [1, 2])

def test_of_nothing(): pass

@EACH
def test_alike(database_server, case): pass

@EACH
@pytest.mark.every_case
def test_different(database_server, case): pass

@pytest.mark.parametrize("case", [1, pytest.param(2, marks=pytest.mark.{POSTGRESQL})])
def test_partly_of_one(database_server, case): pass

@pytest.mark.once
def test_of_the_program(database_server, broker): pass

def test_of_the_broker(broker): pass
"""


@pytest.fixture
def items(pytester: pytest.Pytester) -> list[pytest.Item]:
    """The same tests where cases are alike for a database, and where they are not."""
    pytester.makeini(
        f"[pytest]\nmarkers = {POSTGRESQL}\n    once\n    every_case\nasyncio_default_fixture_loop_scope = function"
    )
    for folder in ("policy", "integration", "docs"):
        file = pytester.path / "tests" / folder / f"test_{folder}.py"
        file.parent.mkdir(parents=True)
        file.write_text(TESTS)
    found, _ = pytester.inline_genitems("--import-mode=importlib", "tests")
    return found


def names(items: list[pytest.Item], folder: str) -> list[str]:
    return [item.name.removeprefix("test_") for item in items if f"/{folder}/" in item.nodeid]


def test_everything_but_what_is_about_another_kind_runs_on_the_embedded_parts(items: list[pytest.Item]) -> None:
    chosen = chosen_tests.of_run(items, SQLITE, TANSU)
    everything = [
        "of_nothing", "alike[1]", "alike[2]", "different[1]", "different[2]", "partly_of_one[1]",
        "of_the_program", "of_the_broker",
    ]  # fmt: skip
    assert names(chosen, "policy") == names(chosen, "integration") == everything


def test_once_more_runs_what_a_database_or_a_broker_has_a_part_in(items: list[pytest.Item]) -> None:
    chosen = chosen_tests.of_run(items, POSTGRESQL, KAFKA)
    different = ["different[1]", "different[2]", "partly_of_one[1]", "partly_of_one[2]", "of_the_broker"]
    assert names(chosen, "integration") == ["alike[1]", "alike[2]", *different]
    assert names(chosen, "policy") == ["alike[1]", *different]


def test_every_case_runs_there_when_it_is_asked_for(items: list[pytest.Item]) -> None:
    chosen = chosen_tests.of_run(items, POSTGRESQL, KAFKA, every_case=True)
    assert names(chosen, "policy") == names(chosen, "integration")
    assert "alike[2]" in names(chosen, "policy")


def test_what_no_other_run_would_find_although_it_is_about_it_is_noticed(
    items: list[pytest.Item], pytester: pytest.Pytester
) -> None:
    root = pytester.path
    assert chosen_tests.is_read(root / "tests/docs", root, SQLITE, TANSU)
    for other in ((POSTGRESQL, KAFKA), (POSTGRESQL, TANSU), (SQLITE, KAFKA)):
        unread = [item for item in items if not chosen_tests.is_read(item.path, root, *other)]
        assert unread == [item for item in items if "/docs/" in item.nodeid], other
    wrong = [item.name.removeprefix("test_") for item in chosen_tests.wrongly_apart(items, root)]
    assert wrong == [
        "alike[1]", "alike[2]", "different[1]", "different[2]", "partly_of_one[1]", "partly_of_one[2]", "of_the_broker",
    ]  # fmt: skip
