"""The page of the policy's rules against the code, the documents and the tests that it speaks of."""

import ast
import re
from pathlib import Path

import pytest

from rtcc_bridge.audit.entries import SAFER
from rtcc_bridge.web.route_deeds import GUARDS
from tests.rules_page import NO_WAY, ROOT, STATES, WAYS, Attacks, Row, read_attacks, read_rows

RULE = re.compile(r"\bP\d{2}\b")
REFUSAL = re.compile(r'PolicyRefusalError\(\s*"(P\d{2})"')
REFUSING = re.compile(r'\w+Error\(\s*"(P\d{2})"')
TEXT = re.compile(r'"([a-z]+\.[a-z_]+)"')

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


ATTACKS = list(read_attacks())


def test_each_rule_says_in_order_how_it_is_attacked() -> None:
    assert [one.rule for one in ATTACKS] == [row.rule for row in ROWS]


@pytest.mark.parametrize("one", ATTACKS, ids=[one.rule for one in ATTACKS])
def test_each_rule_is_attacked_by_each_way_or_a_test_shows_that_there_is_none(one: Attacks) -> None:
    for way in WAYS:
        assert one.tests(way), f"{one.rule} names no test for {way}"
        for test in one.tests(way):
            assert is_there(test), test
        shows_none = [test for test in one.tests(way) if test.startswith("tests/unit/test_ways_in.py::")]
        assert bool(shows_none) <= one.ways[way].startswith(NO_WAY)


def is_there(test: str) -> bool:
    file, name = test.split("::")
    source = (ROOT / file).read_text(encoding="utf-8")
    return re.search(rf"^(async )?def {name}\(", source, re.MULTILINE) is not None


@pytest.mark.parametrize("one", ATTACKS, ids=[one.rule for one in ATTACKS])
def test_each_refusal_is_seen_in_a_browser_or_a_test_shows_that_no_page_leads_to_it(one: Attacks) -> None:
    """That of P25 is a reason of a report, and none of the program's refusals by their type."""
    assert bool(one.page) == (one.rule in cited(REFUSING, *code()) or one.rule == "P25")
    assert all(map(is_there, one.page_tests))
    if one.page:
        shows_none = any(test.startswith("tests/unit/test_ways_in.py::") for test in one.page_tests)
        seen = any(test.startswith("tests/e2e/") for test in one.page_tests)
        assert one.page.startswith(NO_WAY) if shows_none else seen, one.page


@pytest.mark.parametrize("one", ATTACKS, ids=[one.rule for one in ATTACKS])
def test_the_code_of_a_refusal_is_told_where_the_program_refuses(one: Attacks) -> None:
    assert (f"`policy.{one.rule}`" in one.refused) == (one.rule in cited(REFUSING, *code())), one.refused


def test_every_audit_entry_stands_with_a_rule_and_the_program_writes_each_that_stands_there() -> None:
    written = set[str]().union(*(actions_in(file) for file in code())) | SAFER
    written |= {guard.action for (method, _), guard in GUARDS.items() if method == "POST" and guard.deed}
    told = {action for one in ATTACKS for action in one.actions}
    strings = {text for file in code() for text in TEXT.findall(file.read_text(encoding="utf-8"))}
    assert told <= strings, told - strings
    assert len(written) > 60
    assert written - told == set()


def actions_in(file: Path) -> set[str]:
    """What is given as `action=`, or to who watches for refusals, by itself or by a constant of the module."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    constants = {
        target.id: node.value.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Constant)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    found = set()
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        for value in [keyword.value for keyword in call.keywords if keyword.arg == "action"]:
            text = value.value if isinstance(value, ast.Constant) else constants.get(getattr(value, "id", ""))
            if isinstance(text, str):
                found.add(text)
    return found
