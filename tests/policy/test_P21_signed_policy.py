"""P21: the policy is under two signatures and in date, or nothing is begun under it; each lead cites its hash.

What a signature holds for is tested in `tests/unit/policy/test_policy_signatures.py`.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rtcc_bridge.app.foundation import open_core
from rtcc_bridge.app.start_conditions import start_problems
from rtcc_bridge.clock import SystemClock
from rtcc_bridge.errors import ConfigurationError, PolicyRefusalError
from rtcc_bridge.policy.policy_signatures import Signer
from rtcc_bridge.storage import probes, tables
from tests.doubles import ManualClock
from tests.policy_kit import SignedPolicy, put_in_force
from tests.probe_kit import ANALYST, SUPERVISOR, Gallery, ProbeKit, face_search, form, record_of, search_handler, upload


@pytest.fixture
def signed(tmp_path: Path, clock: ManualClock) -> SignedPolicy:
    made = SignedPolicy.make(tmp_path, clock)
    made.sign()
    return made


def altered(policy: SignedPolicy) -> None:
    policy.file.write_text(policy.file.read_text().replace("valid_hours: 24", "valid_hours: 23"))


def unsigned(policy: SignedPolicy) -> None:
    policy.signatures.unlink()


def half_signed(policy: SignedPolicy) -> None:
    policy.signatures.unlink()
    policy.sign(Signer.CITY)


def broken_off(policy: SignedPolicy) -> None:
    policy.signatures.write_bytes(policy.signatures.read_bytes()[:200])


def expired(policy: SignedPolicy) -> None:
    policy.write(lambda content: content.update(valid_from="2020-01-01", valid_until="2020-12-31"))
    sign_in_2020 = SignedPolicy(policy.file, ManualClock(policy.policy.begins_at), policy.keys)
    sign_in_2020.sign()


SPOILT: dict[Callable[[SignedPolicy], None], str] = {
    altered: "was changed after it was signed",
    unsigned: "is not signed",
    half_signed: "the administrator has not signed it",
    broken_off: "is damaged",
    expired: "has expired",
}
each_spoilt = pytest.mark.parametrize(
    ("spoil", "says"), SPOILT.items(), ids=lambda value: getattr(value, "__name__", "")
)


@each_spoilt
async def test_outside_the_demo_the_daemon_does_not_start(
    tmp_path: Path, spoil: Callable[[SignedPolicy], None], says: str
) -> None:
    """Neither does `check-config` say that it would, nor does what `serve` stands on open."""
    policy = SignedPolicy.make(tmp_path, SystemClock())
    policy.sign()
    spoil(policy)
    settings = policy.settings(tmp_path, profile="production")
    told = [problem for problem in start_problems(settings) if says in problem.cause]
    assert len(told) == 1
    assert told[0].remedy
    with pytest.raises(ConfigurationError, match=says):
        async with open_core(settings):
            pass
    assert not (tmp_path / "floor.sqlite3").exists(), "it is asked before anything is made"
    demo = policy.settings(tmp_path, profile="demo")
    assert start_problems(demo) == ()
    async with open_core(demo) as core:
        assert says in core.policy_in_force.remark


async def test_what_only_makes_things_safer_needs_no_policy(tmp_path: Path, signed: SignedPolicy) -> None:
    """P23: an expungement or a backup does not wait for the city's signature."""
    expired(signed)
    async with open_core(signed.settings(tmp_path, profile="demo")):
        pass  # the master key is there from now on
    async with open_core(signed.settings(tmp_path, profile="production"), under_policy=False) as core:
        assert "has expired" in core.policy_in_force.remark


async def searched(kit: ProbeKit) -> dict[str, Any]:
    """The data of the lead of the one request that waits."""
    search = face_search(Gallery())
    async with search.batcher:
        await search_handler(kit, search).handle(record_of((await kit.requests())[-1]))
    return (await kit.events("lead.no_candidate"))[-1]


async def test_a_lead_cites_the_policy_under_which_its_search_was_authorised(
    kit: ProbeKit, signed: SignedPolicy
) -> None:
    """Not the one under which the still was attached, nor the one in force when the search ran."""
    first = signed.opened()
    await put_in_force(kit, first)
    probe = await kit.chosen()
    signed.write(lambda content: content["approval"].update(valid_hours=12))
    signed.sign()
    second = signed.opened()
    await put_in_force(kit, second)
    approved = await kit.desk.approve(probe.probe_id, SUPERVISOR)
    assert approved.policy_hash == second.policy.hash != first.policy.hash
    await put_in_force(kit, first)
    assert (await searched(kit))["policyHash"] == second.policy.hash


async def test_a_deferred_search_cites_the_policy_that_deferred_its_approval(
    kit: ProbeKit, signed: SignedPolicy
) -> None:
    first = signed.opened()
    await put_in_force(kit, first)
    probe = await kit.deferred()
    signed.write(lambda content: content.update(title="The next one"))
    signed.sign()
    await put_in_force(kit, signed.opened())
    await kit.desk.approve(probe.probe_id, SUPERVISOR)
    assert (await searched(kit))["policyHash"] == first.policy.hash


async def test_an_act_is_judged_by_one_policy_alone(
    kit: ProbeKit, signed: SignedPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The policy is replaced in the middle of a choice, which goes on under the one of its beginning."""
    first = signed.opened()
    await put_in_force(kit, first)
    await kit.incident()
    await kit.threat()
    probe = await kit.attached()
    signed.write(lambda content: content["deferral"].update(senders=[], approve_within_minutes=5))
    signed.sign()
    second = signed.opened()
    count = probes.count_unapproved_deferrals

    async def replaced_meanwhile(*args: Any, **named: Any) -> int:
        await put_in_force(kit, second)
        return await count(*args, **named)

    monkeypatch.setattr(probes, "count_unapproved_deferrals", replaced_meanwhile)
    chosen = await kit.desk.choose_face(probe.probe_id, 1, ANALYST)
    assert kit.parts.policy.hash == second.policy.hash
    assert chosen.policy_hash == first.policy.hash
    assert chosen.approve_by is not None
    assert (chosen.approve_by - kit.clock.now()).total_seconds() == 3600


async def test_nothing_is_begun_under_a_policy_that_expires_while_the_daemon_runs(
    kit: ProbeKit, signed: SignedPolicy
) -> None:
    await put_in_force(kit, signed.opened())
    attached, chosen = await kit.attached(), await kit.chosen()
    authorized = await kit.authorized()
    kit.clock.advance((signed.policy.expires_at - kit.clock.now()).total_seconds() - 1)
    await kit.attached()  # the last second still counts
    kit.clock.advance(1)
    begun: list[Callable[[], Awaitable[object]]] = [
        partial(kit.desk.attach, "incident-1", form(), ANALYST, upload()),
        partial(kit.desk.choose_face, attached.probe_id, 1, ANALYST),
        partial(kit.desk.approve, chosen.probe_id, SUPERVISOR),
    ]
    for begin in begun:
        with pytest.raises(PolicyRefusalError) as refused:
            await begin()
        assert refused.value.rule == "P21"
    assert kit.count("policy_refusals_total", rule="P21") == len(begun)
    refusals = [row["entry"]["details"]["rule"] for row in await kit.rows(tables.audit_entries, outcome="refused")]
    assert refusals == ["P21"] * len(begun)
    assert (await kit.desk.refuse(chosen.probe_id, SUPERVISOR, "too late")).state == "refused", "that is only safer"
    assert (await kit.desk.find(authorized.probe_id)).state == "authorized"


async def test_in_the_demo_an_old_policy_goes_on(kit: ProbeKit, signed: SignedPolicy) -> None:
    await put_in_force(kit, signed.opened(demo=True))
    kit.clock.advance(200 * 24 * 3600)
    assert (await kit.attached()).state == "faces_found"


async def test_a_part_that_cannot_work_under_a_policy_keeps_all_of_them_on_the_old_one(
    kit: ProbeKit, signed: SignedPolicy
) -> None:
    before, seen = kit.parts.policy.hash, []

    async def follows(policy: Any) -> Callable[[], None]:
        return lambda: seen.append(policy.hash)

    async def cannot(_policy: Any) -> Callable[[], None]:
        raise ConfigurationError

    kit.parts.policy_in_force.derive(follows)
    await put_in_force(kit, signed.opened())
    assert seen == [kit.parts.policy.hash]
    kit.parts.policy_in_force.derive(cannot)
    with pytest.raises(ConfigurationError):
        await put_in_force(kit, signed.opened())
    assert (kit.parts.policy.hash, len(seen)) == (signed.policy.hash, 1)
    assert before != signed.policy.hash
