"""The supervisor: parts stop in reverse order, and none dies in silence."""

import asyncio

import pytest

from rtcc_bridge.errors import IntegrityError
from rtcc_bridge.supervisor import Part, PartDiedError, supervise


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

    def part(self) -> Part:
        return Part(self.name, self.run, self.stop)


async def test_parts_stop_in_reverse_order() -> None:
    log: list[str] = []
    stop = asyncio.Event()
    stop.set()
    await supervise([Recorded(name, log).part() for name in ("relay", "consumer", "web")], stop)
    assert log == ["web", "consumer", "relay"]


async def test_a_part_that_ends_by_itself_stops_the_others_and_is_named() -> None:
    log: list[str] = []

    async def ends() -> None:
        return None

    with pytest.raises(PartDiedError, match="matcher"):
        await supervise([Recorded("relay", log).part(), Part("matcher", ends)], asyncio.Event())
    assert log == ["relay"]


async def test_what_a_part_raised_is_kept_as_the_cause() -> None:
    async def breaks() -> None:
        raise ValueError("a defect")

    with pytest.raises(PartDiedError) as raised:
        await supervise([Part("matcher", breaks)], asyncio.Event())
    assert isinstance(raised.value.__cause__, ValueError)


async def test_a_breach_of_integrity_comes_through_as_it_is() -> None:
    async def breaks() -> None:
        raise IntegrityError("a sealed object was altered")

    with pytest.raises(IntegrityError, match="altered"):
        await supervise([Part("gallery", breaks)], asyncio.Event())


async def test_a_part_that_does_not_listen_is_cancelled() -> None:
    cancelled = asyncio.Event()

    async def deaf() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    stop = asyncio.Event()
    stop.set()
    await supervise([Part("deaf", deaf, lambda: None, stop_seconds=0.05)], stop)
    assert cancelled.is_set()


async def test_a_part_that_fails_while_it_stops_is_not_silent() -> None:
    asked = asyncio.Event()

    async def fails_late() -> None:
        await asked.wait()
        raise ValueError("while stopping")

    stop = asyncio.Event()
    stop.set()
    with pytest.raises(PartDiedError, match="relay"):
        await supervise([Part("relay", fails_late, asked.set)], stop)


async def test_a_stop_that_fails_keeps_no_other_part_from_being_stopped() -> None:
    log: list[str] = []

    def fails() -> None:
        raise RuntimeError("cannot stop")

    async def lasts() -> None:
        await asyncio.Event().wait()

    async def breaks() -> None:
        raise IntegrityError("a sealed object was altered")

    parts = [Recorded("relay", log).part(), Part("web", lasts, fails, stop_seconds=0.05), Part("gallery", breaks)]
    with pytest.raises(IntegrityError, match="altered"):
        await supervise(parts, asyncio.Event())
    assert log == ["relay"]
