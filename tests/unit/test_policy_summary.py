"""The line of each rule at the end of a run of tests/policy."""

from collections import Counter

from tests.policy.summary import lines, tally
from tests.rules_page import Row, read_rows

ROWS = [
    Row("P01", "Nobody is searched for without an incident, a case and an approval.", "enforced", ("a.py",), (
        "tests/policy/test_P01_grounds.py",
    )),
    Row("P06", "A gallery follows the record system.", "partly: dates", ("a.py",), ("tests/unit/test_records.py",)),
    Row("P20", "A packet for the court.", "not built yet", (), ()),
]  # fmt: skip
NODES = {
    "passed": ["tests/policy/test_P01_grounds.py::test_a", "tests/policy/test_P01_grounds.py::test_b[P06]"],
    "failed": ["tests/policy/test_P01_others.py::test_c"],
    "": ["tests/policy/test_P01_grounds.py::test_a"],
    "deselected": ["tests/policy/test_P06_none.py::test_d"],
}


def test_tests_are_counted_for_the_rule_of_their_file() -> None:
    assert tally(NODES) == {"P01": {"passed": 2, "failed": 1}}


def test_each_rule_has_its_line_and_one_without_a_test_is_named() -> None:
    said = list(lines(ROWS, tally(NODES), 80))
    assert [line[:25].rstrip() for line, _ in said] == [
        "P01  2 passed, 1 failed",
        "P06  no test here",
        "P20  NO TEST: not built",
    ]
    assert [failed for _, failed in said] == [True, False, False]
    assert said[0][0].endswith("Nobody is searched for without an incident, a …")
    assert all(len(line) <= 80 for line, _ in said)


def test_of_a_part_of_the_rules_the_others_are_not_told() -> None:
    other = Row("P02", "Four purposes.", "enforced", ("a.py",), ("tests/policy/test_P02_purposes.py",))
    assert [line[:3] for line, _ in lines([*ROWS, other], tally(NODES), 80)] == ["P01"]


def test_all_thirty_rules_have_a_line() -> None:
    rows = list(read_rows())
    assert len(list(lines(rows, {row.rule: Counter(passed=1) for row in rows}, 120))) == 30
