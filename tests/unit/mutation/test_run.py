"""A removal that is noticed, one that is not, and a run that goes on: on a small program with tests of its own."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from tests.mutation import __main__ as program
from tests.mutation.checks import Check, find_checks
from tests.mutation.ledger import Ledger, counts, key_of, markdown
from tests.mutation.trial import Result, Tree, TrialError, Verdict
from tests.rules_page import Row

PROGRAM = '''
class PolicyRefusalError(Exception):
    """No."""


def require_one(asked: bool) -> None:
    if asked:
        raise PolicyRefusalError("P01", "no")


def require_two(asked: bool) -> None:
    if asked:
        raise PolicyRefusalError("P02", "no")
'''
TESTS = """
import pytest

from program.rules import PolicyRefusalError, require_one


def test_one() -> None:
    with pytest.raises(PolicyRefusalError):
        require_one(True)
"""
LIMIT_SECONDS = 60.0


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "source" / "program").mkdir(parents=True)
    (tmp_path / "source" / "program" / "rules.py").write_text(PROGRAM, encoding="utf-8")
    (tmp_path / "source" / "test_rules.py").write_text(TESTS, encoding="utf-8")
    return tmp_path / "source"


@pytest.fixture
def checks(source: Path) -> list[Check]:
    return find_checks(source, "program")


async def test_the_test_that_notices_is_named_and_what_nobody_notices_survives(
    source: Path, checks: list[Check], tmp_path: Path
) -> None:
    tree = Tree(source, tmp_path / "copy")
    assert await tree.untouched(["test_rules.py"], LIMIT_SECONDS) > 0
    one, two = [await tree.without(check, ["test_rules.py"], LIMIT_SECONDS) for check in checks]
    assert (one.verdict, one.by) == (Verdict.KILLED, "test_rules.py::test_one")
    assert (two.verdict, two.by) == (Verdict.SURVIVED, "")
    for folder in (source, tree.folder):
        assert (folder / "program" / "rules.py").read_text(encoding="utf-8") == PROGRAM


async def test_tests_that_fail_by_themselves_say_nothing(source: Path, tmp_path: Path) -> None:
    (source / "test_rules.py").write_text("def test_one() -> None:\n    assert False\n", encoding="utf-8")
    with pytest.raises(TrialError, match="does not pass on the program as it is"):
        await Tree(source, tmp_path / "copy").untouched(["test_rules.py"], LIMIT_SECONDS)


async def test_what_no_attack_notices_another_proof_of_the_rule_may(
    source: Path, checks: list[Check], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attack, proof = "tests/policy/test_P02_nothing.py", "tests/unit/test_two.py"
    for name, text in ((attack, "def test_nothing() -> None:\n    pass\n"), (proof, TESTS.replace("_one", "_two"))):
        (source / name).parent.mkdir(parents=True)
        (source / name).write_text(text, encoding="utf-8")
    rows = [Row("P01", "", "enforced", (), ("test_rules.py",)), Row("P02", "", "enforced", (), (attack, proof))]
    monkeypatch.setattr(program, "ROOT", source)
    monkeypatch.setattr(program, "read_rows", lambda: rows)
    run = program.Run(checks, Ledger(tmp_path / "results.jsonl"), Console(file=StringIO()))
    await run.work(1)
    assert [run.results[check].by for check in checks] == ["test_rules.py::test_one", f"{proof}::test_two"]


def test_a_run_goes_on_where_it_was_until_code_or_tests_change(
    source: Path, checks: list[Check], tmp_path: Path
) -> None:
    file, result = tmp_path / "results" / "results.jsonl", Result(Verdict.KILLED, "test_rules.py::test_one", 1.5)
    key = key_of(checks[0], source, ["test_rules.py"])
    Ledger(file).add(key, checks[0], result)
    with file.open("a", encoding="utf-8") as opened:
        opened.write('{"key": "cut o')
    assert Ledger(file).find(key) == result
    assert key_of(checks[1], source, ["test_rules.py"]) != key
    (source / "test_rules.py").write_text(TESTS + "\n", encoding="utf-8")
    assert Ledger(file).find(key_of(checks[0], source, ["test_rules.py"])) is None


def test_the_tables_name_what_survived(checks: list[Check]) -> None:
    results = [
        (checks[0], Result(Verdict.KILLED, "test_rules.py::test_one", 1.0)),
        (checks[1], Result(Verdict.SURVIVED, "", 1.0)),
    ]
    assert counts(results) == {"P01": (1, 0), "P02": (1, 1)}
    head, _, killed, survived = markdown(results).splitlines()
    assert head.startswith("| rule |")
    assert killed.startswith("| P01 | `program/rules.py:8` require_one")
    assert killed.endswith("| `test_rules.py::test_one` |")
    assert survived.endswith("| **SURVIVED** |")
