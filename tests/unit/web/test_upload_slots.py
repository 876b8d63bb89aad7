"""How many uploads are taken at the same time, and which of them."""

from contextlib import ExitStack

import pytest

from rtcc_bridge.errors import BusyError
from rtcc_bridge.matching.types import Lane
from rtcc_bridge.web.uploads import UploadSlots


def taken(slots: UploadSlots, lane: Lane, stack: ExitStack) -> int:
    """How many more of that lane are taken, until the next one is refused."""
    count = 0
    while True:
        try:
            stack.enter_context(slots.slot(lane))
        except BusyError:
            return count
        count += 1


@pytest.mark.parametrize(("most", "routine"), [(1, 1), (3, 3), (4, 3), (8, 6)])
def test_a_flood_of_other_stills_leaves_room_for_imminent_threats(most: int, routine: int) -> None:
    slots = UploadSlots(most)
    with ExitStack() as stack:
        assert taken(slots, Lane.ROUTINE, stack) == routine
        assert taken(slots, Lane.IMMINENT, stack) == most - routine
    with ExitStack() as stack:
        assert taken(slots, Lane.IMMINENT, stack) == most
