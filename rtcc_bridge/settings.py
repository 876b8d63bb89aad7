"""Settings: one model per section. Unknown keys are errors; secrets are never printed.

A settings file is YAML; every value can be overridden by an environment variable, for example
`RTCC_BRIDGE_KAFKA__BOOTSTRAP_SERVERS=["127.0.0.1:9092"]`. The reference page `docs/configuration.md` is generated
from here.
"""

import os
from pathlib import Path
from typing import Any, Final, Literal, Self

import yaml
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from rtcc_bridge.audit_settings import AuditSettings
from rtcc_bridge.database_url import POSTGRESQL_SCHEME, parse_postgres_url
from rtcc_bridge.errors import ConfigurationError, ConfigurationProblem
from rtcc_bridge.identity_settings import IdentitySettings
from rtcc_bridge.kafka_access import SaslSettings, SecurityProtocol, TlsSettings, contradiction
from rtcc_bridge.matching_settings import IntakeSettings, MatchingSettings, RecordsSettings
from rtcc_bridge.report_settings import ReportSettings
from rtcc_bridge.settings_section import Bytes, Seconds, Section
from rtcc_bridge.topic_settings import TopicSettings
from rtcc_bridge.tracing_settings import TracingSettings
from rtcc_bridge.web_settings import OperationsSettings, WebSettings

ENVIRONMENT_PREFIX = "RTCC_BRIDGE_"
CONFIG_VARIABLE = f"{ENVIRONMENT_PREFIX}CONFIG"
"""Names the settings file where the option --config does not."""
SQLITE_SCHEME: Final = "sqlite+aiosqlite://"
_FOLDER_SCHEME: Final = "file://"


class KafkaSettings(Section):
    """The broker and how its records are consumed."""

    bootstrap_servers: tuple[str, ...] = Field(
        ("127.0.0.1:9092",), min_length=1, description="host:port of one or more brokers."
    )
    client_id: str = Field(
        "rtcc-bridge", min_length=1, description="The name under which the broker sees this process."
    )
    group_prefix: str = Field("rtcc-bridge", min_length=1, description="Consumer groups are named `<prefix>.<role>`.")
    security_protocol: SecurityProtocol = Field(
        "PLAINTEXT", description="SSL or SASL_SSL in production. There is no SASL without TLS."
    )
    tls: TlsSettings = Field(default_factory=TlsSettings, description="For SSL and SASL_SSL.")
    sasl: SaslSettings = Field(default_factory=SaslSettings, description="For SASL_SSL.")
    enable_idempotence: bool = Field(
        default=True,
        description="Idempotent producer: no record twice or out of order by a retry. false for the embedded broker, "
        "which does not know it.",
    )
    group_instance_id: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9._-]{1,200}$",
        description="Static membership: a name that this process has over its restarts and no other process has. One "
        "that is back within `session_timeout_seconds` goes on with its partitions and causes no rebalance; of one "
        "that does not come back, the others take over after that time. Apache Kafka only.",
    )
    session_timeout_seconds: Seconds = Field(
        10.0, description="A silent consumer loses its partitions after this time."
    )
    request_timeout_seconds: Seconds = Field(10.0, description="Limit of one request to the broker.")
    poll_max_records: int = Field(200, ge=1, le=5000, description="Records taken in one poll.")
    window: int = Field(
        256,
        ge=1,
        le=10_000,
        description="Incidents and threats: records in one batch. Searches: records in work. When that many wait, the "
        "topic's partitions pause.",
    )
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
        192.0,
        gt=0,
        description="How long events are remembered: at least as long as a record of a topic that is read can stay, "
        "which is its retention and half a day, or half the retention where that is less.",
    )
    type_mapping: dict[str, str] = Field(
        default_factory=dict, description="A site's own CloudEvents types, translated to the contract's."
    )
    incident_status_mapping: dict[str, str] = Field(
        default_factory=dict, description="A site's own incident status codes, translated to the contract's."
    )
    operators: tuple[str, ...] = Field(
        ("User:rtcc-operator",),
        description="The broker's users for people who run this program's commands: they may read the topics of leads "
        "for `restore`. Everybody else whom the broker lets read those counts as a receiver of each lead (P19).",
    )
    topics: TopicSettings = Field(
        default_factory=TopicSettings, description="Names, partitions, copies and retention of the topics."
    )

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

    @field_validator("security_protocol", mode="before")
    @classmethod
    def _encrypted_sasl_only(cls, protocol: object) -> object:
        if protocol == "SASL_PLAINTEXT":
            message = "SASL_PLAINTEXT sends who this is, and every record, readable over the network: set SASL_SSL"
            raise ValueError(message)
        return protocol

    @model_validator(mode="after")
    def _static_members_need_apache_kafka(self) -> Self:
        """The embedded broker, which has no idempotent producers either, delivers records again to a static member."""
        if self.group_instance_id is not None and not self.enable_idempotence:
            message = (
                "kafka.group_instance_id does not work on the embedded broker: leave it out there; on Apache Kafka set "
                "kafka.enable_idempotence to true"
            )
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _access_is_complete(self) -> Self:
        if (problem := contradiction(self.security_protocol, self.tls, self.sasl)) is not None:
            raise ValueError(problem)
        return self

    @model_validator(mode="after")
    def _events_are_remembered_long_enough(self) -> Self:
        if self.topics.longest_input_hours > self.deduplicate_hours:
            message = (
                f"a record of the topics that are read can be {self.topics.longest_input_hours:g} h old, and events "
                f"are forgotten after {self.deduplicate_hours:g} h, so one that is read again would have its effect "
                "twice: raise kafka.deduplicate_hours or lower kafka.topics.input_retention_hours"
            )
            raise ValueError(message)
        return self


class DatabaseSettings(Section):
    """The database: SQLite, which serves one process, or PostgreSQL 14 or newer, for several replicas.

    PostgreSQL is reached directly or through a pooler that pools sessions: locks that belong to a session are used.
    """

    url: SecretStr = Field(
        SecretStr("sqlite+aiosqlite:///var/rtcc-bridge.sqlite3"),
        description=(
            "sqlite+aiosqlite:///path of the file, or postgresql+asyncpg://user:password@host:port/database. With "
            "failover, every host that may become the primary: postgresql+asyncpg://user:password@/database"
            "?host=db1:5432&host=db2:5432; the first that takes writes is used. ssl=verify-full, verify-ca, require or "
            "disable; without it verify-full, and disable when the database is on this machine. Treated as a secret."
        ),
    )
    tls_ca_file: Path | None = Field(
        None,
        description="The authorities (PEM) that may have signed the certificate of PostgreSQL; else the system's.",
    )
    application_name: str = Field(
        "rtcc-bridge", min_length=1, max_length=63, description="The name under which PostgreSQL sees this process."
    )
    pool_size: int = Field(
        5, ge=1, le=100, description="Connections held open; up to ten more are opened while they are all in use."
    )
    busy_timeout_seconds: Seconds = Field(5.0, description="How long a statement waits for a lock.")
    connect_timeout_seconds: Seconds = Field(5.0, description="How long each host of PostgreSQL has to let us in.")
    start_patience_seconds: float = Field(
        30.0,
        ge=0,
        le=3600,
        description="How long a daemon that starts while the database is away, or fails over, tries again.",
    )
    statement_timeout_seconds: Seconds = Field(
        15.0,
        description="Limit of one statement on PostgreSQL, and of a pause within a transaction; longer is an outage.",
    )

    @property
    def is_sqlite(self) -> bool:
        """Whether it is the database of one process."""
        return self.url.get_secret_value().startswith(SQLITE_SCHEME)

    @property
    def sqlite_file(self) -> Path | None:
        """The file of a SQLite database whose address is a plain path; None in memory, by a URI, and for PostgreSQL."""
        path = self.url.get_secret_value().removeprefix(f"{SQLITE_SCHEME}/")
        if not self.is_sqlite or path in {"", ":memory:"} or path.startswith(("file:", SQLITE_SCHEME)):
            return None
        return Path(path)

    @field_validator("url")
    @classmethod
    def _known_database(cls, url: SecretStr) -> SecretStr:
        stated = url.get_secret_value()
        if stated.startswith(POSTGRESQL_SCHEME):
            parse_postgres_url(stated)
        elif not stated.startswith(SQLITE_SCHEME):
            message = f"only {SQLITE_SCHEME}… and {POSTGRESQL_SCHEME}… are supported"
            raise ValueError(message)
        return url


def store_folder(url: str | None) -> Path | None:
    """The folder of an object store that is one on this machine; None for another store, and for none."""
    if url is None or not url.startswith(_FOLDER_SCHEME):
        return None
    return Path(url.removeprefix(_FOLDER_SCHEME))


class ObjectSettings(Section):
    """The store of sealed objects and the master key that wraps their keys."""

    url: str = Field(
        "file:///var/lib/rtcc-bridge/objects",
        description="A folder as file:///path, or as file:path from the working directory (S3-compatible stores as "
        "s3://bucket/prefix).",
    )
    master_key_file: Path | None = Field(
        None,
        description="File with the 32-byte master key in base64, mode 0600, or 0440 where it is another user's; the "
        "demo profile creates it. Further lines are earlier keys, which open what they wrapped. Read again when it "
        "changes.",
    )
    master_key: SecretStr | None = Field(
        None,
        description="The master key in base64 (from the environment), instead of the file; earlier ones behind it, "
        "separated by spaces.",
    )
    gallery_key_file: Path | None = Field(
        None,
        description="File with a master key of its own for the galleries' templates, as `master_key_file`: for the "
        "role matcher and for commands on galleries; other roles do not read it (P30). In production a matcher needs "
        "it, but for SQLite. Without it the other one wraps templates too.",
    )
    transit_url: str | None = Field(
        None,
        pattern=r"^https://[^\s/]+(/[^\s]*)?$|^http://(127\.0\.0\.1|\[::1\]|localhost)(:[0-9]+)?/?$",
        description="Address of an OpenBao or Vault server whose Transit engine wraps object keys; a master key beside "
        "it only opens what it wrapped before. Plain http only on loopback.",
    )
    transit_mount: str = Field("transit", pattern=r"^[A-Za-z0-9_-]{1,20}$", description="Where the engine is mounted.")
    transit_key: str = Field(
        "rtcc-bridge", pattern=r"^[A-Za-z0-9_.-]{1,30}$", description="Name of the engine's key that wraps."
    )
    transit_token: SecretStr | None = Field(None, description="Token for the engine (from the environment).")
    transit_token_file: Path | None = Field(
        None,
        description="File with that token, instead, for nobody else to read; read at each use, since an agent "
        "renews it.",
    )
    transit_ca_file: Path | None = Field(
        None, description="CA certificates (PEM) for the server's certificate; those of the system without it."
    )
    ledger_url: str | None = Field(
        None,
        description="Store of the removals ledger, which keeps what was expunged from coming back with a backup; the "
        "object store without it. Put it where it outlives both database and objects.",
    )
    timeout_seconds: Seconds = Field(10.0, description="Limit of one call to the store.")

    @field_validator("url", "ledger_url")
    @classmethod
    def _from_the_working_directory(cls, url: str | None) -> str | None:
        """Every other path is relative to the working directory too."""
        if url is None or url.startswith(("file:///", "s3://")):
            return url
        if not url.startswith("file:") or url.startswith("file:/"):
            raise ValueError("only file:///path, file:path and s3://bucket/prefix are supported")
        return f"file://{Path(url.removeprefix('file:')).absolute()}"


class ProcessSettings(Section):
    """The process as a whole."""

    shutdown_seconds: Seconds = Field(
        16.0,
        le=20,
        description="How long a shutdown may take. What hangs then is cut off; its work is found again, as after a "
        "crash.",
    )


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
    idle_seconds: Seconds = Field(
        0.05, description="How often relay and live feed look for what other processes have committed."
    )
    publish_timeout_seconds: Seconds = Field(10.0, description="Limit of one publication.")
    retention_hours: float = Field(
        168.0, gt=0, description="Published events are kept this long, so that a feed client that returns can catch up."
    )
    backlog_limit: int = Field(
        10_000, ge=1, description="Events that wait for the relay; with more, no further still is accepted (503)."
    )
    backlog_age_limit_seconds: Seconds = Field(
        120.0, description="How long the oldest may wait before no further still is accepted (503)."
    )


class AuthoritySettings(Section):
    """The keys of authority tokens (P30): a matcher searches only what a process that records approvals has signed."""

    signing_key_file: Path | None = Field(
        None,
        description="Private key (Ed25519, PEM, mode 0600) for the roles web and relay, which sign search requests. "
        "Where the demo names neither file, the pair follows from the master key.",
    )
    public_keys_file: Path | None = Field(
        None,
        description="Public keys (PEM) of those who sign, for the role matcher. While one is replaced: both, for all.",
    )


class PolicySettings(Section):
    """The policy file and whose signatures on it count (P21). Read again on SIGHUP."""

    file: Path = Field(Path("config/policy.yaml"), description="The policy in force.")
    signature_file: Path | None = Field(
        None,
        description="Its signatures, which `rtcc-bridge policy sign` writes; else the policy's name and .signatures.",
    )
    administrator_key_file: Path | None = Field(
        None, description="The administrator's public key (Ed25519, PEM). Needed outside the demo, as is the city's."
    )
    city_key_file: Path | None = Field(None, description="The city's public key (Ed25519, PEM), which is another one.")


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

    profile: Literal["demo", "production"] = Field(
        "demo",
        description="demo: for trying it out on one machine, with a role switch instead of sign-in. production: people "
        "sign in with the identity provider.",
    )
    kafka: KafkaSettings = Field(default_factory=KafkaSettings)
    database: DatabaseSettings = Field(default_factory=DatabaseSettings)
    objects: ObjectSettings = Field(default_factory=ObjectSettings)
    process: ProcessSettings = Field(default_factory=ProcessSettings)
    web: WebSettings = Field(default_factory=WebSettings)
    operations: OperationsSettings = Field(default_factory=OperationsSettings)
    identity: IdentitySettings = Field(default_factory=IdentitySettings)
    intake: IntakeSettings = Field(default_factory=IntakeSettings)
    records: RecordsSettings = Field(default_factory=RecordsSettings)
    matching: MatchingSettings = Field(default_factory=MatchingSettings)
    leads: LeadSettings = Field(default_factory=LeadSettings)
    relay: RelaySettings = Field(default_factory=RelaySettings)
    policy: PolicySettings = Field(default_factory=PolicySettings)
    audit: AuditSettings = Field(default_factory=AuditSettings)
    authority: AuthoritySettings = Field(default_factory=AuthoritySettings)
    reports: ReportSettings = Field(default_factory=ReportSettings)
    log: LogSettings = Field(default_factory=LogSettings)
    tracing: TracingSettings = Field(default_factory=TracingSettings)

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

    @model_validator(mode="after")
    def _the_demo_stays_here(self) -> Self:
        if self.profile == "demo" and not self.web.is_loopback:
            message = (
                f"web.host: {self.web.host} is not a loopback address, and in the demo whoever reaches the daemon acts "
                "as anybody: bind to 127.0.0.1, or set profile to production, where people sign in"
            )
            raise ValueError(message)
        return self

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
        cause = detail["ctx"]["error"] if detail["type"] == "value_error" else detail["msg"]
        return ConfigurationProblem(path, str(cause), "Correct the value (see docs/configuration.md)")

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
