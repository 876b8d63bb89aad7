"""What every client of an OAuth 2.0 server does alike: who it is, and reading the answer without trusting its size."""

import json
from base64 import b64encode
from typing import Any, Final
from urllib.parse import quote_plus

import aiohttp

MOST_ANSWER_BYTES: Final = 256 * 1024


def basic_authorization(client_id: str, secret: str) -> str:
    """RFC 6749, section 2.3.1: both are form-encoded before they become a basic authorization."""
    return "Basic " + b64encode(f"{quote_plus(client_id)}:{quote_plus(secret)}".encode()).decode()


async def bounded_body(answer: aiohttp.ClientResponse) -> bytes:
    """All of the answer, or its beginning where it is longer than any that is expected: that is no JSON then."""
    body = b""
    async for piece in answer.content.iter_any():
        body += piece
        if len(body) > MOST_ANSWER_BYTES:
            break
    return body


def json_object(body: bytes) -> dict[str, Any] | None:
    """None when it is something else."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def error_word(code: Any) -> str:
    """The server's own word (section 5.2), such as invalid_client; empty where it is none."""
    return code if isinstance(code, str) and len(code) < 64 and code.replace("_", "").isalnum() else ""
