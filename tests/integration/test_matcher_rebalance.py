"""Matchers come and go while searches run: each probe has one outcome, whoever began with it."""

import threading
from collections import Counter
from collections.abc import Sequence

from rtcc_bridge.broker.client import EventProducer
from rtcc_bridge.cloud_event import STRUCTURED_HEADERS
from rtcc_bridge.matching.types import Candidate, FaceCrop
from rtcc_bridge.settings import KafkaSettings
from rtcc_bridge.storage import tables
from tests.integration.pipeline import running, until
from tests.probe_kit import Gallery, ProbeKit, face_search, kit, record_of, search_handler

__all__ = ["kit"]

PROBES = 12
WAIT_SECONDS = 60.0


class Gate:
    """Holds the searches of one matcher until it is opened."""

    def __init__(self) -> None:
        self._opened = threading.Event()
        self.gallery = Gallery(finds=self._find)

    def open(self) -> None:
        self._opened.set()

    @property
    def searches(self) -> int:
        """How many were begun."""
        return len(self.gallery.seen)

    def _find(self, _crop: FaceCrop) -> Sequence[Candidate]:
        assert self._opened.wait(WAIT_SECONDS)
        return ()


async def test_a_probe_that_two_matchers_search_has_one_outcome(
    kit: ProbeKit, kafka: KafkaSettings, producer: EventProducer
) -> None:
    probes = [(await kit.authorized(f"incident-{number}")).probe_id for number in range(PROBES)]
    first, second = Gate(), Gate()
    searches = [face_search(gate.gallery) for gate in (first, second)]
    topic = kafka.topics.probes_routine
    for row in await kit.requests():
        request = record_of(row)
        await producer.send(topic, key=request.key, value=request.value, headers=STRUCTURED_HEADERS)

    async def settled() -> bool:
        return all(row["state"] == "searched" for row in await kit.rows(tables.probes))

    async with (
        searches[0].batcher,
        searches[1].batcher,
        running(kafka, {topic: search_handler(kit, searches[0])}, group="matcher"),
    ):
        await until(lambda: first.searches > 0, WAIT_SECONDS)
        async with running(kafka, {topic: search_handler(kit, searches[1])}, group="matcher"):
            await until(lambda: second.searches > 0, WAIT_SECONDS)  # the group gave it some of the partitions
            first.open()  # what the first one had begun ends now, whoever owns its partition by now
        # The second one has left in the middle of its searches, and the first one is given its partitions again.
        second.open()
        await until(settled, WAIT_SECONDS)

    assert first.searches + second.searches > PROBES, "no probe was searched by both"
    outcomes = Counter(event["probeId"] for event in await kit.events("lead.no_candidate"))
    assert outcomes == Counter(probes)
