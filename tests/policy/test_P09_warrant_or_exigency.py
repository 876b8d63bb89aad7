"""P09: where the law of the place asks for a warrant, or the exigency in place of one, no search goes without."""

from pathlib import Path
from typing import Any

import pytest

from rtcc_bridge.errors import InvalidInputError, PolicyRefusalError
from rtcc_bridge.policy.opening import OpenedPolicy
from rtcc_bridge.policy.policy_file import load_policy
from rtcc_bridge.storage import tables
from tests.policy_kit import put_in_force, write_policy
from tests.probe_kit import ANALYST, SUPERVISOR, Gallery, ProbeKit, face_search, form, record_of, search_handler, upload

STATED = "Warrant 4711 of the district court"


async def require_for(kit: ProbeKit, folder: Path, *purposes: str) -> None:
    def change(content: dict[str, Any]) -> None:
        content["jurisdiction"]["warrant_or_exigency_for"] = list(purposes)

    file = write_policy(folder / "policy.yaml", kit.clock.now().date(), change)
    await put_in_force(kit, OpenedPolicy(load_policy(file), "the policy is not signed", None))


@pytest.mark.parametrize("stated", [None, "", "  "])
async def test_a_still_without_one_is_refused_before_it_is_read(
    kit: ProbeKit, tmp_path: Path, stated: str | None
) -> None:
    await require_for(kit, tmp_path, "violent_offense")
    await kit.incident()
    with pytest.raises(PolicyRefusalError) as refused:
        await kit.desk.attach("incident-1", form(warrant_or_exigency=stated), ANALYST, upload())
    assert refused.value.rule == "P09"
    assert not kit.workers.inspected
    assert await kit.rows(tables.probes) == []
    (entry,) = await kit.audited("probe.attach")
    assert entry["entry"]["details"]["rule"] == "P09"
    assert kit.count("policy_refusals_total", rule="P09") == 1


async def test_what_is_stated_is_kept_and_told_to_nobody_else(kit: ProbeKit, tmp_path: Path) -> None:
    await require_for(kit, tmp_path, "violent_offense")
    probe = await kit.attached(warrant_or_exigency=f" {STATED} ")
    assert probe.warrant_or_exigency == STATED
    assert (await kit.desk.find(probe.probe_id)).warrant_or_exigency == STATED
    await kit.desk.choose_face(probe.probe_id, 1, ANALYST)
    assert (await kit.desk.approve(probe.probe_id, SUPERVISOR)).state == "authorized"
    for table in (tables.audit_entries, tables.outbox):
        assert "4711" not in str(await kit.rows(table))


async def test_a_purpose_that_is_not_named_needs_none(kit: ProbeKit, tmp_path: Path) -> None:
    await require_for(kit, tmp_path, "identify_deceased")
    assert (await kit.attached()).warrant_or_exigency is None


async def test_a_requirement_that_comes_later_holds_for_what_was_not_searched_yet(
    kit: ProbeKit, tmp_path: Path
) -> None:
    attached, chosen, authorized = await kit.attached(), await kit.chosen(), await kit.authorized()
    await require_for(kit, tmp_path, "violent_offense")
    for act in (
        kit.desk.choose_face(attached.probe_id, 1, ANALYST),
        kit.desk.approve(chosen.probe_id, SUPERVISOR),
    ):
        with pytest.raises(PolicyRefusalError) as refused:
            await act
        assert refused.value.rule == "P09"
    gallery = Gallery()
    search = face_search(gallery)
    async with search.batcher:
        await search_handler(kit, search).handle(record_of((await kit.requests())[0]))
    assert gallery.seen == []
    assert await kit.rows(tables.leads) == []
    assert (await kit.desk.find(authorized.probe_id)).state == "withdrawn"


async def test_what_would_not_fit_is_refused(kit: ProbeKit) -> None:
    await kit.incident()
    with pytest.raises(InvalidInputError, match="warrant or exigency"):
        await kit.desk.attach("incident-1", form(warrant_or_exigency="x" * 1025), ANALYST, upload())
