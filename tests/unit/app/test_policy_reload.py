"""A policy that is read again is taken by all parts at once, or the one before stays; both is logged, audited, told."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from rtcc_bridge.app.policy_order import require_no_earlier
from rtcc_bridge.app.policy_reload import PolicyReload, Reload
from rtcc_bridge.errors import ConfigurationError, UnavailableError
from rtcc_bridge.metrics import RELOADS
from rtcc_bridge.policy.policy_file import Policy
from rtcc_bridge.policy.policy_signatures import Signer, signature_file_of
from rtcc_bridge.storage import tables
from tests.doubles import ManualClock
from tests.integration.pipeline import until
from tests.policy_kit import SignedPolicy, core_of, put_in_force
from tests.probe_kit import ProbeKit, kit

__all__ = ["kit"]


@pytest.fixture
def signed(tmp_path: Path, clock: ManualClock) -> SignedPolicy:
    made = SignedPolicy.make(tmp_path, clock)
    made.sign()
    return made


async def reload_of(
    kit: ProbeKit, signed: SignedPolicy, asked: asyncio.Event | None = None, *, profile: str = "production"
) -> PolicyReload:
    """Of a process that has the policy in force as it stands in the file now."""
    await put_in_force(kit, signed.opened(demo=profile == "demo"))
    core = core_of(kit, signed.settings(signed.file.parent, profile=profile), kit.parts.policy_in_force)
    return PolicyReload(core, asked or asyncio.Event())


def next_policy(signed: SignedPolicy, *signers: Signer) -> Policy:
    signed.write(lambda content: content["approval"].update(valid_hours=8), days=50)
    if signers:
        signed.sign(*signers)
    return signed.policy


def told(kit: ProbeKit, outcome: str) -> float:
    return kit.count("policy_reloads_total", outcome=outcome)


async def test_a_signed_policy_is_taken_and_audited_before_it_decides(kit: ProbeKit, signed: SignedPolicy) -> None:
    reload = await reload_of(kit, signed)
    before = kit.parts.policy
    assert kit.count("policy_expires_timestamp_seconds") == before.expires_at.timestamp()
    new = next_policy(signed, *Signer)
    with capture_logs() as logged:
        assert await reload.reload() is Reload.TAKEN
    assert kit.parts.policy == new
    assert kit.count("policy_expires_timestamp_seconds") == new.expires_at.timestamp()
    assert told(kit, "taken") == 1
    (entry,) = [row["entry"] for row in await kit.audited("policy.reload")]
    assert (entry["outcome"], entry["subject"]) == ("taken", f"policy/{new.hash}")
    assert entry["authority"] == {"policyHash": before.hash}
    assert entry["details"]["validUntil"] == new.valid_until.isoformat()
    assert entry["details"]["signed"] is True
    assert [line["policy_hash"] for line in logged if line["event"] == "policy read again"] == [new.hash]


def unsigned(signed: SignedPolicy) -> None:
    next_policy(signed)


def half_signed(signed: SignedPolicy) -> None:
    next_policy(signed, Signer.ADMINISTRATOR)


def no_policy(signed: SignedPolicy) -> None:
    signed.file.write_text("purposes: [")


def gone(signed: SignedPolicy) -> None:
    signed.file.unlink()


def without_a_key(signed: SignedPolicy) -> None:
    next_policy(signed, *Signer)
    signed.keys[Signer.CITY].public.unlink()


@pytest.mark.parametrize("spoil", [unsigned, half_signed, no_policy, gone, without_a_key])
async def test_anything_else_is_refused_and_the_old_one_stays(
    kit: ProbeKit, signed: SignedPolicy, spoil: Callable[[SignedPolicy], None]
) -> None:
    reload = await reload_of(kit, signed)
    before = kit.parts.policy
    spoil(signed)
    with capture_logs() as logged:
        assert await reload.reload() is Reload.REFUSED
    assert kit.parts.policy is before
    assert kit.count("policy_expires_timestamp_seconds") == before.expires_at.timestamp()
    assert told(kit, "refused") == 1
    (entry,) = [row["entry"] for row in await kit.audited("policy.reload")]
    assert (entry["outcome"], entry["subject"]) == ("refused", f"policy/{before.hash}")
    assert entry["details"]["rule"] == "P21"
    assert entry["details"]["reason"]
    assert [line["log_level"] for line in logged] == ["error"]


async def test_a_policy_that_has_expired_is_not_read_again(
    kit: ProbeKit, signed: SignedPolicy, clock: ManualClock
) -> None:
    reload = await reload_of(kit, signed)
    clock.advance(200 * 24 * 3600)
    assert await reload.reload() is Reload.REFUSED


async def test_the_same_policy_is_no_change(kit: ProbeKit, signed: SignedPolicy) -> None:
    reload = await reload_of(kit, signed)
    assert await reload.reload() is Reload.UNCHANGED
    (entry,) = await kit.audited("policy.reload")
    assert entry["outcome"] == "unchanged"


async def test_no_earlier_policy_comes_back_into_force(kit: ProbeKit, signed: SignedPolicy, clock: ManualClock) -> None:
    """It is signed and in date, and still not what the city has decided since."""
    kept = {file: file.read_bytes() for file in (signed.file, signature_file_of(signed.file))}
    reload = await reload_of(kit, signed)
    earlier = kit.parts.policy
    clock.advance(24 * 3600)
    signed.write(days=50)
    signed.sign()
    new = signed.policy
    assert new.valid_from > earlier.valid_from
    assert await reload.reload() is Reload.TAKEN
    for file, content in kept.items():
        file.write_bytes(content)
    assert await reload.reload() is Reload.REFUSED
    assert kit.parts.policy == new
    [refused] = [row["entry"] for row in await kit.audited("policy.reload") if row["outcome"] == "refused"]
    assert f"on, and one that holds from {new.valid_from.isoformat()} on was in force" in refused["details"]["reason"]
    async with kit.database.read() as tx:
        with pytest.raises(ConfigurationError, match="was in force already"):
            await require_no_earlier(tx, earlier, clock.now())
        await require_no_earlier(tx, new, clock.now())


async def test_the_policy_of_a_start_is_entered_when_it_is_another(
    kit: ProbeKit, signed: SignedPolicy, clock: ManualClock
) -> None:
    for _ in range(2):
        await (await reload_of(kit, signed)).note_start()
        clock.advance(1)
    [entry] = [row["entry"] for row in await kit.audited("policy.reload")]
    assert (entry["outcome"], entry["subject"]) == ("taken", f"policy/{signed.policy.hash}")
    assert entry["details"]["atStart"] is True
    new = next_policy(signed, *Signer)
    await (await reload_of(kit, signed)).note_start()
    assert {row["subject"] for row in await kit.audited("policy.reload")} == {entry["subject"], f"policy/{new.hash}"}
    await (await reload_of(kit, signed, profile="demo")).note_start()
    assert len(await kit.audited("policy.reload")) == 2


async def test_the_demo_takes_an_unsigned_one_and_says_so(kit: ProbeKit, signed: SignedPolicy) -> None:
    reload = await reload_of(kit, signed, profile="demo")
    new = next_policy(signed)
    assert await reload.reload() is Reload.TAKEN
    assert kit.parts.policy == new
    assert "was changed after it was signed" in kit.parts.policy_in_force.remark
    (entry,) = await kit.audited("policy.reload")
    assert entry["entry"]["details"]["signed"] is False


async def test_no_entry_no_new_policy(kit: ProbeKit, signed: SignedPolicy, monkeypatch: pytest.MonkeyPatch) -> None:
    """P23: where the audit log cannot be written, the old policy stays."""
    reload = await reload_of(kit, signed)
    before = kit.parts.policy
    next_policy(signed, *Signer)

    async def away(*_args: object, **_more: object) -> str:
        raise UnavailableError("the database is away")

    with monkeypatch.context() as patched:
        patched.setattr(type(kit.parts.audit), "append", away)
        assert await reload.reload() is Reload.REFUSED
        assert kit.parts.policy is before
        signed.signatures.unlink()
        assert await reload.reload() is Reload.REFUSED, "a refusal that cannot be audited is one, too"
    signed.sign()
    assert await reload.reload() is Reload.TAKEN


async def test_it_is_read_whenever_that_is_asked_for(kit: ProbeKit, signed: SignedPolicy) -> None:
    """Also when it was asked before the part ran."""
    asked = asyncio.Event()
    reload = await reload_of(kit, signed, asked)
    asked.set()
    running = asyncio.create_task(reload.run())
    try:
        await until(lambda: told(kit, "unchanged") == 1)
        new = next_policy(signed, *Signer)
        asked.set()
        await until(lambda: kit.parts.policy == new)
    finally:
        running.cancel()
        await asyncio.wait([running])
    assert [row["outcome"] for row in await kit.rows(tables.audit_entries)] == ["unchanged", "taken"]


def test_the_metric_knows_every_outcome() -> None:
    assert tuple(Reload) == RELOADS
