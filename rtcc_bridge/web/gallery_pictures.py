"""Pictures that are sent for a gallery, and what became of them. The desk asks every gate."""

from http import HTTPStatus
from typing import Any, Final

from aiohttp import web
from pydantic import AwareDatetime, Field

from rtcc_bridge.gallery.sent_pictures import MOST_LISTED, PictureWords
from rtcc_bridge.matching.types import Lane
from rtcc_bridge.storage.sent_pictures import SentPictureRecord
from rtcc_bridge.web.accounts import ACCOUNT
from rtcc_bridge.web.operations import Answer, Body, Operation, WireModel, answer
from rtcc_bridge.web.oversight_words import sent_picture_words
from rtcc_bridge.web.probes import UPLOADS
from rtcc_bridge.web.services import services_of
from rtcc_bridge.web.uploads import IMAGE, MULTIPART, FilePart, is_attested, read_form

PICTURE_PART: Final = FilePart(
    IMAGE, "picture", ("person", "provenance", "lawfulBasis", "retainUntil", "takenOn", "attestedAdult")
)

_FORM: Final[dict[str, Any]] = {
    "type": "object",
    "required": [name for name in PICTURE_PART.fields if name != "takenOn"] + [IMAGE],
    "properties": {
        "person": {"type": "string", "description": "The agency's own reference of the person."},
        "provenance": {"type": "string", "description": "Where the picture comes from."},
        "lawfulBasis": {"type": "string", "description": "On what basis the agency holds it."},
        "retainUntil": {"type": "string", "description": "When it has to go: a date, or a time with its offset."},
        "takenOn": {"type": "string", "description": "The day on which it was taken, where that is known."},
        "attestedAdult": {
            "type": "string",
            "enum": ["true", "false"],
            "description": "The person was an adult, and no order seals or expunges the record (P06).",
        },
        IMAGE: {
            "type": "string",
            "format": "binary",
            "description": "JPEG, PNG or WebP of one face. It has to be the last part of the form.",
        },
    },
}


class SentPictureView(WireModel):
    """A picture that was sent. Nobody on it is named."""

    picture_id: str
    gallery: str
    state: str = Field(description="waiting (for its template), enrolled or left_out.")
    reason: str | None = Field(description="Why it was left out, as an enrolment's report has it.")
    words: str = Field(description="What is to be said of it beside its state, for a person.")
    version: int | None = Field(description="Of the gallery from which on it is searched.")
    sent_by: str
    sent_at: AwareDatetime
    settled_at: AwareDatetime | None


class SentPictures(WireModel):
    """Pictures, the newest first."""

    items: tuple[SentPictureView, ...] = Field(max_length=MOST_LISTED)


async def send_picture(request: web.Request) -> web.Response:
    """Takes part in the limits of stills, without the places that are kept for imminent ones."""
    services = services_of(request)
    settings = services.settings
    with request.app[UPLOADS].slot(Lane.ROUTINE):
        fields, file = await read_form(
            request, PICTURE_PART, settings.intake.max_upload_bytes, settings.web.upload_timeout_seconds
        )
        words = PictureWords(
            subject_ref=fields.get("person", ""),
            provenance=fields.get("provenance", ""),
            lawful_basis=fields.get("lawfulBasis", ""),
            retain_until=fields.get("retainUntil", "").strip(),
            taken_on=fields.get("takenOn", "").strip(),
            attested_adult=is_attested(fields, "attestedAdult"),
        )
        record = await services.sent_pictures.take(request[ACCOUNT], request.match_info["gallery"], words, file)
    return answer(_view(record), HTTPStatus.CREATED)


async def list_pictures(request: web.Request) -> web.Response:
    found = await services_of(request).sent_pictures.newest(request[ACCOUNT], request.match_info["gallery"])
    return answer(SentPictures(items=tuple(map(_view, found))))


def state_of(record: SentPictureRecord) -> str:
    if record.settled_at is None:
        return "waiting"
    return "enrolled" if record.reason is None else "left_out"


def _view(record: SentPictureRecord) -> SentPictureView:
    return SentPictureView(
        picture_id=record.picture_id,
        gallery=record.gallery,
        state=state_of(record),
        reason=record.reason,
        words=sent_picture_words(record),
        version=record.version,
        sent_by=record.sent_by,
        sent_at=record.sent_at,
        settled_at=record.settled_at,
    )


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/api/v1/galleries/{gallery}/pictures",
        handler=list_pictures,
        name="listSentPictures",
        summary="What became of the pictures that were sent for a gallery in the last days",
        tag="galleries",
        answers=(Answer("The newest first.", SentPictures),),
        problems=(HTTPStatus.FORBIDDEN,),
    ),
    Operation(
        method="POST",
        path="/api/v1/galleries/{gallery}/pictures",
        handler=send_picture,
        name="sendPicture",
        summary="Send a picture of a person for a gallery that is neither live nor fed by the record system (P06)",
        tag="galleries",
        body=Body(media_type=MULTIPART, schema=_FORM),
        answers=(
            Answer(
                "The picture: it waits, or is left out with the reason.", SentPictureView, status=HTTPStatus.CREATED
            ),
        ),
        problems=(
            HTTPStatus.BAD_REQUEST,
            HTTPStatus.FORBIDDEN,
            HTTPStatus.NOT_FOUND,
            HTTPStatus.CONFLICT,
            HTTPStatus.REQUEST_TIMEOUT,
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            HTTPStatus.UNPROCESSABLE_ENTITY,
            HTTPStatus.SERVICE_UNAVAILABLE,
        ),
    ),
)
