"""What an operator sees of one search."""

from collections.abc import Sequence

from rtcc_bridge.matching.types import Candidate, FaceCrop
from tests.probe_kit import Gallery, ProbeKit, face_search, record_of, search_handler


async def test_a_search_is_counted_while_it_runs_and_its_batch_afterwards(kit: ProbeKit) -> None:
    await kit.authorized()
    in_flight = []

    def finds(_crop: FaceCrop) -> Sequence[Candidate]:
        in_flight.append(kit.count("probes_in_flight", lane="routine"))
        return ()

    search = face_search(Gallery(finds=finds), kit.metrics)
    async with search.batcher:
        await search_handler(kit, search).handle(record_of((await kit.requests())[0]))
    assert in_flight == [1]
    assert kit.count("probes_in_flight", lane="routine") == 0
    assert (kit.count("batch_size_count"), kit.count("batch_size_sum")) == (1, 1)
    assert kit.count("batch_wait_seconds_count", lane="routine") == 1
    assert kit.count("batch_wait_seconds_count", lane="imminent") == 0
