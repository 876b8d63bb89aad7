"""A producer that outlives outages, and stopping clients."""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    KafkaError,
    MessageSizeTooLargeError,
    OutOfOrderSequenceNumber,
    RecordTooLargeError,
    TopicAuthorizationFailedError,
    UnknownError,
    UnknownTopicOrPartitionError,
)

from rtcc_bridge.broker.arguments import client_arguments
from rtcc_bridge.broker.diagnosis import AccessCheck, outage_in_words
from rtcc_bridge.errors import ConfigurationError, InvalidInputError, UnavailableError
from rtcc_bridge.settings import KafkaSettings

LARGEST_REQUEST_BYTES: Final = 32_000_000
"""Dead letters keep records of any size that a topic can hold."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RecordPlace:
    """Where a record lies. offset: None where the broker had it from an earlier try already and tells it no more."""

    partition: int
    offset: int | None


class EventProducer:
    """One producer for a process. It connects when it is first used, so a broker that is down stops nobody's start.

    Safe to use from many tasks. Records of one key keep their order when each is sent after the one before was taken:
    those that are sent at once overtake each other while the client learns about a topic.
    """

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._producer: AIOKafkaProducer | None = None
        self._connecting = asyncio.Lock()
        self._access = AccessCheck(kafka)

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
    ) -> RecordPlace:
        """Returns when the broker has acknowledged the record on all replicas that are in sync: where it lies.

        Raises UnavailableError when it does not within twice the request timeout, or the topic is not there;
        InvalidInputError when the broker says that the record is too large.
        """
        limit_seconds = 2 * self._kafka.request_timeout_seconds
        producer: AIOKafkaProducer | None = None
        try:
            async with asyncio.timeout(limit_seconds):
                producer = await self._connected()
                sent = await producer.send_and_wait(
                    topic, value=value, key=key, partition=partition, timestamp_ms=timestamp_ms, headers=list(headers)
                )
                return RecordPlace(sent.partition, sent.offset if sent.offset >= 0 else None)
        except (MessageSizeTooLargeError, RecordTooLargeError) as error:
            raise InvalidInputError(f"the broker refused the record as too large for {topic}", "too_large") from error
        except UnknownTopicOrPartitionError as error:
            raise UnavailableError(f"the topic {topic} is not there: run `rtcc-bridge topics create`") from error
        except (TopicAuthorizationFailedError, ClusterAuthorizationFailedError) as error:
            raise UnavailableError(
                f"the broker does not let this client write {topic}: `rtcc-bridge topics acls` tells what a role needs"
            ) from error
        except UnknownError as error:
            hint = "; the embedded broker needs kafka.enable_idempotence: false" * self._kafka.enable_idempotence
            raise UnavailableError(f"the broker did not take the record for {topic}: {error!r}{hint}") from error
        except OutOfOrderSequenceNumber as error:
            await self._replace(producer)
            raise UnavailableError(
                f"the broker missed an earlier record for {topic}: it gets a new producer"
            ) from error
        except KafkaError as error:
            what = f"the broker did not take the record for {topic}"
            raise await self._outage(outage_in_words(self._kafka, what, error)) from error
        except TimeoutError as error:
            raise await self._outage(f"the broker did not answer within {limit_seconds:g} s") from error

    async def ping(self) -> None:
        """Raises UnavailableError when the broker does not answer within the request timeout."""
        try:
            async with asyncio.timeout(self._kafka.request_timeout_seconds):
                producer = await self._connected()
                await producer.client.fetch_all_metadata()
        except (KafkaError, TimeoutError) as error:
            raise await self._outage(outage_in_words(self._kafka, "the broker does not answer", error)) from error

    async def close(self) -> None:
        """Sends what is under way, at most for the request timeout, and disconnects."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await stop_within(producer.stop(), self._kafka.request_timeout_seconds)

    async def _replace(self, producer: AIOKafkaProducer | None) -> None:
        """Drops a producer that has numbered a record which never got through, as after the death of all brokers.

        aiokafka goes on counting, so the broker would refuse every later record of that partition, for ever.
        """
        async with self._connecting:
            if self._producer is producer:
                _log.warning("the producer's records are out of order for the broker: it is replaced")
                await self.close()

    async def _outage(self, what: str) -> UnavailableError:
        """Says why, where that is known. A producer that is not let in is dropped: the next has the present secrets."""
        problem = await self._access.problem()
        if problem is None:
            return UnavailableError(what)
        async with self._connecting:
            await self.close()
        return UnavailableError(problem)

    async def _connected(self) -> AIOKafkaProducer:
        async with self._connecting:
            if self._producer is not None and (ended := _ended_sender(self._producer)) is not None:
                _log.warning("the producer can send no more: it is replaced", reason=ended)
                await self.close()
            if self._producer is None:
                try:
                    arguments = client_arguments(self._kafka)
                except ConfigurationError as error:  # a secret that is being replaced may be away for a moment
                    raise UnavailableError(str(error)) from error
                producer = AIOKafkaProducer(
                    **arguments,
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
