"""What the roles of one process share while it is put together: its parts, its producer and how ready it is."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any

from rtcc_bridge.app.foundation import Core
from rtcc_bridge.broker.client import EventProducer
from rtcc_bridge.broker.groups import consumed_topics
from rtcc_bridge.consumers.dead_letters import DeadLetterWriter
from rtcc_bridge.consumers.pauses import PauseBoard
from rtcc_bridge.consumers.records import BatchHandler, Handler
from rtcc_bridge.consumers.runner import Runner
from rtcc_bridge.errors import BridgeError, IntegrityError
from rtcc_bridge.supervisor import Part, Stage
from rtcc_bridge.telemetry.tracing import past_span
from rtcc_bridge.web.feed_hub import FeedHub
from rtcc_bridge.web.health import ReadinessBoard, ReadinessProbe


class Assembly:
    """The roles add their parts and readiness probes to it; `stack` closes what they open, the last first."""

    def __init__(self, core: Core, stack: AsyncExitStack) -> None:
        self.core = core
        self.stack = stack
        self.parts: list[Part] = [Part("breach watch", self._watch_for_breach)]
        self.readiness: dict[str, ReadinessProbe] = {
            "database": _reason(core.database.ping),
            "objects": _reason(core.vault.ping),
        }
        self.board = ReadinessBoard(core.metrics, self.readiness)
        self.producer = EventProducer(core.settings.kafka)
        stack.push_async_callback(self.producer.close)
        self.feed = FeedHub(
            core.database,
            core.metrics,
            clients=core.settings.web.feed_clients,
            poll_seconds=core.settings.relay.idle_seconds,
        )
        kafka = core.settings.kafka
        self._pauses = PauseBoard(
            core.database,
            core.clock,
            kafka.dead_letter_pause_seconds,
            f"more than {kafka.dead_letter_rate_limit} dead letters in {kafka.dead_letter_rate_window_seconds:g} s",
        )
        self.parts.append(Part("topic pauses", self._pauses.run))
        self._breach: asyncio.Future[IntegrityError] = asyncio.get_running_loop().create_future()

    def add_part(
        self,
        name: str,
        run: Callable[[], Any],
        stop: Callable[[], Awaitable[None] | None] | None = None,
        stage: Stage = Stage.BACKGROUND,
    ) -> None:
        self.parts.append(Part(name, run, stop, stage))

    def add_runner(self, name: str, handlers: Mapping[str, Handler | BatchHandler]) -> None:
        """A consumer of these topics in the group of that name, which `broker.groups` has to know as reading them."""
        core = self.core
        kafka = core.settings.kafka
        group = f"{kafka.group_prefix}.{name}"
        if set(handlers) != set(consumed_topics(kafka)[group]):
            raise ValueError(f"the group {group} reads other topics than these")
        letters = DeadLetterWriter(self.producer, kafka.topics.dead_letters)
        runner = Runner(kafka, group, handlers, letters, core.metrics, core.clock)

        async def runner_ready() -> str | None:
            return runner.not_ready_reason

        self.readiness[name] = runner_ready
        self._pauses.add(runner)
        self.add_part(name, runner.run, runner.stop, Stage.WORK)

    def on_breach(self, error: IntegrityError) -> None:
        """Stops the process: going on would be unsafe."""
        if not self._breach.done():
            self._breach.set_result(error)

    def on_stage(self, stage: str, seconds: float) -> None:
        self.core.metrics.stage_seconds.labels(stage).observe(seconds)
        past_span(stage, seconds)

    async def _watch_for_breach(self) -> None:
        raise await self._breach


def _reason(ping: Callable[[], Awaitable[None]]) -> ReadinessProbe:
    async def ready() -> str | None:
        try:
            await ping()
        except BridgeError as error:
            return str(error)
        return None

    return ready
