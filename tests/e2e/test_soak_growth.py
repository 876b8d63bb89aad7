"""The soak's judge sees memory that grows, files that stay open and a load that was not there, and no growth in a
warm-up, in a moment's peak or in workers that come and go."""

from collections.abc import Callable

from tests.e2e.faults.soak import Growth, Load, Sample, growth_of, shortfalls

MB = 1_000_000


def growth(resident: Callable[[int], int], files: Callable[[int], int] = lambda _: 20) -> Growth:
    (found,) = growth_of([Sample("web-1", second, resident(second), files(second)) for second in range(1200)])
    return found


def test_what_stays_as_it_is_is_flat() -> None:
    assert growth(lambda _: 200 * MB).is_flat


def test_a_warm_up_is_no_growth() -> None:
    assert growth(lambda second: 100 * MB + min(second, 250) * MB).is_flat


def test_a_moments_peak_is_no_growth() -> None:
    assert growth(lambda second: (900 if second > 1190 else 200) * MB).is_flat


def test_memory_that_grows_is_seen() -> None:
    slow = growth(lambda second: 200 * MB + second * 10_000)
    assert not slow.is_flat
    assert slow.share > 0.02


def test_files_that_stay_open_are_seen() -> None:
    assert not growth(lambda _: 200 * MB, lambda second: 20 + second // 300).is_flat


def test_files_of_requests_in_flight_are_no_growth() -> None:
    assert growth(lambda _: 200 * MB, lambda second: 20 + (second > 600) * (second % 3)).is_flat


def test_workers_that_are_replaced_do_not_grow() -> None:
    """Each grows for a while, and for a moment its successor is there as well."""
    assert growth(lambda second: (260 if second % 13 == 0 else 120 + min(second % 13, 4)) * MB).is_flat


def test_new_workers_that_need_more_than_old_ones_are_seen() -> None:
    assert not growth(lambda second: (120 + second // 200 + min(second % 13, 4)) * MB).is_flat


def test_a_load_that_was_nearly_reached_is_enough() -> None:
    assert shortfalls(Load(200, 2), Load(191, 1.91)) == []


def test_a_load_that_was_not_there_is_told() -> None:
    assert shortfalls(Load(200, 2), Load(150, 1.5)) == [
        "only 150.00 events a second came about, where 200 were asked for",
        "only 1.50 probes a second came about, where 2 were asked for",
    ]
