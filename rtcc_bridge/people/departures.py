"""What a browser takes along on its way to the identity provider, so that a sign-in that is merely begun costs nothing.

The cookie says when the sign-in began and which page was wanted, and holds 256 random bits. `state`, `nonce` and the
PKCE verifier are derived from all of it (HKDF-SHA256, RFC 5869), each under a label of its own. So whoever changes time
or page changes all three, and they are no longer those that the provider was told of: the code's challenge and the
nonce that it has signed do not fit. No key has to be shared among the replicas for that, and `state`, which stands in
addresses and logs, tells nothing of the other two.
"""

import binascii
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Self

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from rtcc_bridge.people.session_secret import is_secret, new_secret

SIGN_IN_TAKES: Final = timedelta(minutes=10)
CLOCKS_DIFFER: Final = timedelta(minutes=1)
"""The replica to which a browser comes back may be so much behind the one that it left."""
MOST_COOKIE_CHARACTERS: Final = 3072
"""Browsers keep cookies of 4,096 bytes with name and attributes (RFC 6265, section 6.1)."""

_SEPARATOR: Final = "."


@dataclass(frozen=True, slots=True)
class Departure:
    """A sign-in that a browser has begun. begun_at: seconds since 1970. back: the page that the person wanted."""

    secret: str
    begun_at: int
    back: str

    @classmethod
    def begin(cls, back: str, now: datetime) -> Self:
        """A page whose address is too long for a cookie is forgotten: the person comes back to the first page."""
        begun = cls(new_secret(), int(now.timestamp()), back)
        return begun if len(begun.cookie) <= MOST_COOKIE_CHARACTERS else cls(begun.secret, begun.begun_at, "/")

    @classmethod
    def read(cls, cookie: str) -> Self | None:
        """None for what is none of ours. It may be another browser's, or be over: see `belongs_to` and `is_over`."""
        secret, _, rest = cookie.partition(_SEPARATOR)
        begun_at, _, back = rest.partition(_SEPARATOR)
        is_number = begun_at.isascii() and begun_at.isdigit() and len(begun_at) <= len(str(10**10))
        if len(cookie) > MOST_COOKIE_CHARACTERS or not is_secret(secret) or not is_number:
            return None
        try:
            return cls(secret, int(begun_at), urlsafe_b64decode(back + "=" * (-len(back) % 4)).decode())
        except (binascii.Error, ValueError):
            return None

    @property
    def cookie(self) -> str:
        """Of letters that need no quotes in a header."""
        return _SEPARATOR.join((self.secret, str(self.begun_at), _encoded(self.back.encode())))

    @property
    def state(self) -> str:
        return self._derived(b"state")

    @property
    def nonce(self) -> str:
        return self._derived(b"nonce")

    @property
    def verifier(self) -> str:
        """43 characters, as RFC 7636, section 4.1, wants them."""
        return self._derived(b"verifier")

    def belongs_to(self, state: str) -> bool:
        """Whether the provider's answer is for the browser that has this cookie."""
        return is_secret(state) and hmac.compare_digest(self.state, state)

    def is_over(self, now: datetime) -> bool:
        age = now.timestamp() - self.begun_at
        return not -CLOCKS_DIFFER.total_seconds() <= age <= SIGN_IN_TAKES.total_seconds()

    def _derived(self, label: bytes) -> str:
        information = b"rtcc-bridge sign-in\x00%b\x00%d\x00%b" % (label, self.begun_at, self.back.encode())
        return _encoded(HKDF(SHA256(), 32, None, information).derive(self.secret.encode()))


def _encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
