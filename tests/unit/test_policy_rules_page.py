"""The page of the policy's rules against the code, the documents and the tests that it speaks of."""

import re
from pathlib import Path

import pytest

from tests.rules_page import ROOT, STATES, Row, read_rows

RULE = re.compile(r"\bP\d{2}\b")
REFUSAL = re.compile(r'PolicyRefusalError\(\s*"(P\d{2})"')

ROWS = list(read_rows())


def cited(pattern: re.Pattern[str], *files: Path) -> dict[str, str]:
    """Each rule that is cited, with one file that does."""
    found: dict[str, str] = {}
    for file in files:
        for rule in pattern.findall(file.read_text(encoding="utf-8")):
            found[rule] = str(file.relative_to(ROOT))
    return found


def code() -> list[Path]:
    return sorted((ROOT / "rtcc_bridge").rglob("*.py"))


def test_each_rule_has_one_row_in_order() -> None:
    assert [row.rule for row in ROWS] == [f"P{number:02}" for number in range(1, 31)]


def test_every_rule_that_code_or_documents_cite_has_a_row() -> None:
    documents = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    found = cited(RULE, *code(), *documents)
    assert len(found) > 15
    unknown = found.keys() - {row.rule for row in ROWS}
    assert not unknown, {rule: found[rule] for rule in unknown}


@pytest.mark.parametrize("row", ROWS, ids=[row.rule for row in ROWS])
def test_what_a_row_names_exists(row: Row) -> None:
    assert row.state.startswith(STATES)
    for file in (*row.modules, *row.tests):
        assert (ROOT / file).is_file(), file
    assert all(module.startswith("rtcc_bridge/") for module in row.modules)
    assert all(Path(test).name.startswith("test_") for test in row.tests)


@pytest.mark.parametrize("row", ROWS, ids=[row.rule for row in ROWS])
def test_a_rule_has_a_place_and_a_proof_unless_it_is_not_built(row: Row) -> None:
    assert bool(row.modules) == bool(row.tests) == row.is_built


def test_every_rule_that_is_attacked_or_that_refuses_stands_as_built() -> None:
    built = {row.rule for row in ROWS if row.is_built}
    refusing = cited(REFUSAL, *code())
    assert len(refusing) > 5
    assert refusing.keys() <= built


def test_the_attacks_of_a_rule_stand_in_its_row() -> None:
    proofs = {row.rule: row.tests for row in ROWS}
    attacks = sorted((ROOT / "tests/policy").glob("test_P*.py"))
    assert attacks
    for attack in attacks:
        assert str(attack.relative_to(ROOT)) in proofs[attack.name.split("_")[1]]
