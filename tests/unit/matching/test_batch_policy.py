"""Batches grow to the size that is worth it, and nobody waits for company that will not come or brings nothing."""

import pytest

from rtcc_bridge.matching.batch_policy import AdaptiveBatches

ACCELERATOR = (3.0, 0.1)
PROCESSOR = (0.0, 1.0)
"""Fixed seconds of a batch and seconds of each item."""


def policy_on(
    device: tuple[float, float],
    *,
    gap_seconds: float | None = None,
    max_wait_seconds: float = 100.0,
    sizes: tuple[int, ...] = (1, 2, 4, 8, 16, 32),
) -> AdaptiveBatches:
    """A policy that has seen batches of these sizes, and the last of ten arrivals at second 0."""
    policy = AdaptiveBatches(32, max_wait_seconds)
    for size in sizes:
        for _ in range(3):
            policy.ran(size, device[0] + device[1] * size)
    if gap_seconds is not None:
        for number in range(-9, 1):
            policy.arrived(number * gap_seconds)
    return policy


@pytest.mark.parametrize(("device", "size"), [(ACCELERATOR, 32), (PROCESSOR, 1)], ids=["accelerator", "processor"])
def test_a_batch_is_as_large_as_it_is_worth(device: tuple[float, float], size: int) -> None:
    assert policy_on(device).size(waiting=500) == size


@pytest.mark.parametrize(("device", "size"), [(ACCELERATOR, 32), (PROCESSOR, 1)], ids=["accelerator", "processor"])
def test_the_size_is_found_from_nothing(device: tuple[float, float], size: int) -> None:
    policy = AdaptiveBatches(32, 0.0)
    sizes = []
    for _ in range(40):
        sizes.append(policy.size(waiting=500))
        policy.ran(sizes[-1], device[0] + device[1] * sizes[-1])
    assert sizes[-1] == size
    others = [each for each in sizes if each != size]
    assert len(others) <= 10, "what brings nothing is tried and left"


def test_a_size_that_brings_more_is_found_though_its_half_brings_nothing() -> None:
    seconds = {1: 1.0, 2: 2.0, 4: 4.0, 8: 6.0, 16: 12.0, 32: 24.0}
    policy = AdaptiveBatches(32, 0.0)
    for _ in range(40):
        size = policy.size(500)
        policy.ran(size, seconds[size])
    assert policy.size(500) == 8


def test_a_large_batch_that_brings_nothing_is_rarely_tried_again() -> None:
    """Its seconds are what a threat may have to wait."""
    policy = policy_on(PROCESSOR)
    spent = dict.fromkeys((1, 2, 4, 8, 16, 32), 0.0)
    for _ in range(10_000):
        size = policy.size(500)
        spent[size] += size
        policy.ran(size, float(size))
    assert sum(seconds for size, seconds in spent.items() if size > 1) < 0.03 * spent[1]


def test_nothing_is_tried_for_which_not_enough_wait() -> None:
    policy = AdaptiveBatches(32, 0.0)
    for waiting in (1, 1, 3, 3, 3, 3, 7, 7, 7):
        size = policy.size(waiting)
        assert size <= waiting
        policy.ran(size, 1.0)


def test_the_size_is_found_again_after_the_machine_was_busy() -> None:
    policy = policy_on(PROCESSOR)
    assert policy.size(500) == 1
    for _ in range(3000):
        size = policy.size(500)
        policy.ran(size, ACCELERATOR[0] + ACCELERATOR[1] * size)
    assert policy.size(500) in {16, 32}


@pytest.mark.parametrize("largest", [1, 3, 24])
def test_the_limit_holds_and_is_reached_whatever_number_it_is(largest: int) -> None:
    policy = AdaptiveBatches(largest, 0.0)
    sizes = []
    for _ in range(40):
        sizes.append(policy.size(waiting=500))
        policy.ran(sizes[-1], 1.0)
    assert max(sizes) == largest
    assert sizes.count(largest) >= 20


@pytest.mark.parametrize("gap_seconds", [None, 2.0, 60.0], ids=["unknown", "long", "very long"])
def test_at_a_low_load_nobody_waits(gap_seconds: float | None) -> None:
    assert policy_on(ACCELERATOR, gap_seconds=gap_seconds).start_at(1, oldest_at=0.0, now=0.0) == 0.0


@pytest.mark.parametrize("gap_seconds", [0.001, 0.1, 1.0])
def test_nobody_waits_where_batches_bring_nothing(gap_seconds: float) -> None:
    assert policy_on(PROCESSOR, gap_seconds=gap_seconds).start_at(1, oldest_at=0.0, now=0.0) == 0.0


def test_before_a_batch_ran_nobody_waits() -> None:
    assert policy_on(ACCELERATOR, gap_seconds=0.001, sizes=()).start_at(1, oldest_at=0.0, now=0.0) == 0.0


@pytest.mark.parametrize("waiting", [1, 2, 4, 8, 16])
def test_a_wait_lasts_while_the_next_may_come_soon_enough_to_pay(waiting: int) -> None:
    """s(1) / (n + 1) - m, counted from the latest arrival; a newcomer starts it anew."""
    worth = 3.1 / (waiting + 1) - 0.1
    policy = policy_on(ACCELERATOR, gap_seconds=0.01)
    assert policy.start_at(waiting, oldest_at=-0.5, now=0.0) == pytest.approx(worth)
    policy.arrived(0.02)
    assert policy.start_at(waiting, oldest_at=-0.5, now=0.02) == pytest.approx(0.02 + worth)


def test_with_each_one_that_waits_the_next_is_worth_less() -> None:
    policy = policy_on(ACCELERATOR, gap_seconds=0.01)
    starts = [policy.start_at(waiting, oldest_at=0.0, now=0.0) for waiting in range(1, 32)]
    assert starts == sorted(starts, reverse=True)
    assert starts[0] > 1.0
    assert starts[-1] == 0.0


def test_a_pause_between_two_bursts_is_not_taken_for_the_gap_within_them() -> None:
    policy = policy_on(ACCELERATOR, gap_seconds=0.01)
    policy.arrived(50.0)
    assert policy.start_at(1, oldest_at=50.0, now=50.0) > 51.0


def test_nobody_waits_longer_than_the_limit() -> None:
    policy = policy_on(ACCELERATOR, gap_seconds=0.01, max_wait_seconds=0.25)
    assert policy.start_at(1, oldest_at=-0.1, now=0.0) == pytest.approx(0.15)


@pytest.mark.parametrize(
    ("device", "urgent", "joining"),
    [(ACCELERATOR, 1, 3), (ACCELERATOR, 30, 2), (ACCELERATOR, 32, 0), (PROCESSOR, 1, 0)],
)
def test_an_imminent_batch_is_filled_as_far_as_it_takes_a_tenth_longer(
    device: tuple[float, float], urgent: int, joining: int
) -> None:
    policy = policy_on(device)
    assert policy.company(urgent) == joining
    fixed, each = device
    assert fixed + each * (urgent + joining) <= 1.1 * (fixed + each * urgent) + 1e-9


@pytest.mark.parametrize(("size", "wait_seconds"), [(0, 0.0), (1, -1.0)])
def test_limits_that_make_no_sense_are_refused(size: int, wait_seconds: float) -> None:
    with pytest.raises(ValueError, match="at least one"):
        AdaptiveBatches(size, wait_seconds)
