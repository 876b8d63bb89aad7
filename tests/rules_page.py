"""The table of docs/policy-rules.md, which leads from each rule to its code and its proof, as rows."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
PAGE: Final = ROOT / "docs/policy-rules.md"
NOT_BUILT: Final = "not built yet"
STATES: Final = ("enforced", "partly: ", NOT_BUILT)

_FILE: Final = re.compile(r"`([^`]+)`")


@dataclass(frozen=True)
class Row:
    """One rule: what it promises, how far it is kept, by which modules, shown by which test files."""

    rule: str
    promise: str
    state: str
    modules: tuple[str, ...]
    tests: tuple[str, ...]

    @property
    def is_built(self) -> bool:
        return not self.state.startswith(NOT_BUILT)

    @property
    def attacks(self) -> tuple[str, ...]:
        """The test files that bear the rule's number; all of its proofs where none does."""
        return tuple(file for file in self.tests if f"/test_{self.rule}_" in file) or self.tests


def read_rows(page: Path = PAGE) -> Iterator[Row]:
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("| P"):
            rule, promise, state, modules, tests = (cell.strip() for cell in line.strip("|").split("|"))
            yield Row(rule, promise, state, tuple(_FILE.findall(modules)), tuple(_FILE.findall(tests)))
