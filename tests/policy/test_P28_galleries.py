"""P28: a live gallery is not searched without a signed evaluation, and there is none yet."""

from rtcc_bridge.storage import tables
from tests.probe_kit import Gallery, ProbeKit, face_search, record_of, search_handler


async def test_a_live_gallery_is_not_searched(kit: ProbeKit) -> None:
    probe = await kit.authorized()
    live = Gallery(kind="live")
    search = face_search(live)
    async with search.batcher:
        await search_handler(kit, search).handle(record_of((await kit.requests())[0]))
    assert live.seen == []
    assert await kit.rows(tables.leads) == []
    assert kit.count("policy_refusals_total", rule="P28") == 1
    assert (await kit.desk.find(probe.probe_id)).state == "authorized", "the operator can still correct the settings"
