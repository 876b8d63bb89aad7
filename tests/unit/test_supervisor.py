"""The supervisor: parts stop stage by stage within one time limit, and none dies in silence."""

import asyncio

import pytest

from rtcc_bridge.errors import IntegrityError
from rtcc_bridge.supervisor import Part, PartDiedError, Stage, supervise

LONG = 600.0


class Recorded:
    """A part that runs until it is asked to stop, and notes when."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name = name
        self.log = log
        self.asked = asyncio.Event()

    async def run(self) -> None:
        await self.asked.wait()
        self.log.append(self.name)

    def stop(self) -> None:
        self.asked.set()

    def part(self, stage: Stage = Stage.WORK) -> Part:
        return Part(self.name, self.run, self.stop, stage)


def asked_to_stop() -> asyncio.Event:
    stop = asyncio.Event()
    stop.set()
    return stop


async def test_parts_stop_stage_by_stage() -> None:
    log: list[str] = []
    parts = [Recorded(stage.name, log).part(stage) for stage in reversed(Stage)]
    await supervise(parts, asked_to_stop(), LONG)
    assert log == ["INTAKE", "WORK", "RELAY", "BACKGROUND"]


async def test_the_parts_of_a_stage_stop_at_the_same_time() -> None:
    """Each ends only when the other was asked too: one after the other they would wait for ever."""
    consumer, matcher = asyncio.Event(), asyncio.Event()

    def part(name: str, own: asyncio.Event, other: asyncio.Event) -> Part:
        async def run() -> None:
            await own.wait()
            await other.wait()

        return Part(name, run, own.set, Stage.WORK)

    await supervise([part("consumer", consumer, matcher), part("matcher", matcher, consumer)], asked_to_stop(), LONG)


async def test_a_stage_that_hangs_leaves_time_for_those_after_it() -> None:
    log: list[str] = []

    async def hangs() -> None:
        await asyncio.Event().wait()

    def hanging(stage: Stage) -> Part:
        return Part(f"deaf {stage.name}", hangs, lambda: None, stage)

    relay = Recorded("relay", log).part(Stage.RELAY)
    await supervise(
        [hanging(Stage.INTAKE), hanging(Stage.WORK), relay, hanging(Stage.BACKGROUND)], asked_to_stop(), 0.4
    )
    assert log == ["relay"]


async def test_a_part_that_even_ignores_its_cancellation_holds_up_nothing() -> None:
    released = asyncio.Event()

    async def deaf() -> None:
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue

    await supervise([Part("deaf", deaf, lambda: None, Stage.INTAKE)], asked_to_stop(), 0.2)
    released.set()


async def test_the_beginning_of_the_stopping_is_told() -> None:
    told: list[str] = []

    async def ends() -> None:
        return None

    with pytest.raises(PartDiedError):
        await supervise([Part("matcher", ends)], asyncio.Event(), LONG, lambda: told.append("stopping"))
    assert told == ["stopping"]


async def test_a_part_that_ends_by_itself_stops_the_others_and_is_named() -> None:
    log: list[str] = []

    async def ends() -> None:
        return None

    with pytest.raises(PartDiedError, match="matcher"):
        await supervise([Recorded("relay", log).part(), Part("matcher", ends)], asyncio.Event(), LONG)
    assert log == ["relay"]


async def test_what_a_part_raised_is_kept_as_the_cause() -> None:
    async def breaks() -> None:
        raise ValueError("a defect")

    with pytest.raises(PartDiedError) as raised:
        await supervise([Part("matcher", breaks)], asyncio.Event(), LONG)
    assert isinstance(raised.value.__cause__, ValueError)


async def test_a_breach_of_integrity_comes_through_as_it_is() -> None:
    async def breaks() -> None:
        raise IntegrityError("a sealed object was altered")

    with pytest.raises(IntegrityError, match="altered"):
        await supervise([Part("gallery", breaks)], asyncio.Event(), LONG)


async def test_a_part_that_does_not_listen_is_cancelled() -> None:
    cancelled = asyncio.Event()

    async def deaf() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    await supervise([Part("deaf", deaf, lambda: None)], asked_to_stop(), 0.1)
    assert cancelled.is_set()


async def test_a_part_that_fails_while_it_stops_is_not_silent() -> None:
    asked = asyncio.Event()

    async def fails_late() -> None:
        await asked.wait()
        raise ValueError("while stopping")

    with pytest.raises(PartDiedError, match="relay"):
        await supervise([Part("relay", fails_late, asked.set)], asked_to_stop(), LONG)


async def test_a_stop_that_fails_keeps_no_other_part_from_being_stopped() -> None:
    log: list[str] = []

    def fails() -> None:
        raise RuntimeError("cannot stop")

    async def lasts() -> None:
        await asyncio.Event().wait()

    async def breaks() -> None:
        raise IntegrityError("a sealed object was altered")

    parts = [Recorded("relay", log).part(), Part("web", lasts, fails, Stage.INTAKE), Part("gallery", breaks)]
    with pytest.raises(IntegrityError, match="altered"):
        await supervise(parts, asyncio.Event(), LONG)
    assert log == ["relay"]
