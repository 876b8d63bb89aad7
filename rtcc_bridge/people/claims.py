"""What a token's claims say of a person, by the settings' mapping. Pure."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

from rtcc_bridge.errors import SignInRequiredError
from rtcc_bridge.identity_settings import IdentitySettings
from rtcc_bridge.people.signed_in import MOST_CHARACTERS
from rtcc_bridge.policy.accounts import Account, Role, person_id

_MOST_VALUES: Final = 500


def account_of(claims: Mapping[str, Any], settings: IdentitySettings) -> Account:
    """The person that the claims name.

    Raises SignInRequiredError when they name nobody, or do not tell of a second factor where that is asked for.
    """
    _require_second_factor(claims, settings)
    person = _word(claim(claims, settings.person_claim))
    if person is None or len(person_id(person)) > MOST_CHARACTERS:
        raise SignInRequiredError(
            "The identity provider does not say who you are at the department: have it send the claim "
            f"{settings.person_claim}, with at most {MOST_CHARACTERS} characters.",
            "P29",
        )
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
            "Signing in takes a second factor, and the identity provider says of none: use one, or have the provider "
            f"ask for it and say so in the claim {settings.second_factor_claim}.",
            "P29",
        )


def _roles(claims: Mapping[str, Any], settings: IdentitySettings) -> frozenset[Role]:
    names = _words(claim(claims, settings.roles_claim))
    return frozenset(Role(settings.roles[name]) for name in names if name in settings.roles)


def _certificates(claims: Mapping[str, Any], settings: IdentitySettings) -> dict[str, datetime]:
    """Each with its end. What cannot be read as a date does not count: a certificate without an end is none."""
    assert settings.certificates_claim is not None
    written = claim(claims, settings.certificates_claim)
    pairs: Sequence[tuple[str, Any]]
    if isinstance(written, Mapping):
        pairs = [(str(name), until) for name, until in list(written.items())[:_MOST_VALUES]]
    else:
        pairs = [(name, until) for name, _, until in (word.partition("=") for word in _words(written))]
    ends = ((settings.certificates.get(name, name), _end(until)) for name, until in pairs)
    return {name: until for name, until in ends if until is not None and len(name) <= MOST_CHARACTERS}


def _end(written: Any) -> datetime | None:
    """A moment (RFC 3339, or seconds since 1970), or a day, at the end of which in UTC it ends."""
    try:
        if isinstance(written, int | float) and not isinstance(written, bool):
            return datetime.fromtimestamp(written, UTC)
        text = str(written).strip()
        if len(text) == len("2027-01-31"):
            return datetime.combine(date.fromisoformat(text), time.min, UTC) + timedelta(days=1)
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        return None
    return moment if moment.tzinfo is not None else None


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
