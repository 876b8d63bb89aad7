"""What is known already of each check, so that an interrupted run goes on where it was."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tests.mutation.checks import Check
from tests.mutation.trial import Result, Verdict


def key_of(check: Check, root: Path, tests: Sequence[str]) -> str:
    """A result counts as long as the check's file and the tests of its rules are what they were."""
    digest = hashlib.sha256(repr((check.rules, check.begin, check.end)).encode())
    for path in (check.path, *tests):
        digest.update(hashlib.sha256((root / path).read_bytes()).digest())
    return digest.hexdigest()


class Ledger:
    """A file with one line of JSON for each result; a line that was cut off by an interruption is left out."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._results: dict[str, Result] = {}
        if file.exists():
            for line in file.read_text(encoding="utf-8").splitlines():
                if line.endswith("}"):
                    row = json.loads(line)
                    self._results[row["key"]] = Result(Verdict(row["verdict"]), row["by"], row["seconds"])

    def find(self, key: str) -> Result | None:
        return self._results.get(key)

    def add(self, key: str, check: Check, result: Result) -> None:
        self._results[key] = result
        self._file.parent.mkdir(parents=True, exist_ok=True)
        row = {"key": key, "rules": check.rules, "check": check.name, "verdict": result.verdict, "by": result.by}
        with self._file.open("a", encoding="utf-8") as opened:
            opened.write(json.dumps({**row, "seconds": round(result.seconds, 1)}) + "\n")


def markdown(rows: Iterable[tuple[Check, Result]]) -> str:
    """One line for each check: its rule, where it stands, and which test notices that it is gone."""
    lines = ["| rule | check | its removal is noticed by |", "|---|---|---|"]
    for check, result in rows:
        by = f"`{result.by}`" if result.by else "**SURVIVED**"
        what = check.what.replace("|", "\\|")
        lines.append(f"| {' '.join(check.rules)} | `{check.path}:{check.line}` {check.function}: `{what}` | {by} |")
    return "\n".join(lines) + "\n"


def counts(rows: Iterable[tuple[Check, Result]]) -> Mapping[str, tuple[int, int]]:
    """By rule: how many of its checks were taken out, and how many of them unnoticed."""
    found: dict[str, tuple[int, int]] = {}
    for check, result in rows:
        for rule in check.rules:
            tried, survived = found.get(rule, (0, 0))
            found[rule] = (tried + 1, survived + (result.verdict is Verdict.SURVIVED))
    return dict(sorted(found.items()))
