"""How this program talks to a broker: the shared arguments of every client, and a producer that outlives outages."""

import asyncio
from collections.abc import Coroutine, Sequence
from types import TracebackType
from typing import Any, Final, Self, TypedDict

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordTooLargeError, UnknownTopicOrPartitionError

from rtcc_bridge.errors import InvalidInputError, UnavailableError
from rtcc_bridge.settings import KafkaSettings

LARGEST_REQUEST_BYTES: Final = 32_000_000
"""Dead letters keep records of any size that a topic can hold."""

_METADATA_SECONDS: Final = 15
"""Topics that are created anew after an outage have to be seen soon."""

_log = structlog.get_logger(__name__)


class ClientArguments(TypedDict):
    """What every aiokafka client takes."""

    bootstrap_servers: list[str]
    client_id: str
    request_timeout_ms: int
    retry_backoff_ms: int
    metadata_max_age_ms: int
    security_protocol: str


def client_arguments(kafka: KafkaSettings) -> ClientArguments:
    """The arguments for AIOKafkaConsumer, AIOKafkaProducer and AIOKafkaAdminClient."""
    return ClientArguments(
        bootstrap_servers=list(kafka.bootstrap_servers),
        client_id=kafka.client_id,
        request_timeout_ms=int(kafka.request_timeout_seconds * 1000),
        retry_backoff_ms=200,
        metadata_max_age_ms=_METADATA_SECONDS * 1000,
        security_protocol=kafka.security_protocol,
    )


class EventProducer:
    """One producer for a process. It connects when it is first used, so a broker that is down stops nobody's start.

    Safe to use from many tasks; records of one key keep their order.
    """

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._producer: AIOKafkaProducer | None = None
        self._connecting = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def send(
        self,
        topic: str,
        *,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]] = (),
        partition: int | None = None,
        timestamp_ms: int | None = None,
    ) -> None:
        """Returns when the broker has acknowledged the record on all replicas that are in sync.

        Raises UnavailableError when it does not within twice the request timeout, or the topic is not there;
        InvalidInputError when the broker says that the record is too large.
        """
        limit_seconds = 2 * self._kafka.request_timeout_seconds
        try:
            async with asyncio.timeout(limit_seconds):
                producer = await self._connected()
                await producer.send_and_wait(
                    topic, value=value, key=key, partition=partition, timestamp_ms=timestamp_ms, headers=list(headers)
                )
        except (MessageSizeTooLargeError, RecordTooLargeError) as error:
            raise InvalidInputError(f"the broker refused the record as too large for {topic}", "too_large") from error
        except UnknownTopicOrPartitionError as error:
            raise UnavailableError(f"the topic {topic} is not there: run `rtcc-bridge topics create`") from error
        except KafkaError as error:
            raise UnavailableError(f"the broker did not take the record for {topic}: {error!r}") from error
        except TimeoutError as error:
            raise UnavailableError(f"the broker did not answer within {limit_seconds:g} s") from error

    async def ping(self) -> None:
        """Raises UnavailableError when the broker does not answer within the request timeout."""
        try:
            async with asyncio.timeout(self._kafka.request_timeout_seconds):
                producer = await self._connected()
                await producer.client.fetch_all_metadata()
        except (KafkaError, TimeoutError) as error:
            raise UnavailableError(f"the broker does not answer: {error!r}") from error

    async def close(self) -> None:
        """Sends what is under way, at most for the request timeout, and disconnects."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await stop_within(producer.stop(), self._kafka.request_timeout_seconds)

    async def _connected(self) -> AIOKafkaProducer:
        async with self._connecting:
            if self._producer is not None and (ended := _ended_sender(self._producer)) is not None:
                _log.warning("the producer can send no more: it is replaced", reason=ended)
                await self.close()
            if self._producer is None:
                producer = AIOKafkaProducer(
                    **client_arguments(self._kafka),
                    acks="all",
                    enable_idempotence=self._kafka.enable_idempotence,
                    max_request_size=LARGEST_REQUEST_BYTES,
                )
                try:
                    await producer.start()
                except BaseException:
                    await stop_within(producer.stop(), self._kafka.request_timeout_seconds)
                    raise
                self._producer = producer
            return self._producer


def _ended_sender(producer: AIOKafkaProducer) -> str | None:
    """Why the task that sends for this producer has ended; None while it runs.

    aiokafka fails every later record of such a producer and has no public way to ask. Where a later version keeps the
    task elsewhere, the answer is None.
    """
    task = getattr(getattr(producer, "_sender", None), "sender_task", None)
    if not isinstance(task, asyncio.Task) or not task.done():
        return None
    return "cancelled" if task.cancelled() else repr(task.exception())


async def stop_within(stopping: Coroutine[Any, Any, Any], seconds: float) -> bool:
    """Awaits a client's stop at most that long; says whether it got there. Its errors are the end of the matter."""
    task = asyncio.create_task(stopping)
    try:
        done, _ = await asyncio.wait((task,), timeout=seconds)
    finally:
        task.cancel()
        await asyncio.wait((task,))
    return bool(done) and not task.cancelled() and task.exception() is None
