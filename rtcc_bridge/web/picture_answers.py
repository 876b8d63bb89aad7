"""How pictures of candidates and their stills are answered with."""

from http import HTTPStatus
from typing import Final

from aiohttp import web

from rtcc_bridge.errors import NotFoundError
from rtcc_bridge.web.operations import Answer

JPEG: Final = "image/jpeg"
PICTURE_ANSWERS: Final = (Answer("The picture, upright and without metadata.", media_type=JPEG),)
PICTURE_PROBLEMS: Final = (
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.CONFLICT,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
_MOST_DIGITS: Final = 6


def picture_number(request: web.Request) -> int:
    """The number in the address. Raises NotFoundError when it is none."""
    text = request.match_info["number"]
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        raise NotFoundError("Pictures are numbered from 1.")
    return int(text)


def jpeg(picture: bytes) -> web.Response:
    return web.Response(body=picture, content_type=JPEG)
