"""The department's identity provider: OpenID Connect, authorization code flow with PKCE.

A sign-in is bound three times: `state` to the browser that began it, `nonce` to the ID token, the PKCE verifier to the
code. What is remembered of it lies in that browser's cookie (`departures`), so that any replica can take it back and
strangers who begin sign-ins by the thousand fill nothing. The database learns of a sign-in when the provider has
vouched for the person: from then on its answer is used up.
"""

import asyncio
import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

import structlog

from rtcc_bridge.clock import Clock
from rtcc_bridge.errors import SignInRequiredError, UnavailableError
from rtcc_bridge.identity_settings import IdentitySettings
from rtcc_bridge.oauth_answers import basic_authorization, error_word
from rtcc_bridge.people.claims import account_of
from rtcc_bridge.people.departures import CLOCKS_DIFFER, SIGN_IN_TAKES, Departure
from rtcc_bridge.people.id_tokens import InvalidTokenError, TokenChecker
from rtcc_bridge.people.provider_documents import ProviderDocuments, ProviderHttp
from rtcc_bridge.people.session_secret import hash_of
from rtcc_bridge.people.signed_in import MOST_CHARACTERS, SignedIn, Voucher
from rtcc_bridge.secret_files import read_secret_file
from rtcc_bridge.storage import sessions
from rtcc_bridge.storage.engine import Database

_REFUSED: Final = "The identity provider did not let you in, or you took too long: sign in again."

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class OnTheWay:
    """A browser on its way to the provider. cookie: what it keeps until it is back."""

    address: str
    cookie: str


@dataclass(frozen=True, slots=True)
class Return:
    """A browser that is back. back: the page that the person wanted."""

    person: SignedIn
    back: str


class IdentityProvider:
    """One provider, for one client. callback: our address to which it sends browsers back."""

    def __init__(self, settings: IdentitySettings, database: Database, clock: Clock, callback: str, home: str) -> None:
        self._settings = settings
        self._database = database
        self._clock = clock
        self._callback = callback
        self._home = home
        self._http = ProviderHttp(settings)
        self._documents = ProviderDocuments(settings, self._http)
        self._tokens = TokenChecker(settings, self._documents, clock)

    async def depart(self, back: str) -> OnTheWay:
        """Says where the browser goes. Writes nothing. Raises UnavailableError."""
        endpoints = await self._documents.endpoints()
        begun = Departure.begin(back, self._clock.now())
        asked = {
            "response_type": "code",
            "client_id": self._settings.client_id or "",
            "redirect_uri": self._callback,
            "scope": " ".join(self._settings.scopes),
            "state": begun.state,
            "nonce": begun.nonce,
            "code_challenge": _challenge(begun.verifier),
            "code_challenge_method": "S256",
        }
        if self._settings.second_factor_claim == "acr" and self._settings.second_factor_values:
            asked["acr_values"] = " ".join(self._settings.second_factor_values)
        separator = "&" if "?" in endpoints.authorization else "?"
        return OnTheWay(f"{endpoints.authorization}{separator}{urlencode(asked)}", begun.cookie)

    async def arrive(self, query: Mapping[str, str], cookie: str) -> Return:
        """Redeems the code that the browser brings, once. cookie: what the browser has kept. Commits.

        Raises SignInRequiredError when it is not the browser that began, or the provider says no, UnavailableError.
        """
        begun = await self._begun(query.get("state", ""), cookie)
        endpoints = await self._documents.endpoints()
        issuer = query.get("iss")
        if issuer != self._settings.issuer and (issuer is not None or endpoints.names_itself):
            raise _distrusted("the answer is another provider's (iss)")
        if "error" in query or "code" not in query:
            log.warning("the identity provider refused a sign-in", error=error_word(query.get("error")))
            raise SignInRequiredError("P29", _REFUSED)
        form = {
            "grant_type": "authorization_code",
            "code": query["code"],
            "redirect_uri": self._callback,
            "code_verifier": begun.verifier,
        }
        person = await self._person(await self._ask(form), begun.nonce, None)
        await self._use_up(begun)
        return Return(person, begun.back)

    async def refresh(self, refresh_token: str, subject: str) -> SignedIn:
        """What the provider says of the person now. Raises SignInRequiredError, UnavailableError."""
        answer = await self._ask({"grant_type": "refresh_token", "refresh_token": refresh_token})
        return await self._person(answer, None, subject)

    async def logged_out(self, token: str) -> tuple[str | None, str | None]:
        """Whose sessions a logout token ends: subject, provider's session. Raises as `TokenChecker` does."""
        try:
            return await self._tokens.logout_token(token)
        except InvalidTokenError as error:
            log.warning("a logout token was refused", why=error.why)
            raise

    async def farewell(self) -> str | None:
        """Where a browser that signed out here goes to sign out there too; None where that is not offered."""
        try:
            address = (await self._documents.endpoints()).end_session
        except UnavailableError:
            return None
        if address is None:
            return None
        asked = {"client_id": self._settings.client_id or "", "post_logout_redirect_uri": f"{self._home}/sign-in"}
        return f"{address}{'&' if '?' in address else '?'}{urlencode(asked)}"

    async def close(self) -> None:
        await self._http.close()

    async def _begun(self, state: str, cookie: str) -> Departure:
        """The sign-in that the browser began. A code that was redeemed is not sent again: the provider would take it
        for stolen, and end what it has given for it (RFC 6749, section 4.1.2)."""
        begun = Departure.read(cookie)
        if begun is None or begun.is_over(self._clock.now()):
            raise SignInRequiredError("P29", _REFUSED)
        if not begun.belongs_to(state):
            raise _distrusted("another browser began this sign-in (state)")
        async with self._database.read() as tx:
            if await sessions.is_sign_in_used(tx, hash_of(state)):
                raise SignInRequiredError("P29", _REFUSED)
        return begun

    async def _use_up(self, begun: Departure) -> None:
        """Only somebody for whom the provider has vouched gets here, so strangers write nothing.

        Raises SignInRequiredError when another request did so with the same answer meanwhile.
        """
        now = self._clock.now()
        async with self._database.write() as tx:
            await sessions.forget_used_sign_ins(tx, now - SIGN_IN_TAKES - CLOCKS_DIFFER)
            if not await sessions.use_sign_in(tx, hash_of(begun.state), now):
                raise SignInRequiredError("P29", _REFUSED)

    async def _ask(self, form: Mapping[str, str]) -> Mapping[str, Any]:
        """The token endpoint's answer."""
        endpoints = await self._documents.endpoints()
        secret = await asyncio.to_thread(client_secret, self._settings)
        authorization = basic_authorization(self._settings.client_id or "", secret)
        status, answer = await self._http.post(endpoints.token, form, authorization)
        if status == 200 and answer is not None:
            return answer
        error = error_word(None if answer is None else answer.get("error"))
        if status >= 500 or status == 429 or error == "invalid_client":
            raise UnavailableError(f"the identity provider's token endpoint answers {status} {error}".strip())
        log.warning("the identity provider gave no token", status=status, error=error)
        raise SignInRequiredError("P29", _REFUSED)

    async def _person(self, answer: Mapping[str, Any], nonce: str | None, subject: str | None) -> SignedIn:
        token, refresh_token, life = (answer.get(name) for name in ("id_token", "refresh_token", "expires_in"))
        try:
            if not isinstance(token, str):
                raise InvalidTokenError("the answer holds no ID token")
            claims = await self._tokens.id_token(token, nonce)
            if subject is not None and claims["sub"] != subject:
                raise InvalidTokenError("it names somebody else (sub)")
            if len(claims["sub"]) > MOST_CHARACTERS:
                raise InvalidTokenError("its subject is too long (sub)")
        except InvalidTokenError as error:
            log.warning("an ID token was refused", why=error.why)
            raise
        session = claims.get("sid")
        return SignedIn(
            voucher=Voucher.PROVIDER,
            account=account_of(claims, self._settings, refreshed=subject is not None),
            subject=claims["sub"],
            session=session if isinstance(session, str) and len(session) <= MOST_CHARACTERS else None,
            refresh_token=refresh_token if isinstance(refresh_token, str) else None,
            lifetime_seconds=float(life) if isinstance(life, int | float) and not isinstance(life, bool) else None,
        )


def client_secret(settings: IdentitySettings) -> str:
    """Blocks. Raises ConfigurationError."""
    if settings.client_secret is not None:
        return settings.client_secret.get_secret_value()
    assert settings.client_secret_file is not None
    return read_secret_file("identity.client_secret_file", settings.client_secret_file).decode().strip()


def _distrusted(why: str) -> InvalidTokenError:
    log.warning("a sign-in was refused", why=why)
    return InvalidTokenError(why)


def _challenge(verifier: str) -> str:
    """RFC 7636, section 4.2."""
    return urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
