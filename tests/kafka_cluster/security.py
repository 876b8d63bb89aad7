"""What clients have to show on the listener for them: TLS, a user with a password or a token, rights."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final, Literal

Protocol = Literal["SSL", "SASL_PLAINTEXT", "SASL_SSL"]

ADMIN: Final = "admin"
"""The user that may do everything when rights are checked."""

_MODULES: Final = "org.apache.kafka.common.security"
_LISTENER: Final = "listener.name.clients"


@dataclass(frozen=True, slots=True)
class ClientSecurity:
    """The listener for clients. With SASL, a user logs in by SCRAM-SHA-512 or PLAIN, or brings an unsigned token.

    users: passwords by name. client_certificates: TLS clients must show a certificate of the authority. acls: nothing
    is allowed without a rule, except to ADMIN and on the internal listener. certificate_valid_for: of the brokers'
    certificates; a negative time makes expired ones.
    """

    protocol: Protocol
    users: Mapping[str, str] = field(default_factory=dict)
    client_certificates: bool = False
    acls: bool = False
    certificate_valid_for: timedelta = timedelta(days=30)

    def __post_init__(self) -> None:
        if self.acls and not (self.has_users or self.client_certificates):
            raise ValueError("without users or client certificates every client would be the internal listener's")

    @property
    def has_users(self) -> bool:
        """Whether clients log in by SASL."""
        return self.protocol.startswith("SASL_")

    @property
    def has_tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.protocol.endswith("SSL")

    def format_arguments(self) -> list[str]:
        """What the storage tool is told, so that the first broker knows the users of SCRAM."""
        if not self.has_users:
            return []
        users = (f"SCRAM-SHA-512=[name={name},password={password}]" for name, password in self.users.items())
        return [argument for user in users for argument in ("--add-scram", user)]

    def properties(self, ca_file: Path, key_file: Path) -> dict[str, str]:
        """The broker's settings; the files are PEM."""
        return self._tls(ca_file, key_file) | self._sasl() | self._rights()

    def _tls(self, ca_file: Path, key_file: Path) -> dict[str, str]:
        if not self.has_tls:
            return {}
        return {
            f"{_LISTENER}.ssl.keystore.type": "PEM",
            f"{_LISTENER}.ssl.keystore.location": str(key_file),
            f"{_LISTENER}.ssl.truststore.type": "PEM",
            f"{_LISTENER}.ssl.truststore.location": str(ca_file),
            f"{_LISTENER}.ssl.client.auth": "required" if self.client_certificates else "none",
        }

    def _sasl(self) -> dict[str, str]:
        if not self.has_users:
            return {}
        known = "".join(f' user_{name}="{password}"' for name, password in self.users.items())
        return {
            f"{_LISTENER}.sasl.enabled.mechanisms": "SCRAM-SHA-512,PLAIN,OAUTHBEARER",
            f"{_LISTENER}.scram-sha-512.sasl.jaas.config": f"{_MODULES}.scram.ScramLoginModule required;",
            f"{_LISTENER}.plain.sasl.jaas.config": f"{_MODULES}.plain.PlainLoginModule required{known};",
            f"{_LISTENER}.oauthbearer.sasl.jaas.config": (
                f'{_MODULES}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";'
            ),
        }

    def _rights(self) -> dict[str, str]:
        if not self.acls:
            return {}
        return {
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": f"User:{ADMIN};User:ANONYMOUS",
        }
