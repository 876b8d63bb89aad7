"""The threat model names proofs that are there, and says of each adversary what remains."""

import re

from tests.rules_page import ROOT, read_rows

PAGE = (ROOT / "docs/threat-model.md").read_text(encoding="utf-8")
ADVERSARIES = dict(re.findall(r"^## (The [^\n]+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))


def test_every_adversary_that_was_asked_for_has_a_section() -> None:
    for name in ("insider analyst", "colluding pair", "administrator", "outsider", "vendor"):
        assert f"The {name}" in ADVERSARIES


def test_each_says_what_stops_them_where_that_is_shown_and_what_remains() -> None:
    for name, text in ADVERSARIES.items():
        assert "**What remains" in text, name
        assert len(re.findall(r"`tests/\S+\.py`", text)) >= 3, name


def test_every_proof_that_is_named_is_there() -> None:
    named = re.findall(r"`((?:tests|rtcc_bridge)/[^`]+)`", PAGE)
    assert len(named) > 30
    for path in named:
        assert (ROOT / path).is_file(), path


def test_an_attack_that_is_named_belongs_to_a_rule_of_its_line() -> None:
    """A line of a table that cites rules cites those of the attacks beside them."""
    rows = {row.rule for row in read_rows()}
    for line in PAGE.splitlines():
        attacked = set(re.findall(r"tests/policy/test_(P\d{2})_", line))
        if line.startswith("|") and attacked:
            assert attacked <= set(re.findall(r"\bP\d{2}\b", line.replace("test_P", ""))) & rows, line
