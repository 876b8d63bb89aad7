"""`GET /api/v1/feed`: server-sent events (WHATWG HTML, section 9.2) in the order of `feed_position`."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from http import HTTPStatus
from typing import Final

from aiohttp import web

from rtcc_bridge.errors import InvalidInputError, UnavailableError
from rtcc_bridge.web.access import PermissionWatch
from rtcc_bridge.web.feed_hub import FeedHub
from rtcc_bridge.web.operations import Answer, Operation, Parameter
from rtcc_bridge.web.services import services_of

EVENT_STREAM: Final = "text/event-stream"
RETRY_MILLISECONDS: Final = 1500
WRITE_SECONDS: Final = 10.0
"""A client that takes nothing for this long is dropped."""
HEARTBEAT: Final = b": the feed is open\n\n"
RESET: Final = b'event: feed.reset\ndata: {"detail":"Events are missing in between: load the lists anew."}\n\n'
MOST_DIGITS: Final = 18

_DESCRIPTION = (
    "Server-sent events. `id` is the place on the feed, `event` the CloudEvents type, `data` the whole CloudEvent in "
    "structured mode. The stream starts at the newest event, unless `Last-Event-ID` or `after` names one to resume "
    "after. A `feed.reset` event says that what came in between is no longer kept: load the lists anew. Comment lines "
    "keep the connection open. A client that reads too slowly is disconnected and can resume."
)


async def feed(request: web.Request) -> web.StreamResponse:
    services = services_of(request)
    hub, settings = services.feed, services.settings.web
    asked = _resume_after(request)
    with hub.admission():
        newest = hub.position or 0
        resumable = asked is None or await hub.can_resume(asked)
        after = newest if asked is None or not resumable else asked
        response = web.StreamResponse(headers={"Content-Type": EVENT_STREAM, "X-Accel-Buffering": "no"})
        await response.prepare(request)
        opening = f"retry: {RETRY_MILLISECONDS}\n\n".encode() + (b"" if resumable else RESET)
        # An id without data moves the client's Last-Event-ID and dispatches nothing: it can resume even if the
        # connection is lost before the first event.
        opening += f"id: {after}\n\n".encode()
        permission = PermissionWatch(request, settings.feed_heartbeat_seconds)
        events = _events(
            hub, after, settings.feed_replay_limit, settings.feed_heartbeat_seconds, lambda: _abort(request)
        )
        try:
            await _write(response, opening)
            async with aclosing(events):
                async for chunk in events:
                    if not await permission.holds():
                        break
                    await _write(response, chunk)
        except (ConnectionError, TimeoutError, UnavailableError):
            _abort(request)  # the client comes back and resumes where it was
    return response


async def _events(
    hub: FeedHub, after: int, page: int, heartbeat_seconds: float, on_drop: Callable[[], None]
) -> AsyncGenerator[bytes, None]:
    last = after
    while last < (hub.position or 0):
        items = await hub.replay(last, page)
        last = items[-1].position if items else hub.position or 0
        yield b"".join(item.wire for item in items)
    # Nothing is awaited between the comparison above and the subscription, so nothing falls in between.
    with hub.subscribed(on_drop) as subscription:
        while not subscription.ended:
            items = await subscription.next_items(heartbeat_seconds)
            fresh = [item for item in items if item.position > last]
            last = fresh[-1].position if fresh else last
            if not subscription.ended:
                yield b"".join(item.wire for item in fresh) or HEARTBEAT


async def _write(response: web.StreamResponse, chunk: bytes) -> None:
    async with asyncio.timeout(WRITE_SECONDS):
        await response.write(chunk)


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


def _resume_after(request: web.Request) -> int | None:
    text = request.headers.get("Last-Event-ID") or request.query.get("after")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS):
        raise InvalidInputError("Last-Event-ID and after have to be a place on the feed: a whole number.", "fields")
    return int(text)


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/api/v1/feed",
        handler=feed,
        name="followFeed",
        summary="The live feed of incidents and leads",
        tag="feed",
        parameters=(
            Parameter("after", "query", "Resume after this place on the feed.", {"type": "integer", "minimum": 0}),
            Parameter("Last-Event-ID", "header", "As `after`, sent by clients that reconnect.", {"type": "integer"}),
        ),
        answers=(Answer(_DESCRIPTION, media_type=EVENT_STREAM),),
        problems=(HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE),
    ),
)
