"""The files in config/ are examples that people start from: each setting in them says why it is as it is."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

CONFIG = Path(__file__).resolve().parents[2] / "config"
EXAMPLES = sorted(CONFIG.glob("*.yaml"))


def settings_of(node: yaml.Node, path: str = "") -> Iterator[tuple[str, int, int]]:
    """Path, first and last line (from 0) of each setting; in a list that has a line for each item, of each item."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            name = f"{path}.{key.value}".removeprefix(".")
            if isinstance(value, yaml.MappingNode) or (
                isinstance(value, yaml.SequenceNode) and value.start_mark.line != key.start_mark.line
            ):
                yield from settings_of(value, name)
            else:
                yield name, key.start_mark.line, value.end_mark.line
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield f"{path}.{item.value}", item.start_mark.line, item.end_mark.line


def unexplained(text: str) -> list[str]:
    """The settings with no comment beside them and none directly above."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert root is not None
    lines = text.splitlines()
    return [
        path
        for path, first, last in settings_of(root)
        if " # " not in lines[last] and not lines[first - 1].lstrip().startswith("# ")
    ]


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.name)
def test_each_setting_says_why(file: Path) -> None:
    assert unexplained(file.read_text(encoding="utf-8")) == []


def test_there_are_the_examples_that_the_documents_speak_of() -> None:
    assert {file.name for file in EXAMPLES} == {"demo.yaml", "policy.yaml", "production.yaml"}


def test_a_setting_without_a_reason_is_noticed() -> None:
    text = "# Why.\na: 1\nb:\n  c: 2\n  d: [3] # why\n  e:\n    - x # why\n    - y\n"
    assert unexplained(text) == ["b.c", "b.e.y"]
