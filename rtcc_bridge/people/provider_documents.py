"""What the identity provider publishes: its discovery document and its keys, kept for a while and fetched anew when a
token names a key that is not known (rotation), at most so often. Answers are bounded in size and time."""

import asyncio
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, KeySet, RSAKey

from rtcc_bridge.broker.credentials import authority_context
from rtcc_bridge.errors import UnavailableError
from rtcc_bridge.identity_settings import IdentitySettings, is_encrypted_or_local
from rtcc_bridge.oauth_answers import bounded_body, json_object

_MOST_KEYS: Final = 100
_LEAST_MODULUS_CHARACTERS: Final = 342
"""2048 bits in base64."""
_PUBLIC: Final = frozenset({"kty", "kid", "use", "alg", "n", "e", "crv", "x", "y"})
_KEPT_SECONDS: Final = 3600.0
_LEAST_SECONDS_BETWEEN: Final = 10.0
"""Whoever sends tokens with made-up key ids does not make us ask the provider each time."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the provider is asked for what."""

    authorization: str
    token: str
    keys: str
    end_session: str | None
    names_itself: bool
    """Whether it puts `iss` into its answers (RFC 9207)."""


class ProviderHttp:
    """Asks the provider. One session for all requests; closed at the end."""

    def __init__(self, settings: IdentitySettings) -> None:
        self._settings = settings
        self._session: aiohttp.ClientSession | None = None
        self._ssl: ssl.SSLContext | None = None

    async def get(self, url: str) -> dict[str, Any]:
        """A JSON object. Raises UnavailableError."""
        status, found = await self._ask("GET", url, None, None)
        if status != 200 or found is None:
            raise UnavailableError(f"{url} answered {status}: check identity.issuer")
        return found

    async def post(self, url: str, form: Mapping[str, str], authorization: str) -> tuple[int, dict[str, Any] | None]:
        """Status and JSON object; None where it was none. Raises UnavailableError."""
        return await self._ask("POST", url, form, authorization)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _ask(
        self, method: str, url: str, form: Mapping[str, str] | None, authorization: str | None
    ) -> tuple[int, dict[str, Any] | None]:
        headers = {"Accept": "application/json"} | ({"Authorization": authorization} if authorization else {})
        if self._session is None:
            self._ssl = await asyncio.to_thread(authority_context, "identity.ca_file", self._settings.ca_file)
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=self._settings.timeout_seconds))
        assert self._ssl is not None
        try:
            async with self._session.request(
                method, url, data=form, headers=headers, ssl=self._ssl, allow_redirects=False
            ) as answer:
                return answer.status, json_object(await bounded_body(answer))
        except TimeoutError as error:
            raise UnavailableError(f"{url} did not answer within {self._settings.timeout_seconds:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise UnavailableError(f"{url} cannot be reached ({error or type(error).__name__})") from error


async def ping_provider(settings: IdentitySettings) -> int:
    """Fetches what a sign-in needs, and returns how many keys the provider has. Raises UnavailableError."""
    http = ProviderHttp(settings)
    try:
        return len((await ProviderDocuments(settings, http).keys(None)).keys)
    finally:
        await http.close()


class ProviderDocuments:
    """Discovery document and keys. now: seconds that only ever grow."""

    def __init__(
        self, settings: IdentitySettings, http: ProviderHttp, now: Callable[[], float] = time.monotonic
    ) -> None:
        assert settings.issuer is not None
        self._issuer = settings.issuer
        self._http = http
        self._now = now
        self._fetching = asyncio.Lock()
        self._endpoints: Endpoints | None = None
        self._found_at = 0.0
        self._keys: KeySet | None = None
        self._keys_at = 0.0

    async def endpoints(self) -> Endpoints:
        """Raises UnavailableError when the provider does not answer, or with something else than its document."""
        async with self._fetching:
            return await self._discover()

    async def keys(self, key_id: str | None) -> KeySet:
        """Its public keys, fetched anew where none has this id. Raises UnavailableError."""
        async with self._fetching:
            age = self._now() - self._keys_at
            if self._keys is not None and age < _KEPT_SECONDS:
                known = key_id is None or any(key.kid == key_id for key in self._keys.keys)
                if known or age < _LEAST_SECONDS_BETWEEN:
                    return self._keys
            document = await self._http.get((await self._discover()).keys)
            self._keys, self._keys_at = _key_set(document), self._now()
            return self._keys

    async def _discover(self) -> Endpoints:
        if self._endpoints is None or self._now() - self._found_at > _KEPT_SECONDS:
            document = await self._http.get(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
            self._endpoints, self._found_at = _endpoints(document, self._issuer), self._now()
        return self._endpoints


def _endpoints(document: Mapping[str, Any], issuer: str) -> Endpoints:
    """Another issuer's document is not believed: whoever could answer in its place would be believed for everything."""
    if document.get("issuer") != issuer:
        raise UnavailableError("the discovery document names another issuer than identity.issuer: correct that")
    addresses = {name: document.get(f"{name}_endpoint") for name in ("authorization", "token", "end_session")}
    addresses["jwks"] = document.get("jwks_uri")
    for name, address in addresses.items():
        if address is None and name == "end_session":
            continue
        if not isinstance(address, str) or not is_encrypted_or_local(address):
            raise UnavailableError(f"the discovery document has no usable address for {name}")
    return Endpoints(
        authorization=str(addresses["authorization"]),
        token=str(addresses["token"]),
        keys=str(addresses["jwks"]),
        end_session=addresses["end_session"],
        names_itself=document.get("authorization_response_iss_parameter_supported") is True,
    )


def _key_set(document: Mapping[str, Any]) -> KeySet:
    """The public keys for signatures; others, and those of kinds that are not accepted, are left out."""
    listed = document.get("keys")
    found: list[Key] = [
        key for written in (listed if isinstance(listed, list) else [])[:_MOST_KEYS] if (key := _key(written))
    ]
    if not found:
        raise UnavailableError("the identity provider publishes no key that a token could be checked with")
    return KeySet(found)


def _key(written: Any) -> RSAKey | ECKey | None:
    if not isinstance(written, dict) or written.get("use", "sig") != "sig":
        return None
    public = {name: value for name, value in written.items() if name in _PUBLIC}
    try:
        if written.get("kty") == "RSA":
            return RSAKey.import_key(public) if len(written["n"]) >= _LEAST_MODULUS_CHARACTERS else None
        if written.get("kty") == "EC":
            return ECKey.import_key(public)
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    return None
