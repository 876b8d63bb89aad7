"""The committed graphs of the search are those that the script makes."""

import pytest

from scripts.make_search_graphs import BUILDERS, GRAPHS


@pytest.mark.parametrize("name", BUILDERS)
def test_a_committed_graph_is_up_to_date(name: str) -> None:
    made = BUILDERS[name]().SerializeToString()
    assert (GRAPHS / name).read_bytes() == made, "run python -m scripts.make_search_graphs"
