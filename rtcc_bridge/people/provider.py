"""The department's identity provider: OpenID Connect, authorization code flow with PKCE.

A sign-in is bound three times: `state` to the browser that began it, `nonce` to the ID token, the PKCE verifier to the
code. What is remembered of it lies in the database, so that any replica can take the browser back, once.
"""

import asyncio
import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlencode

import structlog

from rtcc_bridge.clock import Clock
from rtcc_bridge.errors import BusyError, SignInRequiredError, UnavailableError
from rtcc_bridge.identity_settings import IdentitySettings
from rtcc_bridge.oauth_answers import basic_authorization, error_word
from rtcc_bridge.people.claims import account_of
from rtcc_bridge.people.id_tokens import InvalidTokenError, TokenChecker
from rtcc_bridge.people.provider_documents import ProviderDocuments, ProviderHttp
from rtcc_bridge.people.session_secret import hash_of, is_secret, new_secret
from rtcc_bridge.people.signed_in import MOST_CHARACTERS, SignedIn, Voucher
from rtcc_bridge.secret_files import read_secret_file
from rtcc_bridge.storage import sessions
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.sessions import SignInRecord

SIGN_IN_TAKES: Final = timedelta(minutes=10)
MOST_AT_ONCE: Final = 10_000
"""Sign-ins that are under way: whoever begins them by the thousand does not fill the database."""

_REFUSED: Final = "The identity provider did not let you in, or you took too long: sign in again."

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Departure:
    """A browser on its way to the provider. browser: what its cookie holds until it is back."""

    address: str
    browser: str


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

    async def depart(self, back: str) -> Departure:
        """Remembers the sign-in and says where the browser goes. Commits. Raises BusyError, UnavailableError."""
        endpoints = await self._documents.endpoints()
        state, browser, nonce, verifier = (new_secret() for _ in range(4))
        now = self._clock.now()
        record = SignInRecord(
            state_hash=hash_of(state),
            browser_hash=hash_of(browser),
            nonce=nonce,
            verifier=verifier,
            back=back,
            created_at=now,
        )
        async with self._database.write() as tx:
            await sessions.remove_old_sign_ins(tx, now - SIGN_IN_TAKES)
            if await sessions.count_sign_ins(tx) >= MOST_AT_ONCE:
                raise BusyError("Too many people are signing in at this moment: try again in a minute.", 60.0)
            await sessions.add_sign_in(tx, record)
        asked = {
            "response_type": "code",
            "client_id": self._settings.client_id or "",
            "redirect_uri": self._callback,
            "scope": " ".join(self._settings.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": _challenge(verifier),
            "code_challenge_method": "S256",
        }
        if self._settings.second_factor_claim == "acr" and self._settings.second_factor_values:
            asked["acr_values"] = " ".join(self._settings.second_factor_values)
        separator = "&" if "?" in endpoints.authorization else "?"
        return Departure(f"{endpoints.authorization}{separator}{urlencode(asked)}", browser)

    async def arrive(self, query: Mapping[str, str], browser: str) -> Return:
        """Redeems the code that the browser brings. browser: what its cookie holds. Commits.

        Raises SignInRequiredError when it is not the browser that began, or the provider says no, UnavailableError.
        """
        record = await self._begun(query.get("state", ""), browser)
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
            "code_verifier": record.verifier,
        }
        person = await self._person(await self._ask(form), record.nonce, None)
        return Return(person, record.back)

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

    async def _begun(self, state: str, browser: str) -> SignInRecord:
        record = None
        if is_secret(state) and is_secret(browser):
            async with self._database.write() as tx:
                record = await sessions.take_sign_in(tx, hash_of(state))
        if record is None or self._clock.now() - record.created_at > SIGN_IN_TAKES:
            raise SignInRequiredError("P29", _REFUSED)
        if not hmac.compare_digest(record.browser_hash, hash_of(browser)):
            raise _distrusted("another browser began this sign-in (state)")
        return record

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
