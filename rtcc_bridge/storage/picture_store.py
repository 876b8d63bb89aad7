"""The store in which the record system leaves the pictures of bookings. This program only reads there."""

import asyncio
import os
import re
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, from_url

from rtcc_bridge.errors import ConfigurationError, ConfigurationProblem, InvalidInputError, NotFoundError
from rtcc_bridge.settings import store_folder
from rtcc_bridge.storage.store_errors import translated

if TYPE_CHECKING:
    from obstore.store import ObjectStore

PICTURE_NAME: Final = r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}(/[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}){0,7}"
"""What a picture may be called: no part begins with a dot, so that no name leads out of the store."""
_NAME = re.compile(PICTURE_NAME)
_SETTING: Final = "records.pictures_url"


class PictureStore:
    """Reads pictures by their names."""

    def __init__(self, url: str, timeout_seconds: float, max_bytes: int) -> None:
        """Raises ConfigurationError when the address is none that can be read from."""
        self._store = _open(url, timeout_seconds)
        self._timeout_seconds = timeout_seconds
        self._max_bytes = max_bytes

    async def ping(self) -> None:
        """Reads as for a picture. Raises UnavailableError."""
        with suppress(NotFoundError):
            await self.read("ping")

    async def read(self, name: str) -> bytes:
        """The picture's bytes.

        Raises InvalidInputError for a name that is none or a picture that is too large, NotFoundError when there is
        none of this name, UnavailableError.
        """
        if not _NAME.fullmatch(name):
            raise InvalidInputError("picture: not a name in the store of pictures", "invalid_fields")
        with translated("the picture of a booking cannot be read"):
            async with asyncio.timeout(self._timeout_seconds):
                found = await obstore.get_async(self._store, name)
                if found.meta["size"] > self._max_bytes:
                    raise InvalidInputError(f"the picture has more than {self._max_bytes} bytes", "too_large")
                return bytes(await found.bytes_async())


def _open(url: str, timeout_seconds: float) -> "ObjectStore":
    folder = store_folder(url)
    try:
        if folder is not None:
            return LocalStore(folder)
        allow_http = os.environ.get("AWS_ALLOW_HTTP", "").lower() in {"1", "true"}
        options: dict[str, Any] = {
            "client_options": {"timeout": timedelta(seconds=timeout_seconds), "allow_http": allow_http},
            "retry_config": {"max_retries": 2, "retry_timeout": timedelta(seconds=timeout_seconds)},
        }
        return from_url(url, **options)
    except (BaseError, ValueError, OSError) as error:
        cause = f"no pictures can be read there ({str(error).splitlines()[0]})"
        problem = ConfigurationProblem(_SETTING, cause, "Use file:///folder or s3://bucket/prefix")
        raise ConfigurationError(problem) from error
