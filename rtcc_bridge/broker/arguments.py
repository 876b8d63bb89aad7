"""The one place where settings become the arguments of a Kafka client."""

import ssl
from typing import Final, TypedDict

from rtcc_bridge.broker.credentials import sasl_password, tls_context
from rtcc_bridge.broker.tokens import ClientCredentials
from rtcc_bridge.settings import KafkaSettings

_METADATA_SECONDS: Final = 15
"""Topics that are created anew after an outage have to be seen soon."""


class AccessArguments(TypedDict):
    """How a client proves who it is and checks who the broker is."""

    security_protocol: str
    ssl_context: ssl.SSLContext | None
    sasl_mechanism: str
    sasl_plain_username: str | None
    sasl_plain_password: str | None
    sasl_oauth_token_provider: ClientCredentials | None


class ClientArguments(AccessArguments):
    """What every aiokafka client takes."""

    bootstrap_servers: list[str]
    client_id: str
    request_timeout_ms: int
    retry_backoff_ms: int
    metadata_max_age_ms: int


def client_arguments(kafka: KafkaSettings) -> ClientArguments:
    """The arguments for AIOKafkaConsumer, AIOKafkaProducer and AIOKafkaAdminClient.

    Reads certificates and secrets from their files each time, so that a new client has the present ones; that blocks.
    Raises ConfigurationError when a file cannot be used.
    """
    return ClientArguments(
        bootstrap_servers=list(kafka.bootstrap_servers),
        client_id=kafka.client_id,
        request_timeout_ms=int(kafka.request_timeout_seconds * 1000),
        retry_backoff_ms=200,
        metadata_max_age_ms=_METADATA_SECONDS * 1000,
        **access_arguments(kafka),
    )


def access_arguments(kafka: KafkaSettings) -> AccessArguments:
    """The part of them that create_conn takes too. Blocks and raises as above."""
    is_sasl = kafka.security_protocol == "SASL_SSL"
    with_password = is_sasl and kafka.sasl.mechanism != "OAUTHBEARER"
    return AccessArguments(
        security_protocol=kafka.security_protocol,
        ssl_context=None if kafka.security_protocol == "PLAINTEXT" else tls_context(kafka.tls),
        sasl_mechanism=kafka.sasl.mechanism if is_sasl else "PLAIN",
        sasl_plain_username=kafka.sasl.username,
        sasl_plain_password=sasl_password(kafka.sasl) if with_password else None,
        sasl_oauth_token_provider=ClientCredentials(kafka.sasl.token) if is_sasl and not with_password else None,
    )
