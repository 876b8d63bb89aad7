"""OAUTHBEARER on Apache Kafka: an authority's tokens let producers and consumers in, also after the first ended."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from aiohttp import web

from rtcc_bridge.broker.client import EventProducer
from rtcc_bridge.errors import UnavailableError
from rtcc_bridge.settings import KafkaSettings
from tests.brokers import make_topics
from tests.integration.pipeline import Recorder, running, until
from tests.integration.secured_kafka import one_node, open_settings, secured
from tests.integration.token_authority import CLIENT, TokenAuthority, token_authority, unsigned_token
from tests.kafka_cluster.certificates import TestAuthority
from tests.kafka_cluster.cluster import KafkaCluster
from tests.kafka_cluster.security import ClientSecurity

pytestmark = pytest.mark.kafka
_LIFE_SECONDS = 6


class Place:
    """A cluster whose users bring the tokens of an authority."""

    def __init__(self, cluster: KafkaCluster, authority: TokenAuthority) -> None:
        self.authority = authority
        self.open = open_settings(cluster)
        self.kafka: KafkaSettings = secured(
            cluster, self.open, sasl={"mechanism": "OAUTHBEARER", "token": authority.settings()}
        )


@pytest.fixture(scope="module")
def cluster() -> Iterator[KafkaCluster]:
    with one_node(ClientSecurity("SASL_SSL", {"alice": "not used here"})) as started:
        yield started


@pytest.fixture
async def place(cluster: KafkaCluster, tmp_path: Path) -> AsyncIterator[Place]:
    async with token_authority(TestAuthority(tmp_path / "authority"), _LIFE_SECONDS) as authority:
        yield Place(cluster, authority)


async def test_producer_and_consumer_go_on_with_new_tokens(place: Place) -> None:
    await make_topics(place.kafka)
    recorder = Recorder()
    topic = place.open.topics.incidents
    async with EventProducer(place.kafka) as producer, running(place.kafka, {topic: recorder}) as runner:
        await producer.send(topic, key=b"k", value=b"first")
        await until(lambda: recorder.values == [b"first"])
        first_tokens_end = time.time() + _LIFE_SECONDS
        asked = len(place.authority.forms)
        number = 0
        while time.time() < first_tokens_end + 1 or len(place.authority.forms) == asked:
            await producer.send(topic, key=b"k", value=b"%d" % number)
            number += 1
            await asyncio.sleep(0.2)
        await producer.send(topic, key=b"k", value=b"last")
        await until(lambda: b"last" in recorder.values and runner.ready)
    assert recorder.values == [b"first", *(b"%d" % each for each in range(number)), b"last"]


async def test_what_keeps_a_client_with_tokens_out_is_told(place: Place) -> None:
    async def expired(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"access_token": unsigned_token("alice", -60, 1), "expires_in": 3600})

    async def refused(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"error": "invalid_client"}, status=401)

    async with EventProducer(place.kafka) as producer:
        place.authority.instead = refused
        with pytest.raises(UnavailableError, match=f"refuses client {CLIENT} a token .HTTP 401, invalid_client."):
            await producer.ping()
        place.authority.instead = None
        await until(lambda: _gets_in(producer))
    place.authority.instead = expired
    async with EventProducer(place.kafka) as producer:
        with pytest.raises(UnavailableError, match=f"refuses client {CLIENT} by OAUTHBEARER: check that it trusts"):
            await producer.ping()
    async with running(place.kafka, {place.open.topics.incidents: Recorder()}) as runner:
        await until(lambda: "by OAUTHBEARER" in (runner.not_ready_reason or ""))
        await make_topics(place.open)
        place.authority.instead = None
        await until(lambda: runner.ready)


async def _gets_in(producer: EventProducer) -> bool:
    try:
        await producer.ping()
    except UnavailableError:
        return False
    return True
