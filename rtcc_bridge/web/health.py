"""Whether the process lives, whether what it needs is ready, and its metrics."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Final, Literal, TypeAlias

from aiohttp import web
from prometheus_client import exposition
from pydantic import Field

from rtcc_bridge.errors import BridgeError
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.web.operations import Answer, Operation, WireModel, answer
from rtcc_bridge.web.origins import is_local, peer_of
from rtcc_bridge.web.words import outage_words

ReadinessProbe: TypeAlias = Callable[[], Awaitable[str | None]]
"""Answers None when the dependency is ready, else the reason in plain words. It may take up to two seconds."""

PROBE_SECONDS: Final = 2.0
KEPT_SECONDS: Final = 0.5
"""Answers are shared for this long, so that many boards do not ask the broker many times."""


class Health(WireModel):
    """The process lives."""

    status: Literal["alive"] = "alive"


class Dependency(WireModel):
    """Something that this process needs."""

    name: str
    ready: bool
    reason: str | None = Field(description="Why it is not ready, for operations.")
    meaning: str | None = Field(description="What that means for the floor.")


class Readiness(WireModel):
    """Whether everything that this process needs is ready, and what is not."""

    ready: bool
    dependencies: tuple[Dependency, ...]


class ReadinessBoard:
    """Asks the readiness probes, all at once, and remembers the answer for a moment."""

    def __init__(self, metrics: Metrics, probes: Mapping[str, ReadinessProbe]) -> None:
        """probes: by name; they may be added to later."""
        self.metrics = metrics
        self._probes = probes
        self._asking = asyncio.Lock()
        self._latest: Readiness | None = None
        self._asked_at = 0.0

    async def ask(self) -> Readiness:
        async with self._asking:
            now = asyncio.get_running_loop().time()
            if self._latest is None or now - self._asked_at > KEPT_SECONDS:
                found = await asyncio.gather(*(self._one(name, probe) for name, probe in tuple(self._probes.items())))
                self._latest = Readiness(ready=all(one.ready for one in found), dependencies=tuple(found))
                self._asked_at = asyncio.get_running_loop().time()
            return self._latest

    async def _one(self, name: str, probe: ReadinessProbe) -> Dependency:
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                reason = await probe()
        except TimeoutError:
            reason = f"no answer within {PROBE_SECONDS:g} s"
        except BridgeError as error:
            reason = str(error)
        self.metrics.ready.labels(name).set(reason is None)
        return Dependency(
            name=name, ready=reason is None, reason=reason, meaning=None if reason is None else outage_words(name)
        )


READINESS = web.AppKey("readiness", ReadinessBoard)


async def healthz(_request: web.Request) -> web.Response:
    return answer(Health())


async def readyz(request: web.Request) -> web.Response:
    """Whoever asks from elsewhere hears the names only: reasons hold addresses and users."""
    found = await request.app[READINESS].ask()
    if not is_local(peer_of(request), request.headers.get("Host"), request.headers):
        names = tuple(one.model_copy(update={"reason": None}) for one in found.dependencies)
        found = found.model_copy(update={"dependencies": names})
    return answer(found, HTTPStatus.OK if found.ready else HTTPStatus.SERVICE_UNAVAILABLE)


async def metrics(request: web.Request) -> web.Response:
    """Asks the readiness probes first, so that `ready` is true of now and not of the last visit to /readyz."""
    board = request.app[READINESS]
    await board.ask()
    encode, content_type = exposition.choose_encoder(request.headers.get("Accept", ""))
    return web.Response(body=encode(board.metrics.registry), headers={"Content-Type": content_type})


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/healthz",
        handler=healthz,
        name="health",
        summary="The process lives",
        tag="operations",
        answers=(Answer("It does.", Health),),
    ),
    Operation(
        method="GET",
        path="/readyz",
        handler=readyz,
        name="readiness",
        summary="What this process needs is ready",
        tag="operations",
        answers=(
            Answer("Everything is ready.", Readiness),
            Answer("Something is not; the answer names it.", Readiness, status=HTTPStatus.SERVICE_UNAVAILABLE),
        ),
    ),
    Operation(
        method="GET",
        path="/metrics",
        handler=metrics,
        name="metrics",
        summary="Metrics for Prometheus",
        tag="operations",
        answers=(Answer("Prometheus exposition format.", media_type="text/plain"),),
    ),
)
