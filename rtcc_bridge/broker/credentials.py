"""Certificates, keys and secrets for the broker: read from their files, and checked before they are needed."""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from pydantic import SecretStr

from rtcc_bridge.errors import ConfigurationError, ConfigurationProblem
from rtcc_bridge.kafka_access import SaslSettings, TlsSettings, TokenSettings
from rtcc_bridge.secret_files import read_secret_file, require_private
from rtcc_bridge.settings import KafkaSettings

_PASSWORD = ("kafka.sasl.password", "kafka.sasl.password_file")
_CLIENT_SECRET = ("kafka.sasl.token.client_secret", "kafka.sasl.token.client_secret_file")


def tls_context(tls: TlsSettings) -> ssl.SSLContext:
    """What a client checks the broker with and shows to it: TLS 1.2 or newer, certificate and host name checked.

    Blocks while it reads the files. Raises ConfigurationError that names the file and what is wrong with it.
    """
    context = authority_context("kafka.tls.ca_file", tls.ca_file)
    if tls.certificate_file is not None and tls.key_file is not None:
        require_private("kafka.tls.key_file", tls.key_file)
        try:
            context.load_cert_chain(tls.certificate_file, tls.key_file, _no_password)
        except (OSError, ssl.SSLError) as error:
            cause = f"{tls.certificate_file} and {tls.key_file} cannot be used together ({_words(error)})"
            raise _problem("kafka.tls.key_file", cause, "Name PEM files of a certificate and its own key") from error
    return context


def authority_context(setting: str, ca_file: Path | None) -> ssl.SSLContext:
    """Trusts the authorities in the file, or those of the system. Blocks. Raises ConfigurationError."""
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        cause = f"{ca_file} cannot be read as certificates ({_words(error)})"
        raise _problem(setting, cause, "Name a PEM file with the authorities' certificates") from error


def sasl_password(sasl: SaslSettings) -> str:
    """The password of PLAIN and SCRAM. Blocks. Raises ConfigurationError, without the password."""
    return _secret(sasl.password, sasl.password_file, *_PASSWORD)


def client_secret(token: TokenSettings) -> str:
    """The secret that tokens are asked for with. Blocks. Raises ConfigurationError, without the secret."""
    return _secret(token.client_secret, token.client_secret_file, *_CLIENT_SECRET)


def credential_problems(kafka: KafkaSettings) -> tuple[ConfigurationProblem, ...]:
    """Everything that is wrong with the files that the settings name. Blocks."""
    return tuple(_problems(kafka))


def _problems(kafka: KafkaSettings) -> Iterator[ConfigurationProblem]:
    if kafka.security_protocol == "PLAINTEXT":
        return
    try:
        tls_context(kafka.tls)
    except ConfigurationError as error:
        yield from error.problems
    yield from _expired("kafka.tls.ca_file", kafka.tls.ca_file)
    yield from _expired("kafka.tls.certificate_file", kafka.tls.certificate_file)
    if kafka.security_protocol != "SASL_SSL":
        return
    try:
        if kafka.sasl.mechanism == "OAUTHBEARER":
            client_secret(kafka.sasl.token)
            authority_context("kafka.sasl.token.ca_file", kafka.sasl.token.ca_file)
        else:
            sasl_password(kafka.sasl)
    except ConfigurationError as error:
        yield from error.problems
    yield from _expired("kafka.sasl.token.ca_file", kafka.sasl.token.ca_file)


def _expired(setting: str, file: Path | None) -> Iterator[ConfigurationProblem]:
    """The certificates of the file that hold no longer, or not yet. A file that cannot be read is told elsewhere."""
    if file is None:
        return
    try:
        certificates = x509.load_pem_x509_certificates(file.read_bytes())
    except (OSError, ValueError):
        return
    now = datetime.now(UTC)
    for certificate in certificates:
        name = certificate.subject.rfc4514_string()
        ends, begins = certificate.not_valid_after_utc, certificate.not_valid_before_utc
        if ends < now:
            yield ConfigurationProblem(
                setting, f"the certificate of {name} in {file} expired at {ends:%Y-%m-%d %H:%M} UTC", "Renew it"
            )
        elif begins > now:
            yield ConfigurationProblem(
                setting,
                f"the certificate of {name} in {file} holds from {begins:%Y-%m-%d %H:%M} UTC only",
                "Check this machine's clock, or name the certificate that holds now",
            )


def _secret(value: SecretStr | None, file: Path | None, setting: str, file_setting: str) -> str:
    if value is not None:
        text, path = value.get_secret_value(), setting
    else:
        assert file is not None, "the settings see to it that there is one of the two"
        try:
            text, path = read_secret_file(file_setting, file).decode().rstrip("\r\n"), file_setting
        except UnicodeDecodeError:
            # Its own words would show a byte of the secret.
            raise _problem(file_setting, f"{file} is no text", "Name a text file that holds the secret") from None
    if not text:
        raise _problem(path, "is empty", "Put the secret there")
    return text


def _no_password() -> str:
    """Instead of a question on the terminal that nobody would answer."""
    raise OSError("the key has a password")


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).replace("_", " ").lower()
    return getattr(error, "strerror", None) or str(error)


def _problem(path: str, cause: str, remedy: str) -> ConfigurationError:
    return ConfigurationError(ConfigurationProblem(path, cause, remedy))
