"""What counts as a check of the policy, and that nothing else of the program goes when it does."""

import ast
import re
from pathlib import Path

import pytest

from tests.mutation.checks import REFUSES_NOTHING, Check, Kind, find_checks
from tests.rules_page import ROOT, read_rows

RULES = """
from program.errors import PolicyRefusalError


class LateError(PolicyRefusalError):
    pass


class ForgedError(LateError):
    def __init__(self, why: str) -> None:
        super().__init__("P29", why)


def told(why: str) -> ForgedError:
    print("it was forged", why)
    return ForgedError(why)


def require_role(role: str) -> None:
    if role != "é":
        raise PolicyRefusalError("P10", "no such rôle")


def require_time(late: bool, role: str) -> None:
    require_role(role)
    if late:
        raise LateError("P14", "too late")


def refusal(problem: str) -> PolicyRefusalError:
    return PolicyRefusalError("P30", problem)


def require_token(token: str | None) -> str:
    if token is None:
        raise refusal("none")
    if token == "forged":
        raise ForgedError("by its seal")
    if token == "stolen":
        raise told("by whom")
    if not token:
        raise ValueError("empty")
    return token


def require_nothing() -> None:
    raise ValueError("never a refusal")
"""
DESK = """
from program import rules
from program.rules import require_role as role_has_to_be, require_time


class Desk:
    async def act(self, role: str) -> str:
        rules.require_time(False, role); require_time(True, role)
        role_has_to_be(role)
        await self._require_all(role)
        rules.require_nothing()
        return rules.require_token(role)

    async def _require_all(self, role: str) -> None:
        rules.require_role(
            role
        )
"""


@pytest.fixture(scope="module")
def of_the_program() -> list[Check]:
    """The checks of our own program, which has to be read as a whole for them: that takes seconds."""
    return find_checks(ROOT)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    folder = tmp_path / "program"
    folder.mkdir()
    for name, source in (("rules", RULES), ("desk", DESK)):
        (folder / f"{name}.py").write_text(source, encoding="utf-8")
    return tmp_path


def checks_of(program: Path) -> list[Check]:
    return find_checks(program, "program")


def test_a_check_belongs_to_the_rule_that_it_leads_to(program: Path) -> None:
    found = [(*check.rules, check.kind.value, check.function, check.what) for check in checks_of(program)]
    assert found == [
        ("P10", "gate", "Desk.act", "role_has_to_be(role)"),
        ("P10", "gate", "Desk.act", "await self._require_all(role)"),
        ("P10", "gate", "Desk._require_all", "rules.require_role( role )"),
        ("P10", "refusal", "require_role", 'raise PolicyRefusalError("P10", "no such rôle")'),
        ("P10", "gate", "require_time", "require_role(role)"),
        ("P10", "P14", "gate", "Desk.act", "rules.require_time(False, role)"),
        ("P10", "P14", "gate", "Desk.act", "require_time(True, role)"),
        ("P14", "refusal", "require_time", 'raise LateError("P14", "too late")'),
        ("P29", "refusal", "require_token", 'raise ForgedError("by its seal")'),
        ("P29", "refusal", "require_token", 'raise told("by whom")'),
        ("P30", "refusal", "require_token", 'raise refusal("none")'),
    ]


def test_what_is_taken_out_is_the_check_and_nothing_else(program: Path) -> None:
    for check in checks_of(program):
        source = (program / check.path).read_bytes()
        gone = source[check.begin : check.end]
        assert " ".join(gone.decode().split()) == check.what
        assert check.removed_from(source) == source[: check.begin] + b"pass" + source[check.end :]


def test_a_constant_of_every_lead_is_a_check_of_its_own(of_the_program: list[Check]) -> None:
    constants = [check for check in of_the_program if check.kind is Kind.CONSTANT]
    assert len(constants) > 4
    for check in constants:
        left = check.removed_from((ROOT / check.path).read_bytes())
        names: dict[str, object] = {}
        exec(compile(left, check.path, "exec"), names)
        key = re.match(r'"(\w+)"', check.what)
        assert key is not None
        remaining = names["LEAD_CONSTANTS"]
        assert isinstance(remaining, type(names["MappingProxyType"]({})))  # type: ignore[operator]
        assert len(remaining) == len(constants) - 1
        assert key[1] not in remaining


def test_no_refusal_of_the_program_is_overlooked(of_the_program: list[Check]) -> None:
    """Counted once more, in the text: whatever raises a refusal by its name."""
    said = {
        str(file.relative_to(ROOT)): len(re.findall(r"raise PolicyRefusalError\(", file.read_text(encoding="utf-8")))
        for file in (ROOT / "rtcc_bridge").rglob("*.py")
    }
    found = [check.path for check in of_the_program if check.what.startswith("raise PolicyRefusalError(")]
    expected = {path: count for path, count in said.items() if count and path not in REFUSES_NOTHING}
    assert {path: found.count(path) for path in set(found)} == expected
    assert len(found) > 50


def test_each_check_has_tests_that_are_asked(of_the_program: list[Check]) -> None:
    asked = {row.rule: row.attacks for row in read_rows()}
    for check in of_the_program:
        assert any(asked[rule] for rule in check.rules), check.name


def test_each_removal_is_a_program_that_python_takes(of_the_program: list[Check]) -> None:
    for check in of_the_program:
        ast.parse(check.removed_from((ROOT / check.path).read_bytes()))
