"""The settings of what is served by HTTP."""

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from rtcc_bridge.settings_section import Seconds, Section

Port = Annotated[int, Field(ge=0, le=65_535)]


class WebSettings(Section):
    """The HTTP server."""

    host: str = Field(
        "127.0.0.1",
        description="Address to bind. In the demo, where everybody may act as anybody, a loopback address alone.",
    )
    public_url: str | None = Field(
        None,
        description="The address that people type, https://name without a path: outside the demo no other name is "
        "served, pages are believed from there alone, and the identity provider sends people back there.",
    )
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = Field(
        (),
        description="Networks of the proxies that end TLS in front of the daemon. Outside the demo a request comes "
        "from one of them or from this machine, with X-Forwarded-Proto: https; whom X-Forwarded-For names is entered "
        "in the audit log.",
    )
    port: Port = Field(8080, description="Port to bind; 0 takes a free one.")
    shutdown_seconds: Seconds = Field(10.0, description="How long open requests may finish at shutdown.")
    connections: int = Field(
        500,
        ge=1,
        le=10_000,
        description="Open connections. When there are as many, the oldest that asks for nothing makes room for a "
        "further one; when all are being answered, that one is closed. Each is a file descriptor (`ulimit -n`).",
    )
    idle_seconds: Seconds = Field(
        75.0,
        description="How long a connection may take to send the head of its first or its next request, here and at "
        "`operations.port`; then it is closed.",
    )
    feed_clients: int = Field(200, ge=1, le=10_000, description="Open feed connections; more are answered 503.")
    feed_replay_limit: int = Field(
        1000, ge=1, le=100_000, description="Events read from the database at once when a feed resumes."
    )
    feed_heartbeat_seconds: Seconds = Field(
        15.0, description="A comment line is sent this often, so that proxies keep the feed open."
    )
    uploads: int = Field(
        4,
        ge=1,
        le=64,
        description="Uploads at the same time; more are answered 503 with Retry-After. One in four is for threats.",
    )
    upload_timeout_seconds: Seconds = Field(120.0, description="Limit of one upload.")

    @field_validator("public_url")
    @classmethod
    def _an_origin(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/") or parts.query:
            raise ValueError("has to be https:// and a name, and nothing behind that")
        return f"{parts.scheme}://{parts.netloc.lower()}"

    @property
    def is_loopback(self) -> bool:
        return self.host in {"127.0.0.1", "::1", "localhost"}


class OperationsSettings(Section):
    """Where `/healthz`, `/readyz` and `/metrics` are served. They count; no person or incident is named."""

    host: str = Field(
        "127.0.0.1",
        description="Address to bind; 0.0.0.0 lets Prometheus and Kubernetes ask from elsewhere. Why something is not "
        "ready is told to this machine only.",
    )
    port: Port | None = Field(
        None,
        description="Port to bind; 0 takes a free one. Without it they are served at `web.port`; with it a process "
        "without the role web opens no other port.",
    )
    connections: int = Field(
        50,
        ge=1,
        le=10_000,
        description="Open connections there; a further one is closed at once. See `web.idle_seconds`.",
    )
