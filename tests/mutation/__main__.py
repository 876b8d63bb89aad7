"""Takes each check of the policy out in turn, and says which test notices, or that none does.

    python -m tests.mutation [--rule P12 …] [--kind refusal …] [--jobs N] [--fresh] [--list]

The last line is `mutate-policy: passed` or `mutate-policy: FAILED`, and the exit code is 0 or 1 (something survived);
2 when the tests do not pass by themselves or could not be run. An interrupted run goes on where it was.
"""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console

from tests.mutation.checks import Check, Kind, find_checks
from tests.mutation.ledger import Ledger, counts, key_of, markdown
from tests.mutation.trial import Result, Tree, TrialError, Verdict
from tests.rules_page import ROOT, read_rows

_FIRST_RUN_SECONDS: Final = 900.0
_LEAST_LIMIT_SECONDS: Final = 120.0
_TIMES_AS_LONG: Final = 10


class Run:
    """Several copies of the tree at work on one list of checks."""

    def __init__(self, checks: Sequence[Check], ledger: Ledger, console: Console) -> None:
        self.results: dict[Check, Result] = {}
        self._rows = {row.rule: row for row in read_rows()}
        self._ledger = ledger
        self._console = console
        self._checks = checks
        self._limits: dict[tuple[str, ...], float] = {}
        self._left = asyncio.Queue[Check]()
        # As code and tests are now, since it is copies of them that are tried.
        self._keys = {
            check: key_of(check, ROOT, (*self._tests_of(check), *self._further_tests_of(check))) for check in checks
        }
        for check in checks:
            known = ledger.find(self._keys[check])
            if known is None:
                self._left.put_nowait(check)
            else:
                self.results[check] = known

    async def work(self, jobs: int) -> None:
        """Raises TrialError."""
        if self.results:
            self._console.print(f"{len(self.results)} of {len(self._checks)} are known from before")
        if self._left.empty():
            return
        problems: list[Exception] = []
        with tempfile.TemporaryDirectory(prefix="rtcc-mutation-") as folder:
            try:
                async with asyncio.TaskGroup() as group:
                    for number in range(min(jobs, self._left.qsize())):
                        group.create_task(self._worker(Path(folder) / str(number)))
            except* TrialError as several:
                problems.extend(several.exceptions)
        if problems:
            raise problems[0]

    async def _worker(self, folder: Path) -> None:
        tree = await asyncio.to_thread(Tree, ROOT, folder)
        while not self._left.empty():
            check = self._left.get_nowait()
            result = await self._tried(tree, check, self._tests_of(check))
            if result.verdict is Verdict.SURVIVED and (further := self._further_tests_of(check)):
                result = await self._tried(tree, check, further)
            self._ledger.add(self._keys[check], check, result)
            self.results[check] = result
            said = result.by or "SURVIVED"
            self._console.print(
                f"{len(self.results):4} of {len(self._checks)}  {' '.join(check.rules)}  {check.name}  {said}",
                style="red" if result.verdict is Verdict.SURVIVED else None,
                markup=False,
                highlight=False,
            )

    async def _tried(self, tree: Tree, check: Check, tests: tuple[str, ...]) -> Result:
        return await tree.without(check, tests, await self._limit(tree, tests))

    async def _limit(self, tree: Tree, tests: tuple[str, ...]) -> float:
        """The tests pass on the whole program first; without a check they get ten times as long as that took."""
        if tests not in self._limits:
            took = await tree.untouched(tests, _FIRST_RUN_SECONDS)
            self._limits[tests] = max(_LEAST_LIMIT_SECONDS, _TIMES_AS_LONG * took)
        return self._limits[tests]

    def _tests_of(self, check: Check) -> tuple[str, ...]:
        """Of a gate that asks for several rules those with attacks are asked, where one has any."""
        named = dict.fromkeys(test for rule in check.rules for test in self._rows[rule].attacks)
        found = tuple(test for test in named if test.startswith("tests/policy/")) or tuple(named)
        if not found:
            raise TrialError(f"docs/policy.md names no test for {' '.join(check.rules)}, which {check.name} keeps")
        return found

    def _further_tests_of(self, check: Check) -> tuple[str, ...]:
        """The other proofs of its rules, which take longer or want more: asked where no attack has noticed."""
        asked = self._tests_of(check)
        named = dict.fromkeys(test for rule in check.rules for test in self._rows[rule].tests)
        return tuple(test for test in named if test not in asked)


def report(results: Sequence[tuple[Check, Result]], console: Console, out: Path) -> bool:
    """Prints and writes the tables. Says whether each removal was noticed."""
    out.write_text(markdown(results), encoding="utf-8")
    for check, result in results:
        by = result.by or "SURVIVED"
        console.print(f"{' '.join(check.rules)}  {check.name}  {by}", markup=False, highlight=False)
    console.print()
    for rule, (tried, survived) in counts(results).items():
        console.print(f"{rule}  {tried:3} checks taken out, {survived} unnoticed", highlight=False)
    console.print(f"The table is in {out}.")
    return not any(result.verdict is Verdict.SURVIVED for _, result in results)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rule", action="append", help="only the checks of this rule; several times for several")
    parser.add_argument("--kind", action="append", choices=list(Kind), help="only these: refusal, gate, constant")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="so many at a time")
    parser.add_argument("--fresh", action="store_true", help="forget what is known from before")
    parser.add_argument("--list", action="store_true", help="name the checks and end")
    parser.add_argument("--out", type=Path, default=ROOT / "var/mutate-policy", help="folder of results and table")
    options = parser.parse_args(arguments)
    console = Console(soft_wrap=True)
    checks = [
        check
        for check in find_checks(ROOT)
        if (options.rule is None or set(options.rule) & set(check.rules))
        and (options.kind is None or check.kind in options.kind)
    ]
    if options.list:
        for check in checks:
            console.print(f"{' '.join(check.rules)}  {check.kind}  {check.name}", markup=False, highlight=False)
        return 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: the tests that run end too
    options.out.mkdir(parents=True, exist_ok=True)
    ledger_file = options.out / "results.jsonl"
    if options.fresh:
        ledger_file.unlink(missing_ok=True)
    try:
        run = Run(checks, Ledger(ledger_file), console)
        asyncio.run(run.work(options.jobs))
    except TrialError as problem:
        console.print(str(problem), style="red", markup=False)
        return 2
    passed = report([(check, run.results[check]) for check in checks], console, options.out / "table.md")
    console.print(f"mutate-policy: {'passed' if passed else 'FAILED'}")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
