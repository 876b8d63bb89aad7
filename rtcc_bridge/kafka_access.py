"""The settings of how the broker knows this program, and this program the broker: TLS and SASL.

There is no SASL without TLS, not even on loopback: brokers tell clients to connect to the addresses that they
advertise, so a local proxy that adds the encryption would be passed by, and what proves the identity, with every
record, would go over the network readable.
"""

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from rtcc_bridge.settings_section import Seconds, Section

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_SSL"]


class TlsSettings(Section):
    """TLS to the broker. The broker's certificate and host name are always checked."""

    ca_file: Path | None = Field(
        None, description="PEM file of the authorities that sign the brokers' certificates; without it the system's."
    )
    certificate_file: Path | None = Field(
        None, description="PEM file of this client's certificate and its chain, where brokers ask for one."
    )
    key_file: Path | None = Field(
        None, description="PEM file of that certificate's key, without a password, for its owner only (mode 0600)."
    )


class TokenSettings(Section):
    """Where OAUTHBEARER's tokens come from: OAuth 2.0 client credentials (RFC 6749, section 4.4)."""

    endpoint: str | None = Field(None, description="https:// address of the authority's token endpoint.")
    client_id: str | None = Field(None, min_length=1, description="The name of this client at the authority.")
    client_secret_file: Path | None = Field(
        None, description="File with the client's secret, for its owner only (mode 0600)."
    )
    client_secret: SecretStr | None = Field(None, description="The secret (from the environment), instead of the file.")
    scope: str | None = Field(None, min_length=1, description="The scope to ask for, where the authority wants one.")
    ca_file: Path | None = Field(
        None, description="PEM file of the authorities that sign the endpoint's certificate; without it the system's."
    )
    timeout_seconds: Seconds = Field(5.0, description="Limit of one request for a token.")

    @field_validator("endpoint")
    @classmethod
    def _encrypted(cls, endpoint: str | None) -> str | None:
        if endpoint is not None and (urlsplit(endpoint).scheme != "https" or not urlsplit(endpoint).hostname):
            message = "has to begin with https:// and name a host: the client's secret is sent there"
            raise ValueError(message)
        return endpoint


class SaslSettings(Section):
    """How this program proves to the broker who it is."""

    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] = Field(
        "SCRAM-SHA-512", description="The mechanism. PLAIN and SCRAM take a password, OAUTHBEARER takes tokens."
    )
    username: str | None = Field(None, min_length=1, description="The user, for PLAIN and SCRAM.")
    password_file: Path | None = Field(None, description="File with the password, for its owner only (mode 0600).")
    password: SecretStr | None = Field(None, description="The password (from the environment), instead of the file.")
    token: TokenSettings = Field(default_factory=TokenSettings, description="The tokens, for OAUTHBEARER.")


def contradiction(protocol: SecurityProtocol, tls: TlsSettings, sasl: SaslSettings) -> str | None:
    """What does not fit together in these settings, with what to do about it; None when all fits."""
    if protocol == "PLAINTEXT" and tls != TlsSettings():
        return "kafka.tls is set, and security_protocol is PLAINTEXT, which has no TLS: set it to SSL or SASL_SSL"
    if (tls.certificate_file is None) is not (tls.key_file is None):
        return "kafka.tls.certificate_file and kafka.tls.key_file belong together: set both or none"
    if protocol != "SASL_SSL":
        if sasl != SaslSettings():
            return f"kafka.sasl is set, and security_protocol {protocol} does not use it: set it to SASL_SSL"
        return None
    return _token_problem(sasl) if sasl.mechanism == "OAUTHBEARER" else _password_problem(sasl)


def _password_problem(sasl: SaslSettings) -> str | None:
    if sasl.token != TokenSettings():
        return f"kafka.sasl.token is for OAUTHBEARER, and the mechanism is {sasl.mechanism}: remove one of the two"
    if sasl.username is None:
        return f"{sasl.mechanism} needs a user: set kafka.sasl.username"
    if (sasl.password is None) is (sasl.password_file is None):
        return f"{sasl.mechanism} needs one password: set either kafka.sasl.password_file or kafka.sasl.password"
    return None


def _token_problem(sasl: SaslSettings) -> str | None:
    if sasl.username is not None or sasl.password is not None or sasl.password_file is not None:
        return "OAUTHBEARER takes no user and no password: remove kafka.sasl.username and the password"
    token = sasl.token
    if token.endpoint is None or token.client_id is None:
        return "OAUTHBEARER needs kafka.sasl.token.endpoint and kafka.sasl.token.client_id: set both"
    if (token.client_secret is None) is (token.client_secret_file is None):
        return (
            "OAUTHBEARER needs one secret: set either kafka.sasl.token.client_secret_file or "
            "kafka.sasl.token.client_secret"
        )
    return None
