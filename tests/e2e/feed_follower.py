"""A client of the live feed that comes back, wherever it was cut off, to the next of several web processes."""

import asyncio
import itertools
import json
from collections.abc import Sequence
from typing import Any, Final

import aiohttp

_PAUSE_SECONDS: Final = 0.1
_SILENCE_SECONDS: Final = 60.0


class FeedFollower:
    """Notes the place and the CloudEvent of everything that it was sent, as often as it was sent."""

    def __init__(self, http: aiohttp.ClientSession, addresses: Sequence[str]) -> None:
        self._http = http
        self._addresses = addresses
        self._last_id: str | None = None
        self.places: list[int] = []
        self.events: list[dict[str, Any]] = []
        self.connections = 0

    @property
    def subjects(self) -> set[str]:
        """The incidents that it heard of."""
        return {event["subject"] for event in self.events}

    async def run(self) -> None:
        """Follows until it is cancelled. Raises AssertionError when the feed says that something is missing."""
        for address in itertools.cycle(self._addresses):
            try:
                await self._follow(address)
            except (aiohttp.ClientError, TimeoutError):
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _follow(self, address: str) -> None:
        headers = {} if self._last_id is None else {"Last-Event-ID": self._last_id}
        timeout = aiohttp.ClientTimeout(total=None, sock_read=_SILENCE_SECONDS)
        async with self._http.get(f"{address}/api/v1/feed", headers=headers, timeout=timeout) as answer:
            answer.raise_for_status()
            self.connections += 1
            fields: dict[str, str] = {}
            async for line in answer.content:
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name:
                    fields[name] = value
                    continue
                self._dispatch(fields)
                fields = {}

    def _dispatch(self, fields: dict[str, str]) -> None:
        """A blank line ends an event; an id without data only moves the place to resume from (WHATWG HTML, 9.2.6)."""
        assert fields.get("event") != "feed.reset", "the feed says that events are missing"
        self._last_id = fields.get("id", self._last_id)
        if "data" in fields:
            self.places.append(int(fields["id"]))
            self.events.append(json.loads(fields["data"]))
