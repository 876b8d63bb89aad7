"""What a token's claims say of a person, by the settings' mapping. Pure."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import islice
from typing import Any, Final

from rtcc_bridge.errors import SignInRequiredError
from rtcc_bridge.identity_settings import IdentitySettings
from rtcc_bridge.people.certificate_texts import certificate_of
from rtcc_bridge.people.signed_in import MOST_CHARACTERS
from rtcc_bridge.policy.accounts import Account, Role, person_id, require_no_actor_of_ours
from rtcc_bridge.policy.certificates import Certificate

_MOST_VALUES: Final = 500


def account_of(claims: Mapping[str, Any], settings: IdentitySettings, *, refreshed: bool = False) -> Account:
    """The person that the claims name. refreshed: they came by refreshing, so there was a sign-in before.

    Raises SignInRequiredError when they name nobody, or one of our own actors, or do not tell of a second factor where
    that is asked for. A
    refreshed token may keep silent about it, since the standard (OpenID Connect Core, section 12.2) does not want it
    there again, but not tell of a sign-in without one.
    """
    if not refreshed or settings.second_factor_claim in claims:
        _require_second_factor(claims, settings)
    person = _word(claim(claims, settings.person_claim))
    if person is None or len(person_id(person)) > MOST_CHARACTERS:
        raise SignInRequiredError(
            "P29",
            "The identity provider does not say who you are at the department: have it send the claim "
            f"{settings.person_claim}, with at most {MOST_CHARACTERS} characters.",
        )
    require_no_actor_of_ours(person)
    login = _word(claim(claims, settings.login_claim)) or person
    certificates = {} if settings.certificates_claim is None else _certificates(claims, settings)
    return Account(person_id(person), _roles(claims, settings), certificates, login)


def claim(claims: Mapping[str, Any], path: str) -> Any:
    """The claim of that name, or the one that the path leads to, from dot to dot; None where there is none."""
    if path in claims:
        return claims[path]
    found: Any = claims
    for name in path.split("."):
        if not isinstance(found, Mapping) or name not in found:
            return None
        found = found[name]
    return found


def _require_second_factor(claims: Mapping[str, Any], settings: IdentitySettings) -> None:
    wanted = settings.second_factor_values
    if wanted and not set(wanted) & set(_words(claims.get(settings.second_factor_claim))):
        raise SignInRequiredError(
            "P29",
            "Signing in takes a second factor, and the identity provider says of none: use one, or have the provider "
            f"ask for it and say so in the claim {settings.second_factor_claim}.",
        )


def _roles(claims: Mapping[str, Any], settings: IdentitySettings) -> frozenset[Role]:
    names = _words(claim(claims, settings.roles_claim))
    return frozenset(Role(settings.roles[name]) for name in names if name in settings.roles)


def _certificates(claims: Mapping[str, Any], settings: IdentitySettings) -> dict[str, Certificate]:
    """By the policy's names. Of several with one name the last that was issued counts: courses are taken again."""
    assert settings.certificates_claim is not None
    written = claim(claims, settings.certificates_claim)
    pairs: Iterable[tuple[str, Any]]
    if isinstance(written, Mapping):
        pairs = islice(written.items(), _MOST_VALUES)
    else:
        pairs = ((name, span) for name, _, span in (word.partition("=") for word in _words(written)))
    read = ((settings.certificates.get(name, name), certificate_of(span)) for name, span in pairs)
    held = [(name, one) for name, one in read if one is not None and len(name) <= MOST_CHARACTERS]
    return dict(sorted(held, key=_issued_at))


def _issued_at(held: tuple[str, Certificate]) -> datetime:
    assert held[1].issued_at is not None  # what is written says it
    return held[1].issued_at


def _words(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(value.split())
    if isinstance(value, list):
        return tuple(one for one in value[:_MOST_VALUES] if isinstance(one, str))
    return ()


def _word(value: Any) -> str | None:
    """One that can be kept and compared."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        return None
    word = value.strip()
    return word if 0 < len(word) <= MOST_CHARACTERS and word.isprintable() else None
