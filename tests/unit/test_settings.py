"""Settings: strict, overridable from the environment, with errors that name path, cause and remedy."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel, SecretStr

from rtcc_bridge.errors import ConfigurationError
from rtcc_bridge.settings import Settings, load_settings

ROOT = Path(__file__).resolve().parents[2]


def problems_of(content: str, tmp_path: Path) -> dict[str, str]:
    file = tmp_path / "settings.yaml"
    file.write_text(content)
    with pytest.raises(ConfigurationError) as raised:
        load_settings(file)
    return {problem.path: f"{problem.cause}. {problem.remedy}" for problem in raised.value.problems}


def test_the_example_in_config_loads() -> None:
    settings = load_settings(ROOT / "config/demo.yaml")
    assert settings.matching.gallery == "demo"


def test_what_the_example_in_config_keeps_lies_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load_settings(ROOT / "config/demo.yaml")
    assert settings.objects.url == f"file://{tmp_path}/var/demo/objects"
    assert settings.objects.master_key_file == Path("var/demo/master.key")
    assert settings.database.url.get_secret_value() == "sqlite+aiosqlite:///var/demo/rtcc-bridge.sqlite3"


def test_an_unknown_key_is_named_with_its_path(tmp_path: Path) -> None:
    found = problems_of("web: {prot: 80}\nkafka: {topics: {leeds: x}}\n", tmp_path)
    assert set(found) == {"web.prot", "kafka.topics.leeds"}
    assert "unknown setting" in found["web.prot"]


def test_a_value_out_of_bounds_is_named_with_its_path(tmp_path: Path) -> None:
    assert "65535" in problems_of("web: {port: 70000}\n", tmp_path)["web.port"]


@pytest.mark.parametrize("host", ["0.0.0.0", "10.1.2.3", "example.org"])
def test_in_the_demo_only_a_loopback_address_may_be_bound(host: str, tmp_path: Path) -> None:
    assert (
        f"web.host: {host} is not a loopback address" in problems_of(f"web: {{host: {host}}}\n", tmp_path)["settings"]
    )


def test_there_is_the_demo_and_production_and_nothing_else(tmp_path: Path) -> None:
    assert "'demo' or 'production'" in problems_of("profile: staging\n", tmp_path)["profile"]


@pytest.mark.parametrize(
    ("identity", "said"),
    [
        ("issuer: http://identity.example.org", "https://"),
        ("issuer: https://", "https://"),
        ("issuer: https://i.example.org", "identity.client_id"),
        ("{issuer: https://i.example.org, client_id: c}", "needs one secret"),
        ("{issuer: https://i.example.org, client_id: c, client_secret: s}", "identity.roles is empty"),
        ("roles: {group: chief}", "'floor'"),
        ("scopes: [profile]", "openid"),
        ("idle_seconds: 1801", "1800"),
        ("session_hours: 25", "24"),
        ("algorithms: [HS256]", "RS256"),
        ("algorithms: [none]", "RS256"),
    ],
)
def test_who_may_come_in_is_said_in_full_and_safely(identity: str, said: str, tmp_path: Path) -> None:
    indented = identity if identity.startswith("{") else f"{{{identity}}}"
    assert said in " ".join(problems_of(f"identity: {indented}\n", tmp_path).values())


@pytest.mark.parametrize("url", ["rtcc.example.org", "https://", "https://a/b", "ftp://a", "https://a?b=c"])
def test_the_public_address_is_a_name_and_nothing_more(url: str, tmp_path: Path) -> None:
    assert "https:// and a name" in problems_of(f"web: {{public_url: '{url}'}}\n", tmp_path)["web.public_url"]


def test_an_environment_variable_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("web: {port: 1111}\n")
    monkeypatch.setenv("RTCC_BRIDGE_WEB__PORT", "2222")
    assert load_settings(file).web.port == 2222


def test_a_mistyped_environment_variable_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RTCC_BRIDGE_WEBB__PORT", "2222")
    with pytest.raises(ConfigurationError, match="RTCC_BRIDGE_WEBB__PORT"):
        load_settings()


@pytest.mark.parametrize("content", ["- a list\n", "web: [\n", "\x00"])
def test_a_file_that_is_no_settings_file_is_named(content: str, tmp_path: Path) -> None:
    assert str(tmp_path / "settings.yaml") in problems_of(content, tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_settings(tmp_path / "absent.yaml")


def test_a_batch_that_can_never_fill_is_refused(tmp_path: Path) -> None:
    assert "queue_size" in problems_of("matching: {batch_size: 64, queue_size: 8}\n", tmp_path)["settings"]


def test_secrets_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RTCC_BRIDGE_OBJECTS__MASTER_KEY", "correct-horse")
    monkeypatch.setenv("RTCC_BRIDGE_DATABASE__URL", "sqlite+aiosqlite:///correct-horse")
    monkeypatch.setenv("RTCC_BRIDGE_IDENTITY__CLIENT_SECRET", "correct-horse")
    settings = load_settings()
    assert "correct-horse" not in repr(settings)
    assert "correct-horse" not in settings.model_dump_json()


def texts(model: type[BaseModel], path: str = "") -> Iterator[tuple[str, bool]]:
    """The path of each setting that may be a text, and whether it is masked wherever settings are printed."""
    for name, field in model.model_fields.items():
        kinds = {field.annotation, *get_args(field.annotation)}
        if kinds & {str, SecretStr}:
            yield f"{path}{name}", SecretStr in kinds
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from texts(kind, f"{path}{name}.")


def test_each_setting_that_holds_a_secret_is_masked_wherever_settings_are_printed() -> None:
    found = dict(texts(Settings))
    sound_like_it = {path for path in found if re.search(r"(password|secret|token|_key)$", path)}
    a_name, a_public_key, holds_a_password = "objects.transit_key", "audit.witness_key", "database.url"
    assert sound_like_it - {a_name, a_public_key} | {holds_a_password} == {path for path, masked in found.items() if masked}


def test_a_request_timeout_that_joining_never_fits_is_refused(tmp_path: Path) -> None:
    found = problems_of("kafka: {request_timeout_seconds: 2, session_timeout_seconds: 6}\n", tmp_path)
    assert "consumer group" in found["kafka"]


@pytest.mark.parametrize(
    "url",
    [
        "mysql+asyncmy://user:correct-horse@db/rtcc",
        "postgresql://user:correct-horse@db/rtcc",
        "sqlite:///correct-horse",
        "correct-horse",
    ],
)
def test_other_databases_are_refused_and_the_url_is_not_repeated(url: str, tmp_path: Path) -> None:
    told = problems_of(f"database: {{url: '{url}'}}\n", tmp_path)["database.url"]
    assert "sqlite+aiosqlite://" in told
    assert "postgresql+asyncpg://" in told
    assert "correct-horse" not in told


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+asyncpg://user:correct-horse@db:5432x/rtcc",
        "postgresql+asyncpg://user:correct-horse#@db/rtcc",
        "postgresql+asyncpg://user:correct-horse@db",
        "postgresql+asyncpg://user:correct-horse@db/rtcc?sslmode=require",
        "postgresql+asyncpg://user:correct-horse@db/rtcc?ssl=perhaps",
        "postgresql+asyncpg://user:correct-horse@/rtcc",
        "postgresql+asyncpg://user:correct-horse@db/rtcc?host=db2:5432",
        "postgresql+asyncpg://user:correct-horse@/rtcc?host=db2:port",
    ],
)
def test_a_malformed_postgresql_url_is_refused_and_not_repeated(url: str, tmp_path: Path) -> None:
    told = problems_of(f"database: {{url: '{url}'}}\n", tmp_path)["database.url"]
    assert "correct-horse" not in told


@pytest.mark.parametrize(
    ("kafka", "said"),
    [
        ("{security_protocol: SASL_PLAINTEXT}", "set SASL_SSL"),
        ("{security_protocol: SASL_SSL}", "set kafka.sasl.username"),
        ("{security_protocol: SASL_SSL, sasl: {username: a}}", "set either kafka.sasl.password_file"),
        ("{security_protocol: SASL_SSL, sasl: {mechanism: OAUTHBEARER}}", "kafka.sasl.token.endpoint"),
        ("{sasl: {username: a, password: b}}", "set it to SASL_SSL"),
        ("{tls: {ca_file: a.pem}}", "which has no TLS"),
        ("{security_protocol: SSL, tls: {key_file: a.pem}}", "belong together"),
        ("{topics: {min_insync_replicas: 2}}", "nothing could ever be written"),
        ("{group_instance_id: a, enable_idempotence: false}", "does not work on the embedded broker"),
        ("{deduplicate_hours: 170}", "lower kafka.topics.input_retention_hours"),
    ],
)
def test_kafka_settings_that_contradict_each_other_are_told(kafka: str, said: str, tmp_path: Path) -> None:
    assert said in " ".join(problems_of(f"kafka: {kafka}\n", tmp_path).values())


@pytest.mark.parametrize("url", ["nonsense", "ftp://host/x", "file:/one-slash"])
@pytest.mark.parametrize("setting", ["url", "ledger_url"])
def test_an_address_of_no_object_store_is_told(setting: str, url: str, tmp_path: Path) -> None:
    assert "only file:///path" in problems_of(f"objects: {{{setting}: '{url}'}}\n", tmp_path)[f"objects.{setting}"]
