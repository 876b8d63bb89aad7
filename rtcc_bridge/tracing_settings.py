"""The settings of traces."""

from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from rtcc_bridge.settings_section import Seconds, Section


class TracingSettings(Section):
    """Traces for an OpenTelemetry collector. Off until `endpoint` is set; `docs/tracing.md` says what a trace holds."""

    endpoint: str | None = Field(
        None,
        description="Where spans are sent, the whole address of OTLP over HTTP: http://127.0.0.1:4318/v1/traces, for "
        "example. Needs `pip install 'rtcc-bridge[tracing]'`.",
    )
    ca_file: Path | None = Field(
        None, description="PEM file of the authorities that sign the collector's certificate; without it certifi's."
    )
    sample_ratio: float = Field(
        1.0,
        ge=0,
        le=1,
        description="Share of the traces which are recorded, also of those that a record brings: whether its sender "
        "records them decides nothing here.",
    )
    queue_size: int = Field(
        4096,
        ge=1,
        le=100_000,
        description="Spans that wait to be sent. While the collector is away, the oldest give way to the newest.",
    )
    timeout_seconds: Seconds = Field(
        5.0, description="Limit of one request to the collector, its repetitions included."
    )

    @field_validator("endpoint")
    @classmethod
    def _whole_and_without_secrets(cls, endpoint: str | None) -> str | None:
        if endpoint is None:
            return None
        parts = urlsplit(endpoint)
        if parts.scheme not in {"http", "https"} or not parts.hostname or not parts.path.strip("/"):
            message = "has to be the whole address, such as http://127.0.0.1:4318/v1/traces"
            raise ValueError(message)
        if parts.username is not None or parts.query:
            raise ValueError("may hold neither a user nor a query: it is written to the log")
        return endpoint
