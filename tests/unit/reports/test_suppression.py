"""What is left out cannot be worked out, not even by somebody who knows how it is left out."""

from collections import defaultdict
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcc_bridge.reports.suppression import OTHERS, SMALLEST_SHOWN, Shown, gathered, shown, table

NAMES = ("a", "b", "c", "d")
COUNTS = st.dictionaries(st.text("abcdefgh", min_size=1, max_size=3), st.integers(0, 60), max_size=8)


@pytest.mark.parametrize(("count", "said"), [(0, 0), (1, None), (4, None), (5, 5), (60, 60)])
def test_a_small_count_is_left_out_and_nothing_is_nothing(count: int, said: int | None) -> None:
    assert shown(count) == said


@pytest.mark.parametrize(
    ("counts", "left"),
    [
        ((0, 0, 0, 0), (0, 0, 0, 0)),
        ((5, 6, 0, 9), (5, 6, 0, 9)),
        ((3, 20, 9, 0), (None, 20, None, 0)),
        ((3, 4, 20, 0), (None, None, 20, 0)),
        ((1, 1, 20, 30), (None, None, None, 30)),
        ((4, 4, 4, 9), (None, None, None, None)),
        ((3, 5, 5, 9), (None, None, None, 9)),
        ((1, 1, 1, 0), (None, None, None, None)),
        ((1, 1, 1, 2), (None, None, None, None)),
    ],
)
def test_a_small_count_takes_another_with_it(counts: tuple[int, ...], left: tuple[int | None, ...]) -> None:
    found = table(dict(zip(NAMES, counts, strict=True)))
    assert tuple(found.counts.values()) == left
    assert found.total == (sum(counts) if sum(counts) == 0 or sum(counts) >= SMALLEST_SHOWN else None)


def splits(total: int, rows: int) -> Iterator[tuple[int, ...]]:
    """Every way in which so many rows add up to the total."""
    if rows == 1:
        yield (total,)
        return
    for first in range(total + 1):
        yield from ((first, *rest) for rest in splits(total - first, rows - 1))


@pytest.mark.parametrize("rows", [1, 2, 3, 4])
def test_no_published_table_gives_a_small_count_away(rows: int) -> None:
    """Whoever sees what is published, and knows this very code, tries every table of at most 20 that it could be."""
    could_be: dict[tuple[tuple[int | None, ...], int | None], list[tuple[int, ...]]] = defaultdict(list)
    for total in range(21):
        for counts in splits(total, rows):
            found = table(dict(zip(NAMES, counts, strict=False)))
            could_be[tuple(found.counts.values()), found.total].append(counts)
    for (said, known), possible in could_be.items():
        for place, count in enumerate(said):
            assert count is not None or len({counts[place] for counts in possible}) > 1, (said, known, possible)


@given(COUNTS)
def test_what_is_shown_is_true_and_no_small_count_is(counts: dict[str, int]) -> None:
    found: Shown = table(counts)
    for name, count in found.counts.items():
        assert count is None or (count == counts[name] and (count == 0 or count >= SMALLEST_SHOWN))
    left_out = [counts[name] for name, count in found.counts.items() if count is None]
    assert not left_out or found.total is None or (len(left_out) > 1 and sum(left_out) >= SMALLEST_SHOWN)


@given(COUNTS)
def test_an_open_list_names_no_rare_row_and_loses_nobody(counts: dict[str, int]) -> None:
    rows = gathered(counts)
    assert sum(rows.values()) == sum(counts.values())
    assert all(count >= SMALLEST_SHOWN for name, count in rows.items() if name != OTHERS)
