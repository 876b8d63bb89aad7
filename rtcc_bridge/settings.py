"""Settings: one model per section. Unknown keys are errors; secrets are never printed.

A settings file is YAML; every value can be overridden by an environment variable, for example
`RTCC_BRIDGE_KAFKA__BOOTSTRAP_SERVERS=["127.0.0.1:9092"]`. The reference page `docs/configuration.md` is generated
from here.
"""

import os
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from rtcc_bridge.errors import ConfigurationError, ConfigurationProblem

ENVIRONMENT_PREFIX = "RTCC_BRIDGE_"
CONFIG_VARIABLE = f"{ENVIRONMENT_PREFIX}CONFIG"
"""Names the settings file where the option --config does not."""
SQLITE_SCHEME: Final = "sqlite+aiosqlite://"

Seconds = Annotated[float, Field(gt=0, le=86_400)]
Port = Annotated[int, Field(ge=0, le=65_535)]
Bytes = Annotated[int, Field(gt=0)]
TopicName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")]


class Section(BaseModel):
    """A section of the settings: strict about its keys, never changed after start."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class TopicSettings(Section):
    """The names of the topics (contract names by default)."""

    incidents: TopicName = Field("rtcc.incidents", description="Incidents from dispatch (read).")
    threats: TopicName = Field("rtcc.threats", description="Imminent-threat alerts (read).")
    leads: TopicName = Field("rtcc.leads", description="The life of each lead (written).")
    leads_exercise: TopicName = Field(
        "rtcc.leads.exercise", description="Leads of exercises, never live ones (written)."
    )
    probes_imminent: TopicName = Field(
        "rtcc-bridge.probes.imminent", description="Search requests of the imminent lane."
    )
    probes_routine: TopicName = Field("rtcc-bridge.probes.routine", description="Search requests of the routine lane.")
    gallery: TopicName = Field("rtcc-bridge.gallery", description="Notices that a gallery's head moved.")
    dead_letters: TopicName = Field("rtcc-bridge.dead-letters", description="What could not be processed (written).")
    partitions: int = Field(6, ge=1, le=1000, description="Partitions that `topics create` gives to each topic.")
    replication_factor: int = Field(1, ge=1, le=9, description="Copies of each partition; 3 in production.")


class KafkaSettings(Section):
    """The broker and how its records are consumed."""

    bootstrap_servers: tuple[str, ...] = Field(
        ("127.0.0.1:9092",), min_length=1, description="host:port of one or more brokers."
    )
    client_id: str = Field(
        "rtcc-bridge", min_length=1, description="The name under which the broker sees this process."
    )
    group_prefix: str = Field("rtcc-bridge", min_length=1, description="Consumer groups are named `<prefix>.<role>`.")
    security_protocol: Literal["PLAINTEXT"] = Field(
        "PLAINTEXT", description="TLS and SASL follow with the production profile."
    )
    enable_idempotence: bool = Field(
        default=False, description="Idempotent producer; Apache Kafka has it, the embedded broker has not."
    )
    session_timeout_seconds: Seconds = Field(
        10.0, description="A silent consumer loses its partitions after this time."
    )
    request_timeout_seconds: Seconds = Field(10.0, description="Limit of one request to the broker.")
    poll_max_records: int = Field(200, ge=1, le=5000, description="Records taken in one poll.")
    window: int = Field(256, ge=1, le=10_000, description="Records in work per topic; when full, its partitions pause.")
    max_record_bytes: Bytes = Field(1_000_000, description="A larger event is a dead letter.")
    handle_attempts: int = Field(5, ge=1, le=100, description="How often a record is tried while its failure may pass.")
    handle_backoff_seconds: Seconds = Field(
        0.2, description="First pause between two tries; doubles, with jitter, up to 10 s."
    )
    dead_letter_rate_limit: int = Field(
        50, ge=1, description="More dead letters of one topic than this within the window pause that topic."
    )
    dead_letter_rate_window_seconds: Seconds = Field(60.0, description="The window of `dead_letter_rate_limit`.")
    dead_letter_pause_seconds: Seconds = Field(
        300.0, description="How long such a topic is paused before it is tried again, with a fresh count."
    )
    deduplicate_hours: float = Field(
        192.0, gt=0, description="How long events are remembered; at least the retention of the topics that are read."
    )
    type_mapping: dict[str, str] = Field(
        default_factory=dict, description="A site's own CloudEvents types, translated to the contract's."
    )
    incident_status_mapping: dict[str, str] = Field(
        default_factory=dict, description="A site's own incident status codes, translated to the contract's."
    )
    topics: TopicSettings = Field(default_factory=TopicSettings, description="Topic names.")

    @model_validator(mode="after")
    def _joining_fits_a_request(self) -> Self:
        """A broker may hold a join open for half of the session timeout (the embedded one does)."""
        if self.request_timeout_seconds <= self.session_timeout_seconds / 2:
            message = (
                "kafka.request_timeout_seconds has to be more than half of kafka.session_timeout_seconds, "
                "or joining the consumer group never ends"
            )
            raise ValueError(message)
        return self


class DatabaseSettings(Section):
    """The database: SQLite, which serves one process. PostgreSQL, for several replicas, comes with the next version."""

    url: SecretStr = Field(
        SecretStr("sqlite+aiosqlite:///var/rtcc-bridge.sqlite3"),
        description="sqlite+aiosqlite:///path of the file; no other database in this version. Treated as a secret.",
    )
    pool_size: int = Field(5, ge=1, le=100, description="Connections held open.")
    busy_timeout_seconds: Seconds = Field(5.0, description="How long a statement waits for a lock.")

    @field_validator("url")
    @classmethod
    def _sqlite_only(cls, url: SecretStr) -> SecretStr:
        if not url.get_secret_value().startswith(SQLITE_SCHEME):
            message = f"only {SQLITE_SCHEME}… is supported: PostgreSQL comes with the next version"
            raise ValueError(message)
        return url


class ObjectSettings(Section):
    """The store of sealed objects and the master key that wraps their keys."""

    url: str = Field(
        "file:///var/lib/rtcc-bridge/objects",
        description="A folder as file:///… (S3-compatible stores as s3://bucket/prefix).",
    )
    master_key_file: Path | None = Field(
        None,
        description="File with the 32-byte master key in base64, mode 0600; the demo profile creates it.",
    )
    master_key: SecretStr | None = Field(
        None, description="The master key in base64 (from the environment), instead of the file."
    )
    timeout_seconds: Seconds = Field(10.0, description="Limit of one call to the store.")


class WebSettings(Section):
    """The HTTP server."""

    host: str = Field(
        "127.0.0.1", description="Address to bind. Until people are known only a loopback address is accepted."
    )
    port: Port = Field(8080, description="Port to bind; 0 takes a free one.")
    shutdown_seconds: Seconds = Field(10.0, description="How long open requests may finish at shutdown.")
    feed_clients: int = Field(200, ge=1, le=10_000, description="Open feed connections; more are answered 503.")
    feed_replay_limit: int = Field(
        1000, ge=1, le=100_000, description="Events read from the database at once when a feed resumes."
    )
    feed_heartbeat_seconds: Seconds = Field(
        15.0, description="A comment line is sent this often, so that proxies keep the feed open."
    )
    uploads: int = Field(
        4, ge=1, le=64, description="Uploads at the same time; more are answered 503 with Retry-After."
    )
    upload_timeout_seconds: Seconds = Field(120.0, description="Limit of one upload.")


class IntakeSettings(Section):
    """Probe intake: what an upload may be and what its sandboxed workers may use."""

    workers: int = Field(1, ge=1, le=64, description="Sandboxed decoding processes.")
    max_upload_bytes: Bytes = Field(25_000_000, description="Largest upload.")
    max_pixels: Bytes = Field(
        50_000_000, description="Largest picture; read from its header before anything is decoded."
    )
    max_detection_pixels: Bytes = Field(12_000_000, description="Faces are looked for on a copy of at most this size.")
    worker_memory_bytes: Bytes = Field(4_000_000_000, description="Address-space limit of a worker.")
    worker_timeout_seconds: Seconds = Field(
        30.0, description="Limit of one job; the worker is replaced when it is passed."
    )
    jobs_per_worker: int = Field(50, ge=1, description="A worker is replaced after this many jobs.")
    max_waiting: int = Field(8, ge=1, le=1000, description="Jobs that may wait for a worker; more are answered 503.")
    min_face_px: int = Field(20, ge=12, le=1000, description="Smallest face that is looked for, in pixels of width.")


class MatchingSettings(Section):
    """The model pack, the device and the batches."""

    pack: str = Field(
        "default", min_length=1, description="Name of the model pack, or `default` for the one built from pip packages."
    )
    packs_directory: Path = Field(Path("var/packs"), description="Where model packs are kept.")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Where templates are made and compared.")
    threads: int = Field(2, ge=1, le=256, description="CPU threads of the model and of the search.")
    batch_size: int = Field(32, ge=1, le=1024, description="Largest batch.")
    batch_deadline_seconds: Seconds = Field(
        0.005, description="A batch starts at the latest this long after its first probe."
    )
    queue_size: int = Field(512, ge=1, description="Probes that may wait in a matcher; more are refused as busy.")
    gallery: str = Field(
        "demo", min_length=1, description="The gallery that probes of actual events are compared with."
    )
    training_gallery: str | None = Field(
        None, description="The gallery for exercises; without it they are refused (P07)."
    )
    list_length: int = Field(20, ge=1, le=50, description="Most persons on a candidate list.")
    target_fpir: float = Field(
        0.05, gt=0, lt=1, description="Accepted chance that a person who is not enrolled gets any candidate."
    )
    gallery_poll_seconds: Seconds = Field(
        0.5, description="How often the gallery's head is confirmed with the database."
    )
    gallery_stale_seconds: Seconds = Field(
        10.0, description="A matcher that cannot confirm the head for this long stops searching (P25)."
    )
    request_timeout_seconds: Seconds = Field(30.0, description="Limit of one search, from request to lead.")


class LeadSettings(Section):
    """The life of leads and the work around it."""

    expires_after_hours: float = Field(720.0, gt=0, description="A lead without a reported outcome expires after this.")
    reconcile_after_seconds: Seconds = Field(
        30.0, description="A probe with authority and no outcome is requested again after this."
    )
    reconcile_every_seconds: Seconds = Field(5.0, description="How often such probes are looked for.")


class RelaySettings(Section):
    """The relay that numbers committed events and publishes them."""

    batch_size: int = Field(200, ge=1, le=10_000, description="Events taken at once.")
    idle_seconds: Seconds = Field(0.2, description="How often it looks when nobody wakes it.")
    publish_timeout_seconds: Seconds = Field(10.0, description="Limit of one publication.")
    retention_hours: float = Field(
        168.0, gt=0, description="Published events are kept this long, so that a feed client that returns can catch up."
    )


class PolicySettings(Section):
    """The policy file."""

    file: Path = Field(Path("config/policy.yaml"), description="The policy in force.")


class LogSettings(Section):
    """Logging to standard error."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Least severe level that is written."
    )
    format: Literal["json", "console"] = Field("json", description="One JSON object a line, or text for a terminal.")


class Settings(BaseSettings):
    """Everything that can be configured."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix=ENVIRONMENT_PREFIX, env_nested_delimiter="__", validate_default=True
    )

    profile: Literal["demo"] = Field(
        "demo", description="Until people, sign-in and a signed policy exist, only the demo profile runs."
    )
    kafka: KafkaSettings = Field(default_factory=KafkaSettings)
    database: DatabaseSettings = Field(default_factory=DatabaseSettings)
    objects: ObjectSettings = Field(default_factory=ObjectSettings)
    web: WebSettings = Field(default_factory=WebSettings)
    intake: IntakeSettings = Field(default_factory=IntakeSettings)
    matching: MatchingSettings = Field(default_factory=MatchingSettings)
    leads: LeadSettings = Field(default_factory=LeadSettings)
    relay: RelaySettings = Field(default_factory=RelaySettings)
    policy: PolicySettings = Field(default_factory=PolicySettings)
    log: LogSettings = Field(default_factory=LogSettings)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is the library's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file (which arrives as the initial values)."""
        return env_settings, init_settings

    @field_validator("web")
    @classmethod
    def _loopback_only(cls, web: WebSettings) -> WebSettings:
        if web.host not in {"127.0.0.1", "::1", "localhost"}:
            message = (
                f"{web.host} is not a loopback address. Until the daemon knows its users it would let anybody search: "
                "bind to 127.0.0.1 and reach it through a tunnel"
            )
            raise ValueError(message)
        return web

    @model_validator(mode="after")
    def _batch_fits_queue(self) -> Self:
        if self.matching.batch_size > self.matching.queue_size:
            message = "matching.batch_size is larger than matching.queue_size, so no batch could ever fill"
            raise ValueError(message)
        return self


def _problems(error: ValidationError) -> tuple[ConfigurationProblem, ...]:
    def one(detail: Any) -> ConfigurationProblem:
        path = ".".join(str(part) for part in detail["loc"]) or "settings"
        if detail["type"] == "extra_forbidden":
            return ConfigurationProblem(
                path, "unknown setting", "Remove it or correct its name (see docs/configuration.md)"
            )
        return ConfigurationProblem(path, str(detail["msg"]), "Correct the value (see docs/configuration.md)")

    return tuple(one(detail) for detail in error.errors(include_input=False, include_url=False))


def _unknown_environment() -> tuple[ConfigurationProblem, ...]:
    """pydantic-settings ignores unknown environment names; a mistyped one must not pass in silence."""
    known = {f"{ENVIRONMENT_PREFIX}{name}".upper() for name in Settings.model_fields} | {CONFIG_VARIABLE}
    return tuple(
        ConfigurationProblem(
            name, "unknown environment variable", "Unset it or correct its name (see docs/configuration.md)"
        )
        for name in sorted(os.environ)
        if name.startswith(ENVIRONMENT_PREFIX) and name.split("__")[0] not in known
    )


def load_settings(file: Path | None = None, **overrides: Any) -> Settings:
    """Reads the settings file (if any), the environment over it, and `overrides` (sections as mappings) over the file.

    Raises ConfigurationError that names every problem: path, cause and remedy.
    """
    values: dict[str, Any] = {}
    if file is not None:
        values = _read_yaml(file)
    for section, content in overrides.items():
        merged = values.get(section)
        values[section] = {**merged, **content} if isinstance(merged, dict) and isinstance(content, dict) else content
    if unknown := _unknown_environment():
        raise ConfigurationError(*unknown)
    try:
        return Settings(**values)
    except ValidationError as error:
        raise ConfigurationError(*_problems(error)) from error


def _read_yaml(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        problem = ConfigurationProblem(
            str(file), f"cannot be read ({error.strerror})", "Name an existing settings file"
        )
        raise ConfigurationError(problem) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        problem = ConfigurationProblem(str(file), f"is not YAML ({error})", "Correct the file")
        raise ConfigurationError(problem) from error
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise ConfigurationError(
            ConfigurationProblem(str(file), "is not a mapping of sections", "See config/demo.yaml")
        )
    return content
