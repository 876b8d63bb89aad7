"""The soak's judge sees memory that grows and files that stay open, and no growth in a warm-up or a moment's peak."""

from collections.abc import Callable

from tests.e2e.faults.soak import Growth, Sample, growth_of

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
