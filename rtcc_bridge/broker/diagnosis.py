"""Why a broker does not let this program in, in words that say what to do. aiokafka itself says only that it failed."""

import asyncio
import ssl
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from aiokafka.conn import AIOKafkaConnection, create_conn
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnsupportedSaslMechanismError,
    for_code,
)
from aiokafka.protocol.admin import ApiVersionRequest

from rtcc_bridge.broker.arguments import access_arguments
from rtcc_bridge.broker.tokens import TokenUnavailableError
from rtcc_bridge.errors import ConfigurationError
from rtcc_bridge.kafka_access import SaslSettings
from rtcc_bridge.settings import KafkaSettings

_RIGHTS: Final[Mapping[type[KafkaError], str]] = MappingProxyType(
    {
        TopicAuthorizationFailedError: "topic",
        GroupAuthorizationFailedError: "consumer group",
        ClusterAuthorizationFailedError: "cluster's",
    }
)
_HOLDS_SECONDS: Final = 5.0
_MOST_SECONDS: Final = 5.0

# OpenSSL: include/openssl/x509_vfy.h.
_NOT_YET_VALID: Final = 9
_EXPIRED: Final = 10
_UNKNOWN_AUTHORITY: Final = frozenset({2, 18, 19, 20, 21})
_OTHER_NAME: Final = frozenset({62, 64})


def refused_right(error: BaseException) -> str | None:
    """The right that this client has not, if that is what the error says."""
    what = next((word for kind, word in _RIGHTS.items() if isinstance(error, kind)), None)
    if what is None:
        return None
    named = f" {error.args[0]}" if error.args else ""
    return f"the broker does not let this client use the {what}{named}: `rtcc-bridge topics acls` tells what it needs"


def outage_in_words(kafka: KafkaSettings, what: str, error: BaseException) -> str:
    """What to do where nobody answers, else that `what` failed. aiokafka tells addresses as the tuples of sockets."""
    if isinstance(error, KafkaConnectionError | TimeoutError):
        addresses = ", ".join(kafka.bootstrap_servers)
        return f"no broker answers at {addresses}: start it, or correct kafka.bootstrap_servers (demo: --kafka)"
    return f"{what}: {error!r}"


class AccessCheck:
    """Finds out why connecting fails. What it found holds for a few seconds, so that many who ask cause one attempt."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._asking = asyncio.Lock()
        self._found: tuple[float, str | None] | None = None

    async def problem(self) -> str | None:
        """What keeps this client out: its credentials, a certificate, the protocol. None when that is not it.

        Connects with credentials and certificates as their files hold them now, to each address until one answers, and
        gives up after the request timeout or five seconds. No sentence tells a secret.
        """
        if self._kafka.security_protocol == "PLAINTEXT":
            return None
        async with self._asking:
            now = asyncio.get_running_loop().time()
            if self._found is None or now - self._found[0] >= _HOLDS_SECONDS:
                self._found = (now, await self._find())
            return self._found[1]

    async def _find(self) -> str | None:
        try:
            async with asyncio.timeout(min(_MOST_SECONDS, self._kafka.request_timeout_seconds)):
                for address in self._kafka.bootstrap_servers:
                    try:
                        await _connect(self._kafka, address)
                    except (KafkaError, OSError, ValueError) as error:
                        if (problem := _in_words(error, self._kafka, address)) is not None:
                            return problem
                    else:
                        return None
        except TimeoutError:
            return None
        except ConfigurationError as error:
            return str(error)
        return None


async def _connect(kafka: KafkaSettings, address: str) -> None:
    host, _, port = address.rpartition(":")
    connection = await create_conn(
        host.strip("[]"),
        int(port),
        client_id=kafka.client_id,
        request_timeout_ms=int(kafka.request_timeout_seconds * 1000),
        **access_arguments(kafka),
    )
    try:
        if kafka.sasl.mechanism == "OAUTHBEARER":
            await _require_accepted_token(connection)
    finally:
        connection.close()


async def _require_accepted_token(connection: AIOKafkaConnection) -> None:
    """A broker that refuses a token says why instead of "no", and expects an empty answer (RFC 7628, section 3.2.3).

    aiokafka takes that for a yes; the broker answers the first request with an error. Raises SaslAuthenticationFailed.
    """
    answer = await connection.send(ApiVersionRequest())
    if answer.error_code:
        raise SaslAuthenticationFailed(for_code(answer.error_code).__name__)


def _in_words(error: BaseException, kafka: KafkaSettings, address: str) -> str | None:
    sasl = kafka.sasl
    who = f"client {sasl.token.client_id}" if sasl.mechanism == "OAUTHBEARER" else f"user {sasl.username}"
    if isinstance(error, SaslAuthenticationFailed):
        return f"the broker at {address} refuses {who} by {sasl.mechanism}: check {_to_check(sasl)}"
    if isinstance(error, UnsupportedSaslMechanismError):
        return f"the broker at {address} does not offer {sasl.mechanism}: set kafka.sasl.mechanism to one of its own"
    if isinstance(error, TokenUnavailableError):
        return str(error)
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _of_the_brokers_certificate(cause, address)
        if isinstance(cause, ssl.SSLError):
            return _of_the_connection(cause, address)
    return None


def _to_check(sasl: SaslSettings) -> str:
    if sasl.mechanism == "OAUTHBEARER":
        return "that it trusts the tokens of kafka.sasl.token.endpoint, their audience and scope, and the clocks"
    return "that it knows the user and that the secret in kafka.sasl is the present one"


def _of_the_brokers_certificate(error: ssl.SSLCertVerificationError, address: str) -> str:
    shown = f"the certificate of the broker at {address}"
    if error.verify_code == _EXPIRED:
        return f"{shown} has expired: renew it there"
    if error.verify_code == _NOT_YET_VALID:
        return f"{shown} is not valid yet: check the clocks"
    if error.verify_code in _UNKNOWN_AUTHORITY:
        return f"{shown} is signed by an authority that is not known here: name it in kafka.tls.ca_file"
    if error.verify_code in _OTHER_NAME:
        return (
            f"{shown} is for another host name: use a name that it holds in kafka.bootstrap_servers, or correct the "
            "certificate"
        )
    return f"{shown} is not accepted: {error.verify_message}"


def _of_the_connection(error: ssl.SSLError, address: str) -> str:
    reason = error.reason or str(error)
    if "WRONG_VERSION_NUMBER" in reason or "RECORD_LAYER_FAILURE" in reason:
        return f"the broker at {address} does not speak TLS there: check the port and kafka.security_protocol"
    if "CERTIFICATE_REQUIRED" in reason or "BAD_CERTIFICATE" in reason:
        return (
            f"the broker at {address} asks for a certificate of this client and got none that it can use: set "
            "kafka.tls.certificate_file and kafka.tls.key_file"
        )
    if "CERTIFICATE" in reason or "UNKNOWN_CA" in reason:
        return (
            f"the broker at {address} refuses this client's certificate, kafka.tls.certificate_file: it may have "
            f"expired or be signed by an authority that the broker does not know ({reason.replace('_', ' ').lower()})"
        )
    return f"TLS to the broker at {address} fails: {reason.replace('_', ' ').lower()}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
