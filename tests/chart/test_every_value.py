"""No value of the chart is idle: each that is changed changes what is rendered, or is refused."""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.chart.every_value import LEAVES, SCENARIOS, Leaf, chosen, rendered, scenario_text, text_of
from tests.chart.option_sets import OPTIONS, option
from tests.chart.rendering import Rendered, component_of

MARKED = tuple(leaf for leaf in LEAVES if not leaf.is_changed_alone)
CHANGED = tuple(leaf for leaf in LEAVES if leaf.is_changed_alone)
OF_THE_ONE_PROCESS = ("matcher.gpu.", "web.expose.", "web.preStopSeconds")
"""Values of a role that hold for the one process on SQLite too."""
SECTIONS = {"web", "consumer", "matcher", "relay", "single", "tools", "migration", "topics"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("values")


def texts(objects: Rendered) -> Iterator[tuple[str, str]]:
    """The component of each object, and its text. A checksum may hold any number, and so may a dashboard."""
    for one in objects.objects:
        labels = one["metadata"]["labels"]
        component = labels.get("app.kubernetes.io/component", "")
        text = json.dumps({**one, "data": {}} if component == "dashboards" else one)
        yield component, re.sub(r'"checksum/\w+": "\w+"', "", text)


@cache
def everything(folder: Path) -> tuple[tuple[str, str], ...]:
    """What `texts` finds in all scenarios."""
    return tuple(one for scenario in SCENARIOS for one in texts(rendered(scenario, folder)))


def components_with(leaf: Leaf, folder: Path) -> set[str]:
    """The components of the objects in which the mark of this value is found, in any scenario."""
    return {component for component, text in everything(folder) if str(leaf.mark) in text}


def test_a_mark_stands_nowhere_by_itself() -> None:
    shown = " ".join(text for name in OPTIONS for _, text in texts(option(name)))
    assert not [leaf.path for leaf in LEAVES if str(leaf.mark) in shown]


@pytest.mark.parametrize("leaf", MARKED, ids=lambda leaf: leaf.path)
def test_what_a_value_says_is_rendered(leaf: Leaf, folder: Path) -> None:
    assert components_with(leaf, folder), f"{leaf.path} is rendered in no scenario"


@pytest.mark.parametrize(
    "leaf", [leaf for leaf in MARKED if leaf.path.split(".")[0] in SECTIONS], ids=lambda leaf: leaf.path
)
def test_what_is_set_for_one_role_reaches_no_other(leaf: Leaf, folder: Path) -> None:
    own = {leaf.path.split(".")[0]}
    if leaf.path.startswith(OF_THE_ONE_PROCESS):
        own.add("single")
    assert components_with(leaf, folder) <= own


@pytest.mark.parametrize("leaf", CHANGED, ids=lambda leaf: leaf.path)
def test_a_choice_matters(leaf: Leaf, folder: Path) -> None:
    """Each other choice, in some scenario. One that the scenario contradicts is refused, which is noticed too."""
    idle = {words for scenario in SCENARIOS for words in leaf.others(chosen(scenario)[leaf.path])}
    for scenario in SCENARIOS:
        values = chosen(scenario)
        for words, other in leaf.others(values[leaf.path]).items():
            if words in idle and text_of({**values, leaf.path: other}, folder) != scenario_text(scenario, folder):
                idle.discard(words)
        if not idle:
            return
    raise AssertionError(f"{leaf.path} may become {' or '.join(sorted(idle))}, and nothing tells")


def test_every_workload_belongs_to_a_role_that_is_looked_at() -> None:
    assert {component_of(one) for name in OPTIONS for one in option(name).workloads} == SECTIONS
