"""What the cookie of a session holds. The database knows only its hash, so whoever reads the database has no session;
and the provider's refresh token is sealed under it, so they have none of those either."""

import hashlib
import re
import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_NONCE_BYTES: Final = 12


def new_secret() -> str:
    """256 random bits."""
    return secrets.token_urlsafe(32)


def is_secret(text: str) -> bool:
    """Whether it could be one of ours: nothing else is looked for in the database."""
    return _SECRET.fullmatch(text) is not None


def hash_of(secret: str) -> str:
    """By which it is found. A secret of so many random bits needs no slow hash."""
    return hashlib.sha256(secret.encode()).hexdigest()


def seal(secret: str, token: str) -> bytes:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(_key(secret)).encrypt(nonce, token.encode(), None)


def unseal(secret: str, sealed: bytes) -> str | None:
    """None when it was sealed under another secret, or changed."""
    try:
        return AESGCM(_key(secret)).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], None).decode()
    except (InvalidTag, ValueError):
        return None


def _key(secret: str) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=b"rtcc-bridge refresh token").derive(secret.encode())
