"""The signed token of a search request: proof, apart from broker and database, that its search has authority (P30).

Ed25519, and no shared secret, so that a matcher, which checks tokens, can make none. A token holds no name and no case
number, since a topic outlives a purge: who asked, for which case and on whose approval is in `grounds`, a digest that
is keyed by what only the database knows of the probe.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from rtcc_bridge.audit.canonical import canonical_json
from rtcc_bridge.cloud_event import rfc3339
from rtcc_bridge.errors import PolicyRefusalError

LIFETIME: Final = timedelta(hours=1)
"""A request that waited longer is made anew by the reconciler, so a token that was copied is soon worth nothing."""
MOST_AHEAD: Final = timedelta(minutes=2)
"""By how much the clocks of two machines may differ."""
VERSION: Final = 1

_CONTEXT: Final = b"rtcc-bridge search authority\n"
"""Signed with the claims, so that no signature of anything else passes for one of a token."""
_TEXTS: Final = (
    "tokenId", "key", "probeId", "lane", "galleryKind", "purpose", "approval", "policyHash", "grounds",
    "issuedAt", "expiresAt",
)  # fmt: skip
_MOST_CHARACTERS: Final = 256


class ExpiredTokenError(PolicyRefusalError):
    """The token was good once. Its request is done; where the authority lasts, another is made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchAuthority:
    """What a token says. gallery_kind: `actual` or `training`. approval: `granted`, or `pending` where it may follow.

    grounds: see `grounds_digest`.
    """

    probe_id: str
    lane: str
    gallery_kind: str
    purpose: str
    approval: str
    policy_hash: str
    grounds: str


class TokenSigner:
    """Signs the tokens of the requests that this process makes: for whoever records approvals."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self._name = key_name(key.public_key())

    @property
    def public_key(self) -> Ed25519PublicKey:
        return self._key.public_key()

    def sign(self, authority: SearchAuthority, *, now: datetime, until: datetime | None) -> dict[str, Any]:
        """The token as JSON values. until: when the authority itself ends, if that is sooner than the token's life."""
        expires_at = now + LIFETIME if until is None else min(until, now + LIFETIME)
        claims = {
            "version": VERSION,
            "tokenId": secrets.token_urlsafe(16),
            "key": self._name,
            "probeId": authority.probe_id,
            "lane": authority.lane,
            "galleryKind": authority.gallery_kind,
            "purpose": authority.purpose,
            "approval": authority.approval,
            "policyHash": authority.policy_hash,
            "grounds": authority.grounds,
            "issuedAt": rfc3339(now),
            "expiresAt": rfc3339(expires_at),
        }
        return {**claims, "signature": base64.b64encode(self._key.sign(_message(claims))).decode()}


class TokenVerifier:
    """Checks tokens against the public keys that are known here: several while one is replaced."""

    def __init__(self, keys: Sequence[Ed25519PublicKey]) -> None:
        self._keys = {key_name(key): key for key in keys}

    def verify(self, token: object, *, now: datetime) -> SearchAuthority:
        """What the token says. Raises PolicyRefusalError (P30), ExpiredTokenError where only its time is over."""
        authority, issued_at, expires_at = self._signed(token)
        if issued_at > now + MOST_AHEAD:
            raise _refusal("is of a time to come: compare the clocks of the machines")
        if expires_at <= now:
            raise ExpiredTokenError("P30", "The request's authority token has expired: a new one is made by itself.")
        return authority

    def verify_kept(self, token: object) -> SearchAuthority:
        """What a token said that was kept with its probe, whenever that was. Raises PolicyRefusalError (P30)."""
        return self._signed(token)[0]

    def _signed(self, token: object) -> tuple[SearchAuthority, datetime, datetime]:
        """What the token says, from when and until when."""
        claims, signature = _read(token)
        key = self._keys.get(claims["key"])
        if key is None:
            raise _refusal("is signed by a key that is not known here")
        try:
            key.verify(signature, _message(claims))
        except InvalidSignature as error:
            raise _refusal("was altered, or made by somebody else: its signature is not that of its key") from error
        authority = SearchAuthority(
            probe_id=claims["probeId"],
            lane=claims["lane"],
            gallery_kind=claims["galleryKind"],
            purpose=claims["purpose"],
            approval=claims["approval"],
            policy_hash=claims["policyHash"],
            grounds=claims["grounds"],
        )
        return authority, _moment(claims["issuedAt"]), _moment(claims["expiresAt"])


def grounds_digest(secret: str, grounds: Mapping[str, Any]) -> str:
    """HMAC-SHA256 over the canonical grounds, in hex.

    secret: random and kept nowhere near the topics, so that a case number cannot be guessed from the digest.
    """
    return hmac.new(secret.encode(), canonical_json(grounds), hashlib.sha256).hexdigest()


def key_name(key: Ed25519PublicKey) -> str:
    """The short name by which a token says which key signed it."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def _read(token: object) -> tuple[dict[str, Any], bytes]:
    """The claims and the signature over them."""
    if not isinstance(token, Mapping):
        raise _refusal("is missing: only the daemon's own requests are searched")
    claims = {name: value for name, value in token.items() if name != "signature"}
    signature = token.get("signature")
    if set(claims) != {"version", *_TEXTS} or claims["version"] != VERSION or not isinstance(signature, str):
        raise _refusal("is none of this program")
    if not all(isinstance(claims[name], str) and len(claims[name]) <= _MOST_CHARACTERS for name in _TEXTS):
        raise _refusal("is none of this program")
    try:
        return claims, base64.b64decode(signature, validate=True)
    except ValueError as error:
        raise _refusal("has a signature that is none") from error


def _message(claims: Mapping[str, Any]) -> bytes:
    try:
        return _CONTEXT + canonical_json(claims)
    except ValueError as error:  # a lone surrogate
        raise _refusal("is none of this program") from error


def _moment(text: str) -> datetime:
    """Of a token whose signature is right, so the program wrote it."""
    return datetime.fromisoformat(text)


def _refusal(problem: str) -> PolicyRefusalError:
    return PolicyRefusalError("P30", f"The request's authority token {problem}.")
