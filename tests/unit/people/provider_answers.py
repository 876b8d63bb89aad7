"""What an identity provider answers, made here: its documents, its tokens, and what it says to a code."""

from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from rtcc_bridge.identity_settings import IdentitySettings
from rtcc_bridge.people.provider_documents import ProviderHttp
from tests.doubles import ManualClock

ISSUER = "https://identity.example.org"
KEY = RSAKey.generate_key(2048, parameters={"kid": "one", "use": "sig", "alg": "RS256"})
SETTINGS = IdentitySettings(issuer=ISSUER, client_id="client", client_secret="s", roles={"a": "analyst"})


class Published(ProviderHttp):
    """What the provider would answer, by address."""

    def __init__(self, keys: list[Any], **changes: Any) -> None:
        super().__init__(SETTINGS)
        self.asked: list[str] = []
        self.keys = keys
        self.discovery: dict[str, Any] = {
            "issuer": ISSUER,
            "authorization_endpoint": f"{ISSUER}/authorize",
            "token_endpoint": f"{ISSUER}/token",
            "jwks_uri": f"{ISSUER}/keys",
        } | changes

    async def get(self, url: str) -> dict[str, Any]:
        self.asked.append(url)
        return {"keys": self.keys} if url == f"{ISSUER}/keys" else self.discovery


def public(*keys: RSAKey | ECKey) -> list[Any]:
    return [key.as_dict(private=False) for key in keys]


def claims(clock: ManualClock, **changes: Any) -> dict[str, Any]:
    now = int(clock.now().timestamp())
    found = {"iss": ISSUER, "aud": "client", "sub": "s-1", "iat": now, "exp": now + 300, "nonce": "n"} | changes
    return {name: value for name, value in found.items() if value is not None}


def signed(content: dict[str, Any], key: Any = KEY, **header: Any) -> str:
    written = {"alg": "RS256", "kid": key.kid} | header
    kept = {name: value for name, value in written.items() if value is not None}
    return jwt.encode(kept, content, key, algorithms=[written["alg"]])
