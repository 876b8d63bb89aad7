"""What a batch costs is learned from those that ran, and not from the one that something else held up."""

import pytest

from rtcc_bridge.matching.service_time import ServiceTime, shape_of


def learned(seconds_by_size: dict[int, float], times: int = 3) -> ServiceTime:
    service = ServiceTime()
    for size, seconds in seconds_by_size.items():
        for _ in range(times):
            service.record(size, seconds)
    return service


def test_nothing_is_known_before_a_batch_ran() -> None:
    service = ServiceTime()
    assert (service.seconds(1), service.seconds(32), service.smallest_worthwhile(0.03)) == (0.0, 0.0, 1)
    assert service.is_due(1, samples=1, batches=1)


@pytest.mark.parametrize(
    ("size", "seconds"), [(1, 10.0), (2, 12.0), (3, 13.0), (4, 14.0), (8, 14.0)], ids=lambda value: f"{value:g}"
)
def test_between_the_sizes_that_ran_it_is_read_off(size: int, seconds: float) -> None:
    assert learned({1: 10.0, 2: 12.0, 4: 14.0}).seconds(size) == pytest.approx(seconds)


def test_below_the_sizes_that_ran_an_item_costs_its_share() -> None:
    """So that nobody waits for company on a machine of which it is not known whether company costs nothing."""
    assert learned({4: 8.0}).seconds(1) == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("fixed", "each", "worthwhile"), [(3.0, 0.05, 32), (3.0, 0.3, 32), (1.0, 1.0, 16), (0.1, 1.0, 4), (0.0, 1.0, 1)]
)
def test_the_smallest_size_that_gives_nearly_the_best_rate(fixed: float, each: float, worthwhile: int) -> None:
    service = learned({size: fixed + each * size for size in (1, 2, 4, 8, 16, 32)})
    assert service.smallest_worthwhile(0.03) == worthwhile


def test_one_batch_that_was_held_up_moves_nothing() -> None:
    service = learned({1: 1.0, 2: 1.2})
    service.record(2, 500.0)
    assert service.seconds(2) == pytest.approx(1.2)


def test_batches_that_fill_their_shape_in_part_do_not_make_it_look_slow() -> None:
    service = ServiceTime()
    for size in (5, 8, 8, 5, 6, 8, 8, 8, 5):
        service.record(size, 2.0 * size)
    assert service.seconds(5) / 5 == pytest.approx(2.0)
    assert service.smallest_worthwhile(0.02) == 8


def test_a_machine_that_has_become_slower_is_noticed() -> None:
    service = learned({1: 1.0}, times=9)
    for _ in range(5):
        service.record(1, 3.0)
    assert service.seconds(1) == pytest.approx(3.0)


def test_a_size_is_due_until_it_ran_so_often_and_again_when_it_has_not_run_for_long() -> None:
    service = learned({4: 1.0}, times=2)
    assert service.is_due(4, samples=3, batches=10)
    assert not service.is_due(4, samples=2, batches=10)
    service.record(3, 1.0)
    assert not service.is_due(4, samples=3, batches=10), "3 run in the shape of 4"
    for _ in range(9):
        service.record(1, 1.0)
    assert not service.is_due(4, samples=3, batches=10)
    service.record(1, 1.0)
    assert service.is_due(4, samples=3, batches=10)


@pytest.mark.parametrize(("size", "shape"), [(1, 1), (2, 2), (3, 4), (4, 4), (5, 8), (33, 64)])
def test_a_shape_is_the_power_of_two_that_is_filled_at_most(size: int, shape: int) -> None:
    assert shape_of(size) == shape
