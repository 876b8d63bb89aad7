"""Demo accounts: one for each role, and two more analysts."""

from datetime import UTC, datetime

import pytest

from rtcc_bridge.errors import PolicyRefusalError
from rtcc_bridge.policy.accounts import DEMO_ACCOUNTS, Role, demo_account, same_person
from rtcc_bridge.policy.certificates import missing
from rtcc_bridge.policy.policy_parts import default_certificates
from tests.doubles import ManualClock


def test_each_role_has_an_account_with_that_role_alone_and_analysts_have_three() -> None:
    analysts = {name: frozenset({Role.ANALYST}) for name in ("analyst", "reviewer", "examiner")}
    others = {role.value: frozenset({role}) for role in Role if role is not Role.ANALYST}
    assert {name: account.roles for name, account in DEMO_ACCOUNTS.items()} == analysts | others


@pytest.mark.parametrize("name", ["", "root", "Analyst", "analyst "])
def test_an_unknown_account_is_refused(name: str) -> None:
    with pytest.raises(PolicyRefusalError) as refused:
        demo_account(name)
    assert refused.value.rule == "P10"


@pytest.mark.parametrize(("one", "other"), [("analyst", "ANALYST"), (" analyst", "analyst "), ("straße", "STRASSE")])
def test_spelling_does_not_make_two_people_of_one(one: str, other: str) -> None:
    assert same_person(one, other)
    assert not same_person(one, "supervisor")


def test_the_demo_s_analysts_are_trained() -> None:
    needed = default_certificates()
    for day in (ManualClock().now(), datetime(2099, 12, 31, tzinfo=UTC)):
        trained = {name for name, one in DEMO_ACCOUNTS.items() if not missing(one.certificates, needed, day)}
        assert trained == {"analyst", "reviewer", "examiner"}
