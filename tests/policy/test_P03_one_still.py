"""P03: one still picture that a person chose and attached."""

import pytest

from rtcc_bridge.errors import InvalidInputError, PolicyRefusalError
from rtcc_bridge.policy.accounts import DEMO_ACCOUNTS, Account, Role
from rtcc_bridge.storage import tables
from tests.probe_kit import ANALYST, ProbeKit, form, upload


async def test_a_moving_picture_is_refused_and_nothing_of_it_is_kept(kit: ProbeKit) -> None:
    await kit.incident()
    kit.workers.error = InvalidInputError("the picture moves", "animated")
    with pytest.raises(PolicyRefusalError, match="one frame") as refused:
        await kit.desk.attach("incident-1", form(), ANALYST, upload())
    assert refused.value.rule == "P03"
    assert await kit.rows(tables.probes) == []
    assert kit.object_files() == []
    assert kit.count("policy_refusals_total", rule="P03") == 1


@pytest.mark.parametrize(
    "account", [account for account in DEMO_ACCOUNTS.values() if Role.ANALYST not in account.roles]
)
async def test_only_an_analyst_attaches_a_still(kit: ProbeKit, account: Account) -> None:
    await kit.incident()
    with pytest.raises(PolicyRefusalError) as refused:
        await kit.desk.attach("incident-1", form(), account, upload())
    assert refused.value.rule == "P10"
    assert not kit.workers.inspected
