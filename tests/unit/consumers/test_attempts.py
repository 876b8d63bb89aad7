"""What is tried again, how often, and what it is called in the end."""

import asyncio
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from rtcc_bridge.consumers.attempts import LONGEST_PAUSE_SECONDS, Attempts, until_available
from rtcc_bridge.consumers.records import ConsumedRecord
from rtcc_bridge.errors import (
    BusyError,
    ConflictError,
    IntegrityError,
    InvalidInputError,
    PolicyRefusalError,
    TransientError,
    UnavailableError,
)
from tests.doubles import ManualClock


class Failing:
    """Raises the given errors in turn, then succeeds."""

    def __init__(self, clock: ManualClock, *errors: Exception) -> None:
        self.clock = clock
        self.errors = list(errors)
        self.calls = 0

    async def __call__(self) -> None:
        self.calls += 1
        if self.errors:
            self.clock.advance(1)
            raise self.errors.pop(0)


def attempts(clock: ManualClock, limit: int = 3) -> Attempts:
    record = ConsumedRecord("rtcc.incidents", 1, 42, b"k", b"v", (), clock.now())
    return Attempts(limit, 0.001, clock, record)


async def test_success_is_no_failure(clock: ManualClock) -> None:
    assert await attempts(clock).run(Failing(clock)) is None


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (InvalidInputError("no", "unknown_type"), "unknown_type"),
        (ConflictError("no"), "conflict"),
        (PolicyRefusalError("P07", "no"), "policy"),
    ],
)
async def test_what_can_never_succeed_is_tried_once(clock: ManualClock, error: Exception, reason: str) -> None:
    work = Failing(clock, error)
    failure = await attempts(clock).run(work)
    assert failure is not None
    assert (failure.error, failure.reason, failure.attempts, work.calls) == (error, reason, 1, 1)


@pytest.mark.parametrize(
    ("make", "reason"), [(TransientError, "retries_exhausted"), (RuntimeError, "failed"), (KeyError, "failed")]
)
async def test_what_may_pass_is_tried_to_the_limit(
    clock: ManualClock, make: Callable[[str], Exception], reason: str
) -> None:
    begin = clock.now()
    failure = await attempts(clock).run(Failing(clock, *(make(str(number)) for number in range(9))))
    assert failure is not None
    assert (failure.reason, failure.attempts) == (reason, 3)
    assert (failure.first_at - begin).total_seconds() == 1
    assert (failure.last_at - begin).total_seconds() == 3


async def test_an_outage_does_not_count(clock: ManualClock) -> None:
    work = Failing(
        clock, *[UnavailableError("away")] * 6, TransientError("a"), BusyError("full", 0.001), TransientError("b")
    )
    assert await attempts(clock).run(work) is None
    assert work.calls == 10


async def test_an_outage_is_logged_once_with_the_place_of_the_record(clock: ManualClock) -> None:
    away = [UnavailableError("away")] * 6
    with capture_logs() as logs:
        await attempts(clock).run(Failing(clock, *away, TransientError("own"), *away))
    assert [(told["error"], told["attempt"]) for told in logs] == [("away", 1), ("own", 7), ("away", 8)]
    assert {(told["topic"], told["partition"], told["offset"]) for told in logs} == {("rtcc.incidents", 1, 42)}


async def test_a_breach_of_integrity_is_not_swallowed(clock: ManualClock) -> None:
    with pytest.raises(IntegrityError):
        await attempts(clock).run(Failing(clock, IntegrityError("stop")))


async def test_cancellation_is_not_swallowed(clock: ManualClock) -> None:
    async def cancelled() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await attempts(clock).run(cancelled)


async def test_what_must_not_be_lost_is_tried_until_it_works(clock: ManualClock) -> None:
    work = Failing(clock, *[UnavailableError("away")] * 8)
    await until_available(lambda: work(), 0.001)  # noqa: PLW0108 - what a lambda returns has to be awaited too
    assert work.calls == 9


async def test_pauses_grow_to_a_limit_and_differ_from_record_to_record(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With jitter: what failed together does not come back together."""
    slept: list[float] = []

    async def note(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", note)
    record = ConsumedRecord("rtcc.incidents", 1, 42, b"k", b"v", (), clock.now())
    for _ in range(20):
        tried = Attempts(12, 0.1, clock, record)
        assert await tried.run(Failing(clock, *[TransientError("no")] * 12)) is not None
    rounds = [slept[start : start + 11] for start in range(0, len(slept), 11)]
    assert len(rounds) == 20
    assert max(slept) <= LONGEST_PAUSE_SECONDS
    for place in (0, 5, 10):
        assert len({pauses[place] for pauses in rounds}) == 20
    assert max(pauses[0] for pauses in rounds) < max(pauses[10] for pauses in rounds)
