"""docs/policy.md as data: its table, from each rule to its code and its proof, and how each rule is attacked."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
PAGE: Final = ROOT / "docs/policy.md"
NOT_BUILT: Final = "not built yet"
STATES: Final = ("enforced", "partly: ", NOT_BUILT)

_FILE: Final = re.compile(r"`([^`]+)`")


WAYS: Final = ("API", "Kafka", "Command line", "Direct call")
NO_WAY: Final = "no such way: "
_ITEM: Final = re.compile(r"^- \*\*(.+?):\*\* (.+)$")


@dataclass(frozen=True)
class Attacks:
    """How one rule is attacked. ways: by each way in what is said; refused, entries: codes and actions in words.

    page: where a person at a browser meets its refusal; empty where the rule refuses nobody.
    """

    rule: str
    ways: dict[str, str]
    refused: str
    entries: str
    page: str

    def tests(self, way: str) -> tuple[str, ...]:
        """The tests that are named, as pytest takes them."""
        return tuple(_FILE.findall(self.ways[way]))

    @property
    def page_tests(self) -> tuple[str, ...]:
        return tuple(_FILE.findall(self.page))

    @property
    def actions(self) -> tuple[str, ...]:
        return tuple(_FILE.findall(self.entries))


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


def read_attacks(page: Path = PAGE) -> Iterator[Attacks]:
    """In the order of the page. Raises KeyError where an item is missing."""
    for section in page.read_text(encoding="utf-8").split("\n### ")[1:]:
        rule, *lines = section.splitlines()
        said = {item[1]: item[2] for item in map(_ITEM.match, lines) if item is not None}
        ways = {way: said[way] for way in WAYS}
        yield Attacks(rule, ways, said["Refused as"], said["Audit entries"], said.get("At a page", ""))
