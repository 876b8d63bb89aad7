"""One fault after another on one deployment under load, each judged when the deployment has recovered."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
import asyncpg
from confluent_kafka import KafkaException

from tests.e2e.faults.event_load import EventLoad
from tests.e2e.faults.ledger import HeardEvent, Ledger, digest_of
from tests.e2e.faults.oracle import Fault, Finding, judge
from tests.e2e.faults.own_incidents import OwnIncidents
from tests.e2e.faults.plant import Plant
from tests.e2e.faults.probe_load import ProbeLoad
from tests.e2e.faults.problems import Problems
from tests.e2e.faults.readers import BrokerReader, DatabaseReader, gather_evidence
from tests.e2e.faults.table import Row
from tests.e2e.feed_follower import FeedFollower

RECOVERY_SECONDS: Final = 30.0
"""The promise: so long after a fault at most, nothing lags any more."""

_PATIENCE_SECONDS: Final = 120.0
"""So long is waited, to tell what is late from what is lost."""

_AFTERWARDS_SECONDS: Final = 2.0
_ASK_AGAIN_SECONDS: Final = 0.3

Deed = Callable[[], Awaitable[int]]
"""Does a fault and undoes it; returns how often it was done."""


@dataclass
class Stage:
    """The deployment, its load, what was found so far. A finding that stays is counted for the fault that made it.

    An async context manager: a client follows the live feed all the while. report: told of each fault when it is
    judged.
    """

    plant: Plant
    http: aiohttp.ClientSession
    seed: int
    events_per_second: float
    probes_per_second: float
    report: Callable[[Row], None]
    ledger: Ledger = field(default_factory=Ledger)
    rows: list[Row] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.broker = BrokerReader(self.plant.kafka.bootstrap)
        self.database = DatabaseReader([server.address for server in self.plant.servers])
        self.random = random.Random(self.seed)
        self.events = EventLoad(self.plant.kafka.bootstrap, self.ledger, self.seed)
        self.probes = ProbeLoad(self.http, self.plant.addresses, self.ledger, self.seed)
        self.incidents = OwnIncidents(self.events, self.seed)
        self.heard: list[HeardEvent] = []
        self._follower = FeedFollower(self.http, self.plant.addresses, self._hear)
        self._seen: set[Finding] = set()

    async def __aenter__(self) -> Self:
        self._following = asyncio.create_task(self._follower.run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._following.cancel()
        await asyncio.gather(self._following, return_exceptions=True)

    async def warm_up(self) -> None:
        """Returns when a probe of each purpose has gone its whole way: every role works."""
        await self.events.acknowledged()
        for incident in self.incidents.one_of_each_purpose:
            self.probes.begin(incident)
        await self.probes.finished(_PATIENCE_SECONDS)
        await self._settled()

    def _hear(self, place: int, event: dict[str, Any]) -> None:
        self.heard.append(HeardEvent(place, digest_of(event)))

    async def under(
        self,
        fault: str,
        deed: Deed,
        remark: str | Callable[[], str] = "",
        failures: Callable[[], Sequence[str]] = tuple,
    ) -> Row:
        """Does the fault under load, waits until nothing moves any more, and judges.

        remark, failures: how the fault was done, and what of it could not be done, asked when it is over.
        """
        stop = asyncio.Event()
        load = [
            asyncio.create_task(self.events.run(self.events_per_second, until=stop)),
            asyncio.create_task(self.incidents.run(until=stop)),
            asyncio.create_task(self.probes.run(self.incidents.choose, self.probes_per_second, until=stop)),
        ]
        problems = Problems()
        count = 0
        try:
            with problems.noted("it could not be done to its end"):
                count = await deed()
            over = time.monotonic()
            await asyncio.sleep(_AFTERWARDS_SECONDS)
        finally:
            stop.set()
            ended = await asyncio.gather(*load, return_exceptions=True)
        problems += [f"the load broke off: {error!r}" for error in ended if isinstance(error, Exception)]
        problems += failures()
        problems += await self._start_the_dead()
        await self._see_the_end(problems)
        problems += await self._start_the_dead()
        row = await self._judged(fault, count, time.monotonic() - over, problems)
        row = replace(row, remark=remark if isinstance(remark, str) else remark())
        self.rows.append(row)
        self.report(row)
        return row

    async def _start_the_dead(self) -> list[str]:
        """Starts what ended without being killed, as whoever supervises it would; that it did is told."""
        told = []
        for replica in self.plant.replicas.values():
            if not replica.is_running:
                told.append(f"{replica.name} ended by itself (exit code {replica.returncode}): see {replica.log}")
                await replica.start()
        return told

    async def _see_the_end(self, problems: Problems) -> None:
        """Waits for the senders, the analysts and the deployment; notes which of them did not come to an end."""
        for who, end in (
            ("the broker did not acknowledge", self.events.acknowledged(_PATIENCE_SECONDS)),
            ("probes did not get their leads", self.probes.finished(_PATIENCE_SECONDS)),
            ("the deployment did not come to rest", self._settled()),
        ):
            with problems.noted(who):
                await end
        if self._following.done():
            problems.append(f"nobody follows the feed any more: {self._following.exception()!r}")

    async def _judged(self, fault: str, count: int, recovery_seconds: float, problems: Problems) -> Row:
        found: list[Finding] = []
        with problems.noted("it could not be judged"):
            evidence = await gather_evidence(self.broker, self.database, self.plant.objects, self.heard)
            found = [finding for finding in judge(self.ledger, evidence) if finding not in self._seen]
        self._seen.update(found)
        problems += [f"{finding.fault}: {finding.what}" for finding in found]
        if recovery_seconds > RECOVERY_SECONDS:
            problems.append(f"recovery took {recovery_seconds:.1f} s, more than {RECOVERY_SECONDS:g} s")
        of = {kind: sum(finding.fault is kind for finding in found) for kind in Fault}
        return Row(
            fault=fault,
            count=count,
            lost=of[Fault.LOST],
            doubled=of[Fault.DOUBLED],
            wrong=of[Fault.WRONG],
            recovery_seconds=recovery_seconds,
            problems=tuple(problems),
        )

    async def _settled(self) -> None:
        """Returns when the groups have no lag, everything is published and heard and every search has its outcome.

        Raises TimeoutError that says what moves still.
        """
        left = "nothing answered"
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_SECONDS):
                while left:
                    left = await self._unsettled()
                    if left:
                        await asyncio.sleep(_ASK_AGAIN_SECONDS)
        if left:
            raise TimeoutError(left)

    async def _unsettled(self) -> str:
        questions = {
            "events without a place or not published": "SELECT count(*) FROM outbox WHERE published_at IS NULL",
            "searches without an outcome": "SELECT count(*) FROM probes WHERE state = 'authorized'",
        }
        try:
            counts = {what: await self.database.number(query) for what, query in questions.items()}
            newest = await self.database.number("SELECT coalesce(max(feed_position), 0) FROM outbox")
            counts["places of the feed not heard"] = newest - (self._follower.place or 0)
            counts["records not consumed"] = await asyncio.to_thread(self.broker.lag)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, KafkaException) as error:
            return f"the reader was not answered ({error!r})"
        return ", ".join(f"{count} {what}" for what, count in counts.items() if count)
