"""The table of roles and deeds: every cell of it, and the refusal."""

import pytest

from rtcc_bridge.errors import PolicyRefusalError
from rtcc_bridge.policy.accounts import Account, Role
from rtcc_bridge.policy.permissions import MACHINE_DEEDS, PERMITTED, Deed, may, require_permission


def test_every_deed_has_its_roles() -> None:
    assert PERMITTED.keys() == set(Deed)
    assert all(PERMITTED.values())


@pytest.mark.parametrize("deed", Deed)
@pytest.mark.parametrize("role", Role)
def test_a_role_may_what_the_table_says_and_is_refused_the_rest(role: Role, deed: Deed) -> None:
    account = Account("somebody", frozenset({role}))
    if may(account, deed):
        require_permission(account, deed)
        assert role in PERMITTED[deed]
    else:
        with pytest.raises(PolicyRefusalError, match=deed) as refused:
            require_permission(account, deed)
        assert refused.value.rule == "P10"


def test_an_account_without_a_role_may_nothing() -> None:
    assert not any(may(Account("nobody", frozenset()), deed) for deed in Deed)


def test_a_program_may_what_its_token_is_for_and_a_machine_may_do() -> None:
    program = Account("token/1", frozenset(), deeds=frozenset(Deed))
    assert {deed for deed in Deed if may(program, deed)} == MACHINE_DEEDS
