"""Master keys that never leave a key management service: the Transit engine of OpenBao and HashiCorp Vault.

The service holds the keys, this program sends each object key to be wrapped or unwrapped. A version of the service's
key is a master key here (`mount/name:v3`), and rotating makes the next version. Requests and answers are those of the
engine's HTTP interface: `encrypt`, `decrypt`, `keys` and `keys/…/rotate`.
"""

import asyncio
import base64
import binascii
import json
import re
import ssl
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import aiohttp

from rtcc_bridge.errors import ConfigurationError, ConfigurationProblem, IntegrityError, UnavailableError
from rtcc_bridge.secret_files import read_secret_file
from rtcc_bridge.settings import ObjectSettings
from rtcc_bridge.storage.master_keys import WrappedKey

_CIPHERTEXT: Final = re.compile(r"vault:v([0-9]{1,9}):[A-Za-z0-9+/=]{1,4096}")
_TOKEN: Final = re.compile(r"[!-~]{1,8192}")
"""What may stand in a header: an address or a line break that came into the file by mistake does not."""
_ALTERED: Final = re.compile(r"message authentication failed|invalid ciphertext(?!: version is too new)")
"""What the engine says of a ciphertext that is not the one it gave out (OpenBao: `sdk/helper/keysutil/policy.go`, which
passes the cipher's own words on). It answers with the same status, 400, where the key is not there, or the version is
newer than those it knows or older than `min_decryption_version`: that passes when the operator puts it right."""
_MOST_ANSWER_BYTES: Final = 65_536
_OBJECT_KEY_BYTES: Final = 32


class TransitMasterKeys:
    """A key of a Transit engine. Use it as an async context manager."""

    def __init__(self, settings: ObjectSettings) -> None:
        """settings: with `transit_url`. Raises ConfigurationError when what goes with it is missing."""
        if settings.transit_url is None:
            raise ValueError("no key management service is configured")
        if (settings.transit_token is None) == (settings.transit_token_file is None):
            raise _problem("objects.transit_token", "has to be set, or transit_token_file", "Set one of the two")
        if settings.transit_token is not None and not _TOKEN.fullmatch(settings.transit_token.get_secret_value()):
            raise _problem("objects.transit_token", "is not one word of ASCII characters", "Set the token alone")
        self._token = settings.transit_token
        self._token_file = settings.transit_token_file
        self._base = f"{settings.transit_url.rstrip('/')}/v1/{settings.transit_mount}"
        self._name = settings.transit_key
        self._prefix = f"{settings.transit_mount}/{settings.transit_key}:v"
        self._timeout_seconds = settings.timeout_seconds
        self._tls = _tls(settings.transit_ca_file)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Connects to nothing yet: a service that is down stops nobody's start."""
        timeout = aiohttp.ClientTimeout(total=self._timeout_seconds)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._tls), timeout=timeout, trust_env=False
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
        self._session = None

    def opens(self, master_key_id: str) -> bool:
        return master_key_id.startswith(self._prefix)

    async def current_id(self) -> str:
        data = await self._ask("GET", f"keys/{self._name}", None)
        version = data.get("latest_version")
        if not isinstance(version, int):
            raise UnavailableError("the key management service does not tell the version of its key")
        return f"{self._prefix}{version}"

    async def wrap(self, object_key: bytes) -> WrappedKey:
        data = await self._ask("POST", f"encrypt/{self._name}", {"plaintext": base64.b64encode(object_key).decode()})
        found = _CIPHERTEXT.fullmatch(str(data.get("ciphertext")))
        if found is None:
            raise UnavailableError("the key management service answered with something that is no ciphertext")
        return WrappedKey(found.group().encode(), f"{self._prefix}{found.group(1)}")

    async def unwrap(self, key: WrappedKey) -> bytes:
        text = key.wrapped.decode("ascii", errors="replace")
        found = _CIPHERTEXT.fullmatch(text)
        if found is None or key.master_key_id != f"{self._prefix}{found.group(1)}":
            raise IntegrityError(f"the key of a sealed object is not one that {key.master_key_id} wrapped")
        data = await self._ask("POST", f"decrypt/{self._name}", {"ciphertext": text})
        try:
            object_key = base64.b64decode(str(data.get("plaintext")), validate=True)
        except binascii.Error:
            object_key = b""
        if len(object_key) != _OBJECT_KEY_BYTES:
            raise IntegrityError("the key management service unwrapped something that is no object key")
        return object_key

    async def renew(self) -> str:
        await self._ask("POST", f"keys/{self._name}/rotate", {})
        return await self.current_id()

    async def _ask(self, method: str, path: str, body: Mapping[str, str] | None) -> Mapping[str, Any]:
        """The `data` of the answer. Raises IntegrityError when the service refuses a ciphertext as altered."""
        if self._session is None:
            raise RuntimeError("the master keys are used outside their context")
        headers = {"X-Vault-Token": await asyncio.to_thread(self._read_token), "X-Vault-Request": "true"}
        try:
            async with self._session.request(
                method, f"{self._base}/{path}", json=body, headers=headers, allow_redirects=False
            ) as answer:
                content = await answer.content.read(_MOST_ANSWER_BYTES)
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UnavailableError(f"the key management service does not answer: {type(error).__name__}") from error
        if status == HTTPStatus.BAD_REQUEST and path.startswith("decrypt/"):
            raise _refused_to_open(content)
        if status == HTTPStatus.FORBIDDEN:
            raise UnavailableError(
                f"the key management service refuses {path}: check the token and its rights (objects.transit_token…)"
            )
        if status == HTTPStatus.NO_CONTENT:
            return {}
        if status != HTTPStatus.OK:
            raise UnavailableError(f"the key management service answered {path} with {status}")
        return _data(content)

    def _read_token(self) -> str:
        """Read each time from its file, since an agent renews it there. Raises UnavailableError."""
        if self._token is not None:
            return self._token.get_secret_value()
        assert self._token_file is not None
        try:
            content = read_secret_file("objects.transit_token_file", self._token_file)
        except ConfigurationError as error:
            raise UnavailableError(f"there is no token for the key management service: {error}") from error
        token = content.decode("ascii", errors="replace").strip()
        if not _TOKEN.fullmatch(token):
            raise UnavailableError(f"{self._token_file} holds no token: it has to hold one word of ASCII characters")
        return token


def _refused_to_open(content: bytes) -> IntegrityError | UnavailableError:
    said = content.decode("utf-8", errors="replace")
    if _ALTERED.search(said):
        return IntegrityError("the key of a sealed object does not open at the key management service: it was altered")
    return UnavailableError(
        f"the key management service does not open the key of a sealed object ({said[:200]!r}): look for the key "
        "objects.transit_key there, its versions and its min_decryption_version"
    )


def _data(content: bytes) -> Mapping[str, Any]:
    try:
        answer = json.loads(content)
    except ValueError as error:
        raise UnavailableError("the key management service answered with something that is not JSON") from error
    data = answer.get("data") if isinstance(answer, dict) else None
    return data if isinstance(data, dict) else {}


def _tls(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except (OSError, ssl.SSLError) as error:
        cause = f"{ca_file} cannot be used as certificates"
        raise _problem("objects.transit_ca_file", cause, "Name a file with CA certificates in PEM form") from error


def _problem(path: str, cause: str, remedy: str) -> ConfigurationError:
    return ConfigurationError(ConfigurationProblem(path, cause, remedy))
