"""What claims say of a person."""

from datetime import UTC, datetime
from typing import Any, get_args

import pytest

from rtcc_bridge.audit.entries import SYSTEM
from rtcc_bridge.commands.options import ACTOR
from rtcc_bridge.errors import SignInRequiredError
from rtcc_bridge.identity_settings import IdentitySettings, RoleName
from rtcc_bridge.people.claims import account_of, claim
from rtcc_bridge.policy.accounts import ACTORS_OF_OURS, NOBODY, Role
from rtcc_bridge.policy.certificates import Certificate


def settings(**changes: Any) -> IdentitySettings:
    values: dict[str, Any] = {
        "issuer": "https://identity.example.org",
        "client_id": "client",
        "client_secret": "secret",
        "roles": {"analysts": "analyst", "/rtcc/chiefs": "supervisor"},
        "certificates_claim": "training",
    }
    return IdentitySettings(**values | changes)


def claims(**changes: Any) -> dict[str, Any]:
    return {"sub": "s-1", "preferred_username": "anna", "roles": ["analysts"], "amr": ["pwd", "mfa"]} | changes


def test_every_role_can_be_named() -> None:
    assert set(get_args(RoleName)) == set(Role)


def test_the_plain_case() -> None:
    account = account_of(claims(training={"refresher": "2026-03-01"}), settings(certificates={"refresher": "yearly"}))
    assert (account.name, account.person, account.login) == ("s-1", "s-1", "anna")
    assert account.roles == {Role.ANALYST}
    assert account.certificates == {"yearly": Certificate(datetime(2026, 3, 1, tzinfo=UTC))}


def test_a_path_leads_into_objects_and_a_claim_of_that_very_name_comes_first() -> None:
    assert claim({"realm_access": {"roles": ["x"]}}, "realm_access.roles") == ["x"]
    assert claim({"a.b": 1, "a": {"b": 2}}, "a.b") == 1
    for written in ({}, {"a": 1}, {"a": ["b"]}, {"a": None}):
        assert claim(written, "a.b") is None
    keycloak = settings(roles_claim="realm_access.roles")
    assert account_of(claims(realm_access={"roles": ["/rtcc/chiefs"]}), keycloak).roles == {Role.SUPERVISOR}


@pytest.mark.parametrize(
    "roles", [None, "nobody", ["Analysts"], [["analysts"]], {"analysts": True}, 7, ["administrator"]]
)
def test_what_is_not_in_the_mapping_counts_for_nothing(roles: Any) -> None:
    """A group that happens to be called as one of our roles gives nothing either."""
    assert account_of(claims(roles=roles), settings()).roles == frozenset()


def test_one_text_may_hold_several_roles() -> None:
    assert account_of(claims(roles="analysts /rtcc/chiefs"), settings()).roles == {Role.ANALYST, Role.SUPERVISOR}


@pytest.mark.parametrize("person", [None, "", "   ", "x" * 257, "ß" * 200, "a\nb", ["e-1"], {"id": 1}, True])
def test_whoever_is_not_named_is_nobody(person: Any) -> None:
    with pytest.raises(SignInRequiredError, match="employee"):
        account_of(claims(employee=person), settings(person_claim="employee"))


@pytest.mark.parametrize("person", ["E-17", " e-17 ", "e-17"])
def test_one_person_is_spelled_in_one_way(person: str) -> None:
    assert account_of(claims(employee=person), settings(person_claim="employee")).name == "e-17"


def test_a_number_names_a_person_too() -> None:
    assert account_of(claims(employee=4711), settings(person_claim="employee")).name == "4711"


@pytest.mark.parametrize("amr", [None, [], ["pwd"], "pwd", "nomfa", {"mfa": True}, [["mfa"]]])
def test_p29_a_second_factor_has_to_be_told_of(amr: Any) -> None:
    with pytest.raises(SignInRequiredError, match="second factor") as refused:
        account_of(claims(amr=amr), settings())
    assert refused.value.rule == "P29"
    assert account_of(claims(amr=amr), settings(second_factor_values=()))


def test_a_class_of_authentication_may_tell_of_it() -> None:
    by_class = settings(second_factor_claim="acr", second_factor_values=("2", "urn:gold"))
    assert account_of(claims(acr="2"), by_class)
    with pytest.raises(SignInRequiredError):
        account_of(claims(acr="1"), by_class)


def test_p29_a_refreshed_token_need_not_tell_of_it_again_but_of_nothing_less() -> None:
    silent = {name: value for name, value in claims().items() if name != "amr"}
    assert account_of(silent, settings(), refreshed=True).name == "s-1"
    assert account_of(claims(), settings(), refreshed=True).name == "s-1"
    for amr in (None, [], ["pwd"]):
        with pytest.raises(SignInRequiredError, match="second factor"):
            account_of(claims(amr=amr), settings(), refreshed=True)
    with pytest.raises(SignInRequiredError, match="second factor"):
        account_of(silent, settings())


def test_certificates_come_as_an_object_or_as_a_list_of_texts() -> None:
    held = {"course": Certificate(datetime(2026, 3, 1, tzinfo=UTC), datetime(2027, 3, 2, tzinfo=UTC))}
    for training in ({"course": "2026-03-01/2027-03-01"}, ["course=2026-03-01/2027-03-01"]):
        assert account_of(claims(training=training), settings()).certificates == held


@pytest.mark.parametrize("spans", [("2024-03-01", "2026-03-01"), ("2026-03-01", "2024-03-01")])
def test_of_a_course_that_was_taken_again_the_newer_certificate_counts(spans: tuple[str, str]) -> None:
    training = ["course=soon", *(f"course={span}" for span in spans)]
    [held] = account_of(claims(training=training), settings()).certificates.values()
    assert held == Certificate(datetime(2026, 3, 1, tzinfo=UTC))


@pytest.mark.parametrize("training", [None, "course", ["course"], [["course=2027-03-01"]], 5, {"course": True}])
def test_what_names_no_day_is_no_certificate(training: Any) -> None:
    assert account_of(claims(training=training), settings()).certificates == {}


@pytest.mark.parametrize("person", ["system", "SYSTEM ", "nobody", "administrator", "token/1"])
def test_no_subject_is_one_of_our_own_actors(person: str) -> None:
    with pytest.raises(SignInRequiredError, match="uses for itself"):
        account_of(claims(sub=person), settings())


def test_our_own_actors_are_all_that_are_reserved() -> None:
    assert {SYSTEM, NOBODY.name, ACTOR} == ACTORS_OF_OURS
    assert account_of(claims(sub="systems"), settings()).name == "systems"
