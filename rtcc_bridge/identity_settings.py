"""The settings of who may come in: the identity provider, what its claims mean, and how long a session lasts."""

from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from rtcc_bridge.settings_section import Seconds, Section

RoleName = Literal["floor", "analyst", "supervisor", "requestor", "administrator", "auditor", "operations"]
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"]

LOOPBACK_HOSTS: Final = frozenset({"127.0.0.1", "::1", "localhost"})
LONGEST_IDLE_SECONDS: Final = 1800.0
"""P29."""


def is_encrypted_or_local(url: str) -> bool:
    """Whether an address begins with https://, or with http:// and a host that is this machine."""
    parts = urlsplit(url)
    return bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme == "http" and _is_here(parts.hostname)))


def _is_here(host: str | None) -> bool:
    return host in LOOPBACK_HOSTS


class IdentitySettings(Section):
    """Who may come in, and as what. Outside the demo people sign in with the department's identity provider (OpenID
    Connect); the demo has local accounts (`rtcc-bridge users`) and the role switch. docs/sign-in.md."""

    role_switch: bool = Field(
        default=True,
        description="In the demo alone: whoever is at this machine acts as any demo account, without signing in.",
    )
    issuer: str | None = Field(
        None, description="The provider's issuer, https://…; its discovery document is found from there."
    )
    client_id: str | None = Field(None, min_length=1, description="The name of this client at the provider.")
    client_secret_file: Path | None = Field(
        None, description="File with the client's secret, for its owner only (mode 0600)."
    )
    client_secret: SecretStr | None = Field(None, description="The secret (from the environment), instead of the file.")
    ca_file: Path | None = Field(
        None, description="PEM file of the authorities that sign the provider's certificate; without it the system's."
    )
    scopes: tuple[str, ...] = Field(
        ("openid", "profile"),
        description="What is asked for. Where the provider gives a refresh token for `offline_access` alone, add it.",
    )
    algorithms: tuple[Algorithm, ...] = Field(
        ("RS256", "PS256", "ES256"), min_length=1, description="Signatures of tokens that are accepted."
    )
    timeout_seconds: Seconds = Field(5.0, le=30, description="Limit of one request to the provider.")
    person_claim: str = Field(
        "sub",
        min_length=1,
        description="The claim with the person's one id at the department, such as the employee number: two accounts "
        "that bear the same are one person (P11). Here as in the other claims, a dot leads into an object.",
    )
    login_claim: str = Field("preferred_username", min_length=1, description="The claim with the account's name.")
    roles_claim: str = Field("roles", min_length=1, description="The claim with the person's groups or roles.")
    roles: dict[str, RoleName] = Field(
        default_factory=dict, description="What of that claim stands for which role; the rest counts for nothing."
    )
    certificates_claim: str | None = Field(
        None,
        min_length=1,
        description="The claim with the person's certificates (P10): an object of names and spans, or a list of "
        "`name=span`; a span is the day of issue, or `ISSUED/LAST` with the last day. Without it nobody has any, and "
        "no analyst can begin new work.",
    )
    certificates: dict[str, str] = Field(
        default_factory=dict, description="The provider's names of certificates, translated to the policy's."
    )
    second_factor_claim: Literal["amr", "acr"] = Field(
        "amr", description="The claim that tells of the second factor (P29)."
    )
    second_factor_values: tuple[str, ...] = Field(
        ("mfa",),
        description="One of these has to be in it. Empty: the provider lets nobody in without a second factor, and "
        "does not say so in its tokens.",
    )
    idle_seconds: float = Field(
        LONGEST_IDLE_SECONDS,
        gt=0,
        le=LONGEST_IDLE_SECONDS,
        description="A session in which a person does nothing for so long locks (P29).",
    )
    session_hours: float = Field(12.0, gt=0, le=24, description="A session ends after so long, whatever happens in it.")
    recheck_seconds: float = Field(
        60.0,
        ge=1,
        le=900,
        description="How old what the provider said of a person may be: with the next request after that it is asked "
        "again. So long a role that was taken away can still be used.",
    )
    outage_seconds: float = Field(
        600.0,
        ge=0,
        le=3600,
        description="How much older it may be while the provider does not answer; then nobody is served.",
    )

    @field_validator("issuer")
    @classmethod
    def _encrypted(cls, issuer: str | None) -> str | None:
        if issuer is not None and not is_encrypted_or_local(issuer):
            message = "has to begin with https:// and name a host: passwords and tokens go there"
            raise ValueError(message)
        return issuer

    @field_validator("scopes")
    @classmethod
    def _openid(cls, scopes: tuple[str, ...]) -> tuple[str, ...]:
        if "openid" not in scopes:
            raise ValueError("has to hold openid, without which the provider gives no ID token")
        return scopes

    @model_validator(mode="after")
    def _one_secret(self) -> "IdentitySettings":
        if self.issuer is None:
            return self
        if self.client_id is None:
            raise ValueError("identity.issuer needs identity.client_id: the name of this client at the provider")
        if (self.client_secret is None) is (self.client_secret_file is None):
            raise ValueError(
                "identity.issuer needs one secret: set either identity.client_secret_file or identity.client_secret"
            )
        if not self.roles:
            raise ValueError(
                "identity.roles is empty, so nobody could do anything: say which group stands for which role"
            )
        return self
