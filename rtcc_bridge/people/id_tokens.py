"""ID tokens and logout tokens: the signature, and every claim that the standards say has to be looked at.

OpenID Connect Core 1.0, section 3.1.3.7; OpenID Connect Back-Channel Logout 1.0, section 2.6.
"""

import hmac
from collections.abc import Mapping
from typing import Any, Final

import structlog
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jws import extract_compact

from rtcc_bridge.clock import Clock
from rtcc_bridge.errors import SignInRequiredError
from rtcc_bridge.identity_settings import IdentitySettings
from rtcc_bridge.people.provider_documents import ProviderDocuments

LEEWAY_SECONDS: Final = 60
"""Two machines' clocks differ."""
LOGOUT_TOKEN_SECONDS: Final = 120
"""A logout token that is older is not carried out: somebody may have kept it."""
LOGOUT_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"

_MOST_CHARACTERS: Final = 64 * 1024

log = structlog.get_logger(__name__)


class InvalidTokenError(SignInRequiredError):
    """The token is not the provider's, not for this client, or not for this sign-in. The log says which."""

    def __init__(self, why: str) -> None:
        super().__init__("P29", "The identity provider's answer cannot be believed: sign in again, or tell operations.")
        self.why = why


class TokenChecker:
    """Believes tokens of one provider for one client."""

    def __init__(self, settings: IdentitySettings, documents: ProviderDocuments, clock: Clock) -> None:
        self._settings = settings
        self._documents = documents
        self._clock = clock

    async def id_token(self, token: str, nonce: str | None) -> Mapping[str, Any]:
        """Its claims. nonce: the one that was sent; None for a token that came by refreshing.

        Raises InvalidTokenError, UnavailableError when the keys cannot be had.
        """
        claims = await self._signed(token, {"JWT"})
        self._require_times(claims, needs_end=True)
        authorized = claims.get("azp")
        if authorized not in {None, self._settings.client_id}:
            raise InvalidTokenError("it was issued to another client (azp)")
        sent = claims.get("nonce")
        if nonce is not None and not (isinstance(sent, str) and hmac.compare_digest(sent.encode(), nonce.encode())):
            raise InvalidTokenError("it does not belong to this sign-in (nonce)")
        if not isinstance(claims.get("sub"), str) or not claims["sub"]:
            raise InvalidTokenError("it names no subject (sub)")
        return claims

    async def logout_token(self, token: str) -> tuple[str | None, str | None]:
        """Subject and provider's session, at least one of them. Raises as `id_token` does."""
        claims = await self._signed(token, {"JWT", "logout+jwt"})
        self._require_times(claims, needs_end=False)
        issued = claims.get("iat")
        if not isinstance(issued, int | float) or self._now() - issued > LOGOUT_TOKEN_SECONDS + LEEWAY_SECONDS:
            raise InvalidTokenError("it is too old, or does not say when it was issued (iat)")
        events = claims.get("events")
        if not isinstance(events, Mapping) or not isinstance(events.get(LOGOUT_EVENT), Mapping):
            raise InvalidTokenError("it is no logout token (events)")
        if "nonce" in claims:
            raise InvalidTokenError("it may be an ID token (nonce)")
        subject, session = (
            value if isinstance(value, str) else None for value in (claims.get("sub"), claims.get("sid"))
        )
        if not subject and not session:
            raise InvalidTokenError("it names nobody and no session (sub, sid)")
        return subject, session

    async def _signed(self, token: str, types: set[str]) -> Mapping[str, Any]:
        """The claims of a token that the provider signed for this client."""
        try:
            header = extract_compact(token.encode("ascii")).headers() if len(token) < _MOST_CHARACTERS else {}
            kind, algorithm, key_id = header.get("typ", "JWT"), header.get("alg"), header.get("kid")
            if kind not in types or algorithm not in self._settings.algorithms:
                raise InvalidTokenError("its kind or its signature's is not accepted (typ, alg)")
            keys = await self._documents.keys(key_id if isinstance(key_id, str) else None)
            decoded = jwt.decode(token, keys, algorithms=[*self._settings.algorithms])
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise InvalidTokenError(f"it cannot be read, or its signature does not fit ({error})") from error
        claims = decoded.claims
        if claims.get("iss") != self._settings.issuer:
            raise InvalidTokenError("another issuer made it (iss)")
        audience = claims.get("aud")
        if self._settings.client_id not in (audience if isinstance(audience, list) else [audience]):
            raise InvalidTokenError("it is for another client (aud)")
        return claims

    def _require_times(self, claims: Mapping[str, Any], *, needs_end: bool) -> None:
        registry = jwt.JWTClaimsRegistry(
            now=self._now(), leeway=LEEWAY_SECONDS, exp={"essential": needs_end}, iat={"essential": True}
        )
        try:
            registry.validate({name: claims[name] for name in ("exp", "iat", "nbf") if name in claims})
        except JoseError as error:
            raise InvalidTokenError(f"its times do not fit ({error})") from error

    def _now(self) -> int:
        return int(self._clock.now().timestamp())
