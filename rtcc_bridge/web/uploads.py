"""The multipart form of a still or a clip: a few short fields, then the file, which is passed on as it arrives."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from aiohttp import BodyPartReader, ClientError, MultipartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from rtcc_bridge.errors import BusyError, InvalidInputError
from rtcc_bridge.matching.types import Lane
from rtcc_bridge.probes.edits import edits_from_text
from rtcc_bridge.probes.grounds import ProbeForm
from rtcc_bridge.probes.unsettled import too_large

MULTIPART: Final = "multipart/form-data"
IMAGE: Final = "image"
CLIP: Final = "clip"
FIELDS: Final = (
    "purpose", "legalBasis", "caseNumber", "requestor", "attestedOriginal", "warrantOrExigency", "samePersonAs",
    "edits",
)  # fmt: skip
MAX_FIELD_BYTES: Final = 8192
FORM_ALLOWANCE_BYTES: Final = 64 * 1024
"""What a request may hold beside the still."""
CHUNK_BYTES: Final = 64 * 1024
RETRY_SECONDS: Final = 3.0

_BROKEN = (ClientError, HttpProcessingError, ConnectionError, ValueError, AssertionError, RuntimeError)
"""What reading a multipart body raises when it is malformed or ends too early."""


@dataclass(frozen=True, slots=True)
class ProbeUpload:
    """The fields of the form, and the file that has not been read yet."""

    form: ProbeForm
    file: AsyncIterator[bytes]


class UploadSlots:
    """How many uploads are taken at the same time. More are answered as busy.

    One in four is kept for imminent threats, so that a flood of other stills does not hold them.
    """

    def __init__(self, most: int) -> None:
        self._free = most
        self._kept = most // 4

    @contextmanager
    def slot(self, lane: Lane) -> Iterator[None]:
        """Raises BusyError."""
        if self._free <= (0 if lane is Lane.IMMINENT else self._kept):
            raise BusyError("Other stills are being read at this moment: try again in a few seconds.", RETRY_SECONDS)
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1


@dataclass(frozen=True, slots=True)
class FilePart:
    """The file of a form. name: of its part. what: it is called in words. fields: what may stand before it."""

    name: str
    what: str
    fields: tuple[str, ...]


STILL_PART: Final = FilePart(IMAGE, "still", FIELDS)
CLIP_PART: Final = FilePart(CLIP, "clip", tuple(name for name in FIELDS if name != "edits"))
"""Edits are of a still: they are made once a frame is one."""


async def read_upload(request: web.Request, part: FilePart, most_bytes: int, timeout_seconds: float) -> ProbeUpload:
    """The form of a still or a clip; what its fields say is for the policy to judge. Raises as `read_form` does."""
    fields, file = await read_form(request, part, most_bytes, timeout_seconds)
    return ProbeUpload(_form(fields), file)


async def read_form(
    request: web.Request, part: FilePart, most_bytes: int, timeout_seconds: float
) -> tuple[Mapping[str, str], AsyncIterator[bytes]]:
    """Reads the form up to the file, which has to be its last part, and has not been read yet.

    Raises InvalidInputError: not such a form, unknown or repeated or oversized fields, no file, too large or too slow.
    """
    if request.content_type != MULTIPART:
        raise InvalidInputError(f"Send the {part.what} as {MULTIPART}: fields first, `{part.name}` last.", "media_type")
    if request.content_length is not None and request.content_length > most_bytes + FORM_ALLOWANCE_BYTES:
        raise too_large(part.what, most_bytes)
    try:
        async with asyncio.timeout(timeout_seconds):
            return await _read_form(await request.multipart(), part)
    except TimeoutError as error:
        raise InvalidInputError("The form did not arrive in time: send it again.", "stalled") from error
    except _BROKEN as error:
        raise InvalidInputError("The form is broken off or malformed: send it again.", "malformed") from error


async def _read_form(reader: MultipartReader, wanted: FilePart) -> tuple[Mapping[str, str], AsyncIterator[bytes]]:
    fields: dict[str, str] = {}
    while (part := await reader.next()) is not None:
        if not isinstance(part, BodyPartReader):
            raise InvalidInputError("The form holds a form inside itself.", "malformed")
        if part.name == wanted.name:
            return fields, _chunks(part)
        if part.name not in wanted.fields or part.name in fields:
            raise InvalidInputError(
                f"The fields are {', '.join(wanted.fields)}, each once, and then `{wanted.name}` as the last.", "fields"
            )
        fields[part.name] = await _text(part, part.name)
    raise InvalidInputError(
        f"The {wanted.what} is missing: send it as the field `{wanted.name}`, the last of the form.", "fields"
    )


async def _text(part: BodyPartReader, name: str) -> str:
    content = bytearray()
    while chunk := await part.read_chunk(MAX_FIELD_BYTES):
        content += chunk
        if len(content) > MAX_FIELD_BYTES:
            raise InvalidInputError(f"{name} is too long: shorten it.", "fields")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{name} is not UTF-8 text.", "fields") from error
    if "\0" in text:
        raise InvalidInputError(f"{name} holds a character that cannot be kept.", "fields")
    return text


def is_attested(fields: Mapping[str, str], name: str) -> bool:
    """Raises InvalidInputError."""
    attested = fields.get(name, "false")
    if attested not in {"true", "false"}:
        raise InvalidInputError(f"{name} has to be true or false.", "fields")
    return attested == "true"


def _form(fields: Mapping[str, str]) -> ProbeForm:
    return ProbeForm(
        purpose=fields.get("purpose", ""),
        legal_basis=fields.get("legalBasis", ""),
        requestor=fields.get("requestor", ""),
        case_number=fields.get("caseNumber") or None,
        attested_original=is_attested(fields, "attestedOriginal"),
        warrant_or_exigency=fields.get("warrantOrExigency") or None,
        same_person_as=fields.get("samePersonAs") or None,
        edits=edits_from_text(fields.get("edits") or "[]"),
    )


async def _chunks(part: BodyPartReader) -> AsyncIterator[bytes]:
    """The file as it arrives. Raises InvalidInputError when it stops half-way: nothing of it is kept then."""
    try:
        while not part.at_eof():
            if chunk := await part.read_chunk(CHUNK_BYTES):
                yield chunk
    except _BROKEN as error:
        message = "The upload stopped half-way; nothing was kept. Send it again."
        raise InvalidInputError(message, "interrupted") from error
