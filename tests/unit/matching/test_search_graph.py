"""The committed search graph is the one that the script makes."""

from scripts.make_search_graph import GRAPH, build


def test_the_committed_graph_is_up_to_date() -> None:
    assert GRAPH.read_bytes() == build().SerializeToString(), "run python scripts/make_search_graph.py"
