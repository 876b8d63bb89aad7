"""Tokens for OAUTHBEARER: OAuth 2.0 client credentials (RFC 6749, section 4.4)."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Final

import aiohttp
from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import KafkaError

from rtcc_bridge.broker.credentials import authority_context, client_secret
from rtcc_bridge.errors import ConfigurationError
from rtcc_bridge.kafka_access import TokenSettings
from rtcc_bridge.oauth_answers import basic_authorization, bounded_body, error_word, json_object

_SPARE_SECONDS: Final = 30.0
"""A token is renewed this long before it ends, or after half of its life when that is later."""
_DEFAULT_LIFE_SECONDS: Final = 60.0
"""Where the authority does not say how long a token holds."""


class TokenUnavailableError(KafkaError):  # type: ignore[misc]  # the library has no types
    """No token could be had. A KafkaError, since aiokafka treats only those as a failure to connect."""


class ClientCredentials(AbstractTokenProvider):  # type: ignore[misc]  # as above
    """Asks the authority for a token when the one it holds is about to end; one request at a time.

    `now` gives seconds that only ever grow.
    """

    def __init__(self, settings: TokenSettings, now: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._now = now
        self._token: str | None = None
        self._renew_at = 0.0
        self._asking = asyncio.Lock()

    async def token(self) -> str:
        """A token that still holds for a while. Raises TokenUnavailableError, which never tells the secret."""
        async with self._asking:
            if self._token is None or self._now() >= self._renew_at:
                self._token, life_seconds = await self._ask()
                self._renew_at = self._now() + max(life_seconds - _SPARE_SECONDS, life_seconds / 2)
            return self._token

    async def _ask(self) -> tuple[str, float]:
        settings = self._settings
        assert settings.endpoint is not None
        assert settings.client_id is not None
        form = {"grant_type": "client_credentials"} | ({"scope": settings.scope} if settings.scope else {})
        try:
            secret = await asyncio.to_thread(client_secret, settings)
            context = await asyncio.to_thread(authority_context, "kafka.sasl.token.ca_file", settings.ca_file)
            headers = {"Accept": "application/json", "Authorization": basic_authorization(settings.client_id, secret)}
            timeout = aiohttp.ClientTimeout(total=settings.timeout_seconds)
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.post(
                    settings.endpoint, data=form, headers=headers, ssl=context, allow_redirects=False
                ) as answer,
            ):
                status, body = answer.status, await bounded_body(answer)
        except ConfigurationError as error:
            raise TokenUnavailableError(f"no token from {settings.endpoint}: {error}") from error
        except TimeoutError as error:
            raise self._silent(f"no answer within {settings.timeout_seconds:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise self._silent(str(error) or type(error).__name__) from error
        if status != 200:
            raise TokenUnavailableError(
                f"{settings.endpoint} refuses client {settings.client_id} a token (HTTP {status}{_error_code(body)}): "
                "check kafka.sasl.token.client_id and its secret, and what the authority allows this client"
            )
        return self._read(body)

    def _silent(self, why: str) -> TokenUnavailableError:
        return TokenUnavailableError(
            f"no token from {self._settings.endpoint} ({why}): check that it can be reached from here, and "
            "kafka.sasl.token.endpoint and kafka.sasl.token.ca_file"
        )

    def _read(self, body: bytes) -> tuple[str, float]:
        try:
            content = json.loads(body)
            token, life = content["access_token"], content.get("expires_in", _DEFAULT_LIFE_SECONDS)
            if not isinstance(token, str) or not token:
                raise ValueError("no access_token")
            return token, max(0.0, float(life))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise TokenUnavailableError(
                f"{self._settings.endpoint} answered without a usable token: check that it is the token endpoint"
            ) from error


def _error_code(body: bytes) -> str:
    word = error_word((json_object(body) or {}).get("error"))
    return f", {word}" if word else ""
