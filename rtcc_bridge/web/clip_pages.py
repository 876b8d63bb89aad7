"""The page on which an analyst goes through a clip and chooses the frame that becomes the still."""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from aiohttp import web

from rtcc_bridge.errors import NotFoundError
from rtcc_bridge.policy.purposes import Purpose
from rtcc_bridge.web.accounts import ACCOUNT
from rtcc_bridge.web.cards import incident_card
from rtcc_bridge.web.clips import ClipFrameView, clip_view
from rtcc_bridge.web.incidents import one_incident
from rtcc_bridge.web.operations import Handler
from rtcc_bridge.web.services import services_of
from rtcc_bridge.web.templating import page
from rtcc_bridge.web.words import PURPOSES

CURVE_WIDTH: Final = 1000
CURVE_HEIGHT: Final = 100
_MOST_POINTS: Final = 500


@dataclass(frozen=True, slots=True)
class Curve:
    """The whole-frame sharpness of a clip as points of a polyline, left to right, the sharpest frame on top."""

    points: str
    sharpest: int
    """The number of the sharpest frame."""


async def clip_page(request: web.Request) -> web.Response:
    """`/clips/{id}`: its frames one by one. A clip that became a still leads to it."""
    services, clip_id = services_of(request), request.match_info["clipId"]
    position = services.feed.position or 0
    clip = clip_view(record := await services.clips.open(clip_id, request[ACCOUNT]))
    if clip.outcome is not None:
        if clip.probe_id is None:
            raise NotFoundError("This clip is kept no longer, and no frame of it was chosen: send it again.")
        return web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": f"/probes/{clip.probe_id}"})
    return page(
        request,
        "clip.html",
        feed_position=position,
        clip=clip,
        incident=incident_card(await one_incident(services, clip.incident_id)),
        purpose=PURPOSES[Purpose(record.purpose)],
        curve=sharpness_curve(clip.frames),
        curve_width=CURVE_WIDTH,
        curve_height=CURVE_HEIGHT,
    )


def sharpness_curve(frames: Sequence[ClipFrameView]) -> Curve:
    """Of a long clip each point stands for several frames, by their sharpest: a peak is never left out."""
    most = max(1, *(frame.sharpness for frame in frames))
    step = -(-len(frames) // _MOST_POINTS)
    peaks = [max(one.sharpness for one in frames[start : start + step]) for start in range(0, len(frames), step)]
    across = CURVE_WIDTH / max(1, len(peaks) - 1)
    points = " ".join(
        f"{place * across:.1f},{CURVE_HEIGHT * (1 - peak / most):.1f}" for place, peak in enumerate(peaks)
    )
    return Curve(points, max(frames, key=lambda frame: frame.sharpness).number)


CLIP_PAGES: Final[tuple[tuple[str, str, Handler], ...]] = (("GET", "/clips/{clipId}", clip_page),)
