"""One line for each rule at the end of a run of tests/policy: how its tests ended, and what it promises."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from textwrap import shorten
from typing import Final

from tests.rules_page import Row

_RULE: Final = re.compile(r"\btests/policy/test_(P\d{2})_")
_FAILURES: Final = ("failed", "error")
_TOLD: Final = ("passed", "failed", "error", "skipped", "xfailed", "xpassed")


def tally(nodes: Mapping[str, Iterable[str]]) -> Mapping[str, Counter[str]]:
    """By rule how many of its tests ended how. nodes: by outcome the names of tests."""
    found: dict[str, Counter[str]] = {}
    for outcome in _TOLD:
        for node in nodes.get(outcome, ()):
            if named := _RULE.search(node):
                found.setdefault(named[1], Counter())[outcome] += 1
    return found


def lines(rows: Iterable[Row], counted: Mapping[str, Counter[str]], width: int) -> Iterator[tuple[str, bool]]:
    """A line for each rule, and whether something in it failed. Where some attacks were not run, those that were."""
    rows = list(rows)
    is_part = any(row.rule not in counted for row in rows if _has_attacks(row))
    for row in rows:
        if is_part and row.rule not in counted:
            continue
        counter = counted.get(row.rule, Counter())
        failed = any(counter[outcome] for outcome in _FAILURES)
        said = ", ".join(f"{counter[outcome]} {outcome}" for outcome in _TOLD if counter[outcome]) or _no_test(row)
        line = f"{row.rule}  {said:<24}  "
        yield line + shorten(row.promise, max(20, width - len(line)), placeholder=" …"), failed


def _no_test(row: Row) -> str:
    """Why a rule has no line of its own results."""
    return "no test here" if row.is_built else "NO TEST: not built"


def _has_attacks(row: Row) -> bool:
    return any(file.startswith("tests/policy/") for file in row.tests)
