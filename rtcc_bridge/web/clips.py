"""Clips: sent, looked at frame by frame, and one frame made the still. Every gate is asked by the clip desk."""

from http import HTTPStatus
from typing import Any, Final

from aiohttp import web
from pydantic import AwareDatetime, Field

from rtcc_bridge.probes.clips import SHEET_FRAMES
from rtcc_bridge.publishing.backlog import require_room
from rtcc_bridge.storage.clips import ClipRecord
from rtcc_bridge.web.accounts import ACCOUNT
from rtcc_bridge.web.operations import Answer, Body, Operation, WireModel, answer, read_json
from rtcc_bridge.web.picture_answers import JPEG, jpeg, picture_number
from rtcc_bridge.web.probes import FIELD_SCHEMAS, STATED_FIELDS, UPLOADS, with_lead
from rtcc_bridge.web.services import services_of
from rtcc_bridge.web.uploads import CLIP, CLIP_PART, MULTIPART, read_upload
from rtcc_bridge.web.views import ProbeView

_FORM: Final[dict[str, Any]] = {
    "type": "object",
    "required": [*STATED_FIELDS, CLIP],
    "properties": {
        **FIELD_SCHEMAS,
        CLIP: {
            "type": "string",
            "format": "binary",
            "description": "MP4, MOV, MKV or AVI with H.264, HEVC, MPEG-4 or Motion JPEG. It has to be the last part "
            "of the form; nothing after it is read.",
        },
    },
}
_REFUSALS: Final = (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)
_UNREADABLE: Final = (HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE)


class ClipFrameView(WireModel):
    """A frame that can be chosen."""

    number: int = Field(description="Its place among all frames of the clip, from 1 in the order they are shown.")
    milliseconds: int = Field(description="How long after the first frame it is shown, by its own timestamp.")
    sharpness: int = Field(description="Of the whole frame, per mille of its contrast; says nothing of any face.")


class ClipView(WireModel):
    """A clip that was sent. For the analyst who sent it."""

    clip_id: str
    incident_id: str
    clip_sha256: str
    container: str = Field(description="mov (MP4 and MOV), matroska or avi.")
    codec: str
    width: int = Field(description="Of a frame as it is shown, in pixels.")
    height: int
    rotation: int = Field(description="Degrees clockwise by which frames are turned upright, as the camera noted it.")
    pixel_aspect: tuple[int, int] = Field(description="The shape of a stored pixel; (1, 1) where it is square.")
    damaged: int = Field(description="Frames that are not whole, and cannot be chosen.")
    frames: tuple[ClipFrameView, ...] = Field(description="Empty once the clip has ended.")
    frames_on_a_sheet: int
    created_at: AwareDatetime
    expires_at: AwareDatetime = Field(description="The clip is destroyed then.")
    outcome: str | None = Field(description="chosen or expired, once it has ended.")
    probe_id: str | None = Field(description="The newest still that was cut out of it.")


class FrameRequest(WireModel):
    """The frame that becomes the still."""

    frame: int = Field(ge=1, le=1_000_000)


def clip_view(record: ClipRecord) -> ClipView:
    facts = record.facts
    frames = [
        ClipFrameView(number=number, milliseconds=milliseconds, sharpness=sharpness)
        for number, milliseconds, sharpness in record.frames or ()
    ]
    return ClipView(
        clip_id=record.clip_id,
        incident_id=record.incident_id,
        clip_sha256=record.clip_sha256,
        container=facts["container"],
        codec=facts["codec"],
        width=facts["width"],
        height=facts["height"],
        rotation=facts["rotation"],
        pixel_aspect=tuple(facts["pixelAspect"]),
        damaged=facts["damaged"],
        frames=tuple(frames),
        frames_on_a_sheet=SHEET_FRAMES,
        created_at=record.created_at,
        expires_at=record.expires_at,
        outcome=record.outcome,
        probe_id=record.probe_id,
    )


async def attach(request: web.Request) -> web.Response:
    """As for a still: while the outbox is full, none is taken in."""
    services = services_of(request)
    settings = services.settings
    await require_room(services.database, settings.relay, services.clock.now())
    incident_id = request.match_info["incidentId"]
    with request.app[UPLOADS].slot(await services.probes.lane_of(incident_id)):
        upload = await read_upload(
            request, CLIP_PART, settings.intake.max_clip_bytes, settings.web.upload_timeout_seconds
        )
        record = await services.clips.attach(incident_id, upload.form, request[ACCOUNT], upload.file)
    return answer(clip_view(record), HTTPStatus.CREATED)


async def get_clip(request: web.Request) -> web.Response:
    return answer(clip_view(await services_of(request).clips.open(request.match_info["clipId"], request[ACCOUNT])))


async def get_sheet(request: web.Request) -> web.Response:
    clips, number = services_of(request).clips, picture_number(request)
    return jpeg(await clips.sheet(request.match_info["clipId"], number, request[ACCOUNT]))


async def get_frame(request: web.Request) -> web.Response:
    clips, number = services_of(request).clips, picture_number(request)
    return jpeg(await clips.frame(request.match_info["clipId"], number, request[ACCOUNT]))


async def choose_frame(request: web.Request) -> web.Response:
    services, asked = services_of(request), await read_json(request, FrameRequest)
    record = await services.clips.choose(request.match_info["clipId"], asked.frame, request[ACCOUNT])
    return answer(await with_lead(services, record), HTTPStatus.CREATED)


OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/api/v1/incidents/{incidentId}/clips",
        handler=attach,
        name="attachClip",
        summary="Send a clip, to choose the frame out of it that becomes the still (P03)",
        tag="clips",
        body=Body(media_type=MULTIPART, schema=_FORM),
        answers=(Answer("The clip with its frames.", ClipView, status=HTTPStatus.CREATED),),
        problems=(
            HTTPStatus.BAD_REQUEST,
            *_REFUSALS,
            HTTPStatus.CONFLICT,
            HTTPStatus.REQUEST_TIMEOUT,
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            *_UNREADABLE,
        ),
    ),
    Operation(
        method="GET",
        path="/api/v1/clips/{clipId}",
        handler=get_clip,
        name="getClip",
        summary="The frames of a clip, and when it is destroyed",
        tag="clips",
        answers=(Answer("The clip.", ClipView),),
        problems=_REFUSALS,
    ),
    Operation(
        method="GET",
        path="/api/v1/clips/{clipId}/sheets/{number}",
        handler=get_sheet,
        name="getClipSheet",
        summary="Some frames of a clip, small, one below the other; sheets are numbered from 1",
        tag="clips",
        answers=(Answer("The frames that can be chosen, in their order.", media_type=JPEG),),
        problems=(*_REFUSALS, *_UNREADABLE),
    ),
    Operation(
        method="GET",
        path="/api/v1/clips/{clipId}/frames/{number}",
        handler=get_frame,
        name="getClipFrame",
        summary="One frame of a clip for the screen",
        tag="clips",
        answers=(Answer("The frame, upright and without metadata.", media_type=JPEG),),
        problems=(*_REFUSALS, *_UNREADABLE),
    ),
    Operation(
        method="POST",
        path="/api/v1/clips/{clipId}/still",
        handler=choose_frame,
        name="chooseFrame",
        summary="The analyst makes a frame the still, and the clip is destroyed",
        tag="clips",
        body=Body(FrameRequest),
        answers=(
            Answer(
                "The probe, in state faces_found or, where no face can be searched, rejected_quality: then another "
                "frame may be chosen until the clip's time is over.",
                ProbeView,
                status=HTTPStatus.CREATED,
            ),
        ),
        problems=(*_REFUSALS, HTTPStatus.CONFLICT, *_UNREADABLE),
    ),
)
