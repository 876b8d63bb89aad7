"""A client of the live feed that comes back, wherever it was cut off, to the next of several web processes."""

import asyncio
import itertools
import json
from collections.abc import Callable, Sequence
from typing import Any, Final

import aiohttp

_PAUSE_SECONDS: Final = 0.1
_SILENCE_SECONDS: Final = 60.0


class FeedFollower:
    """place: the one that it has come to; None before it was let in. resets: how often the feed said that something is
    missing."""

    def __init__(
        self, http: aiohttp.ClientSession, addresses: Sequence[str], hear: Callable[[int, dict[str, Any]], None]
    ) -> None:
        """hear: told the place and the CloudEvent of everything that was sent, as often as it was sent."""
        self._http = http
        self._addresses = addresses
        self._hear = hear
        self.place: int | None = None
        self.connections = 0
        self.resets = 0

    async def run(self) -> None:
        """Follows until it is cancelled."""
        for address in itertools.cycle(self._addresses):
            try:
                await self._follow(address)
            except (aiohttp.ClientError, TimeoutError):
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _follow(self, address: str) -> None:
        headers = {} if self.place is None else {"Last-Event-ID": str(self.place)}
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
        self.resets += fields.get("event") == "feed.reset"
        if "id" not in fields:
            return
        self.place = int(fields["id"])
        if "data" in fields:
            self._hear(self.place, json.loads(fields["data"]))
