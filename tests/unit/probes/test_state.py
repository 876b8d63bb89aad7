"""The table of a probe's steps: each one that it holds is allowed, each other one is not."""

from itertools import product

import pytest

from rtcc_bridge.errors import ConflictError
from rtcc_bridge.probes.state import TRANSITIONS, WAITING, ProbeState, require_transition

ALLOWED = {
    ("faces_found", "awaiting_approval"),
    ("faces_found", "authorized"),
    ("faces_found", "rejected_quality"),
    ("faces_found", "withdrawn"),
    ("awaiting_approval", "authorized"),
    ("awaiting_approval", "refused"),
    ("awaiting_approval", "withdrawn"),
    ("authorized", "awaiting_approval"),
    ("authorized", "searched"),
    ("authorized", "unreadable"),
    ("authorized", "refused"),
    ("authorized", "withdrawn"),
    ("searched", "refused"),
    ("searched", "withdrawn"),
}


@pytest.mark.parametrize(("current", "following"), list(product(ProbeState, ProbeState)))
def test_each_step(current: ProbeState, following: ProbeState) -> None:
    if (current.value, following.value) in ALLOWED:
        require_transition(current, following)
    else:
        with pytest.raises(ConflictError):
            require_transition(current, following)


def test_what_waits_can_be_withdrawn() -> None:
    assert all(ProbeState.WITHDRAWN in TRANSITIONS[state] for state in WAITING)
