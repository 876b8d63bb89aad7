"""Pauses of topics, shared by every process through the database: so a command of another process can end one.

A pause holds for the topic, not for the process that noticed: the others follow, and one that is started meanwhile
begins with it. While the database is away each process goes by what it knows.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from rtcc_bridge.audit.entries import AuditLog
from rtcc_bridge.clock import Clock
from rtcc_bridge.consumers.runner import Runner
from rtcc_bridge.errors import NotFoundError, UnavailableError
from rtcc_bridge.outage_log import OutageLog
from rtcc_bridge.storage import topic_pauses
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.topic_pauses import TopicPause

_LOOK_SECONDS: Final = 1.0


class PauseBoard:
    """Keeps the runners of a process in step with the pauses in the database."""

    def __init__(self, database: Database, clock: Clock, pause_seconds: float, reason: str) -> None:
        self._database = database
        self._clock = clock
        self._pause = timedelta(seconds=pause_seconds)
        self._reason = reason
        self._runners: dict[str, Runner] = {}
        self._to_note: set[str] = set()
        self._changed = asyncio.Event()
        self._outage = OutageLog("keeping topics paused")

    def add(self, runner: Runner) -> None:
        """Before `run`: takes care of this runner's topics."""
        for topic in runner.topics:
            self._runners[topic] = runner
        runner.on_pause = self._note

    async def run(self) -> None:
        """Looks every second until cancelled. An outage of the database is waited for."""
        while True:
            self._changed.clear()
            try:
                await self.look()
            except UnavailableError as error:
                self._outage.failed(error)
            else:
                self._outage.succeeded()
            try:
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def look(self) -> None:
        """Notes what was paused here, then does what the database says. Raises UnavailableError."""
        noting = sorted(self._to_note)
        if noting:
            await self._write(noting)
            self._to_note.difference_update(noting)
        async with self._database.read() as tx:
            pauses = await topic_pauses.of_topics(tx, self._runners)
        now = self._clock.now()
        for topic, runner in self._runners.items():
            pause = pauses.get(topic)
            if topic in self._to_note:
                continue
            if pause is not None and pause.is_in_force(now):
                runner.pause(topic, (pause.ends_at - now).total_seconds())
            elif topic in runner.paused_topics:
                runner.resume(topic)

    async def _write(self, topics: Sequence[str]) -> None:
        now = self._clock.now()
        async with self._database.write() as tx:
            for topic in topics:
                pause = TopicPause(topic=topic, paused_at=now, ends_at=now + self._pause, reason=self._reason)
                await topic_pauses.put(tx, pause)

    def _note(self, topic: str) -> None:
        self._to_note.add(topic)
        self._changed.set()


class PauseDesk:
    """What an operator may do about pauses."""

    def __init__(self, database: Database, audit: AuditLog, clock: Clock) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock

    async def in_force(self) -> list[TopicPause]:
        """The pauses that are in force. Raises UnavailableError."""
        async with self._database.read() as tx:
            return [pause for pause in await topic_pauses.every(tx) if pause.is_in_force(self._clock.now())]

    async def resume(self, topic: str, actor: str) -> None:
        """Lets every process go on with the topic, within about a second. Commits.

        Raises NotFoundError when the topic is not paused, UnavailableError.
        """
        async with self._database.write() as tx:
            if not await topic_pauses.request_resumption(tx, topic, self._clock.now()):
                raise NotFoundError(f"{topic} is not paused: `rtcc-bridge topics pauses` lists what is")
            await self._audit.append(
                tx,
                actor=actor,
                action="topic.resume",
                subject=f"topic/{topic}",
                outcome="requested",
                authority={},
                details={},
            )
