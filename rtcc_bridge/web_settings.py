"""The settings of what is served by HTTP."""

from typing import Annotated

from pydantic import Field, field_validator

from rtcc_bridge.settings_section import Seconds, Section

Port = Annotated[int, Field(ge=0, le=65_535)]


class WebSettings(Section):
    """The HTTP server."""

    host: str = Field(
        "127.0.0.1", description="Address to bind. Until people are known only a loopback address is accepted."
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

    @field_validator("host")
    @classmethod
    def _loopback_only(cls, host: str) -> str:
        if host not in {"127.0.0.1", "::1", "localhost"}:
            message = (
                f"{host} is not a loopback address. Until the daemon knows its users it would let anybody search: "
                "bind to 127.0.0.1 and reach it through a tunnel"
            )
            raise ValueError(message)
        return host


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
