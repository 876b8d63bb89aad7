"""The example of docs/sizing.md is what its formulas give, and what it says was measured is no better than that."""

import math
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "sizing.md").read_text(encoding="utf-8")
RELIABILITY = (DOCS / "reliability.md").read_text(encoding="utf-8")

GIVEN = {symbol: float(value) for symbol, value in re.findall(r"^\| `(\w)` \|[^|]*\| ([\d.]+) \|", PAGE, re.MULTILINE)}
FORMULAS = re.findall(r"^\S.*?\s{2,}(\w) = (.+)$", PAGE.split("<!-- sizing -->")[1].split("```")[1], re.MULTILINE)
RESULTS = dict(re.findall(r"^\| `(\w)` [^|]*\| ([\d.,]+(?: GB)?) \|$", PAGE, re.MULTILINE))


def results() -> dict[str, float]:
    """What the formulas give, in their order."""
    known: dict[str, float] = dict(GIVEN)
    for symbol, formula in FORMULAS:
        known[symbol] = eval(formula.replace("\N{MULTIPLICATION SIGN}", "*"), {"max": max, "ceil": math.ceil}, known)
    return {symbol: known[symbol] for symbol, _ in FORMULAS}


def test_each_formula_has_its_result() -> None:
    assert [symbol for symbol, _ in FORMULAS] == list(RESULTS)
    assert len(FORMULAS) == 8


@pytest.mark.parametrize("symbol", RESULTS)
def test_the_example_is_what_the_formula_gives(symbol: str) -> None:
    stated, given = RESULTS[symbol].replace(",", ""), results()[symbol]
    if stated.endswith(" GB"):
        digits = len(stated.removesuffix(" GB").partition(".")[2])
        assert stated == f"{given / 1e9:.{digits}f} GB"
    else:
        assert float(stated) == given


def test_each_symbol_is_used_and_explained() -> None:
    used = {symbol for _, formula in FORMULAS for symbol in re.findall(r"\b[A-Za-z]\b", formula)}
    assert used <= GIVEN.keys() | {symbol for symbol, _ in FORMULAS}
    assert used >= GIVEN.keys()


@pytest.mark.parametrize(("row", "symbol"), [("**together**", "m"), ("in the object store, sealed", "V")])
def test_what_a_template_takes_is_what_the_tables_say(row: str, symbol: str) -> None:
    """In the section on the memory of a matcher, which is changed with the program."""
    line = next(line for line in PAGE.splitlines() if line.startswith(f"| {row}"))
    (bytes_of_one,) = re.findall(r"\d+ \S D \+ \d+", line)
    assert bytes_of_one in dict(FORMULAS)[symbol]


def measured(pattern: str) -> float:
    found = re.search(pattern, RELIABILITY)
    assert found is not None, f"docs/reliability.md does not say {pattern}"
    return float(found[1])


def test_what_was_measured_is_not_made_better() -> None:
    assert GIVEN["e"] <= measured(r"kafka, postgresql: ([\d.]+) events/s")
    assert GIVEN["q"] <= measured(r"events/s and ([\d.]+) probes/s; 0 lost")
    megabytes = {
        row: measured(rf"\| {row} \| [\d.]+ \| ([\d.]+) \|")
        for row in ("matcher-1", "consumer-1", "relay-1", "web-1", "web-1 workers")
    }
    assert GIVEN["R"] >= megabytes["matcher-1"] * 1e6
    assert GIVEN["r"] >= max(megabytes[row] for row in ("consumer-1", "relay-1", "web-1")) * 1e6
    assert GIVEN["w"] >= megabytes["web-1 workers"] * 1e6
