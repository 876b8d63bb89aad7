"""What a browser takes along to the identity provider: one secret, bound to time and page, and all that follows."""

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.cookies import SimpleCookie

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcc_bridge.people.departures import CLOCKS_DIFFER, MOST_COOKIE_CHARACTERS, SIGN_IN_TAKES, Departure

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
BEGUN = Departure.begin("/incidents/INC-1", NOW)
SECOND = timedelta(seconds=1)


@given(st.text(max_size=1024))
def test_what_comes_back_is_what_was_begun(back: str) -> None:
    try:
        back.encode()
    except UnicodeEncodeError:  # half a surrogate pair, which no address holds
        return
    begun = Departure.begin(back, NOW)
    assert len(begun.cookie) <= MOST_COOKIE_CHARACTERS
    assert Departure.read(begun.cookie) == begun
    assert begun.back in {back, "/"}
    written = SimpleCookie()
    written["name"] = begun.cookie
    assert '"' not in written["name"].OutputString()


def test_state_nonce_and_verifier_are_three_and_of_each_sign_in_others() -> None:
    other = Departure.begin(BEGUN.back, NOW)
    derived = [begun_one for one in (BEGUN, other) for begun_one in (one.state, one.nonce, one.verifier)]
    assert len({*derived, BEGUN.secret, other.secret}) == 8
    assert {len(one) for one in derived} == {43}


@pytest.mark.parametrize("change", [{"back": "/"}, {"begun_at": BEGUN.begun_at + 1}, {"secret": "a" * 43}])
def test_whoever_changes_a_cookie_has_none_that_fits(change: dict[str, object]) -> None:
    changed = replace(BEGUN, **change)  # type: ignore[arg-type]  # one field at a time, of its own type
    assert not changed.belongs_to(BEGUN.state)
    assert {changed.state, changed.nonce, changed.verifier}.isdisjoint({BEGUN.state, BEGUN.nonce, BEGUN.verifier})


def test_it_is_over_after_ten_minutes_and_not_begun_in_the_future() -> None:
    assert not BEGUN.is_over(NOW + SIGN_IN_TAKES)
    assert BEGUN.is_over(NOW + SIGN_IN_TAKES + SECOND)
    assert not BEGUN.is_over(NOW - CLOCKS_DIFFER), "another replica's clock"
    assert BEGUN.is_over(NOW - CLOCKS_DIFFER - SECOND)


@pytest.mark.parametrize(
    "cookie",
    [
        "",
        "a" * 43,
        BEGUN.secret,
        f"{BEGUN.secret}.x.Lw",
        f"{BEGUN.secret}.-5.Lw",
        f"{BEGUN.secret}.\u0663.Lw",
        f"{BEGUN.secret}.{'9' * 12}.Lw",
        f"{BEGUN.secret}.1.{base64.urlsafe_b64encode(bytes([0xFF, 0xFE])).decode()}",
        f"{BEGUN.secret}.1.A",
        f"short.{BEGUN.begun_at}.Lw",
        BEGUN.cookie + "A" * MOST_COOKIE_CHARACTERS,
    ],
    ids=range(11),  # the secret is drawn anew in each process
)
def test_what_is_none_of_ours_is_not_read(cookie: str) -> None:
    assert Departure.read(cookie) is None
