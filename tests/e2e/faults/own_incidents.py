"""The incidents that the analysts work on: a third under an imminent threat, and none of them for ever."""

import asyncio
import random
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from tests.e2e.faults.event_load import EventLoad

_PURPOSES: Final = ("violent_offense", "imminent_threat", "violent_offense")
_RETIRE_SECONDS: Final = 8.0


@dataclass(frozen=True, slots=True)
class OwnIncident:
    """An incident of a type that both purposes cover. data: as dispatch has reported it."""

    data: dict[str, Any]
    purpose: str

    @property
    def incident_id(self) -> str:
        incident_id: str = self.data["incidentId"]
        return incident_id


class OwnIncidents:
    """Opens them, and cancels the one that is open for longest every now and then."""

    def __init__(self, events: EventLoad, seed: int) -> None:
        self._events = events
        self._random = random.Random(seed)
        self._open = deque(self._opened(purpose) for purpose in _PURPOSES)
        self._next: list[str] = []

    @property
    def one_of_each_purpose(self) -> list[OwnIncident]:
        return list({incident.purpose: incident for incident in self._open}.values())

    def choose(self) -> OwnIncident:
        """One of those that are open: each purpose has its share of any few searches, in no foreseeable order."""
        if not self._next:
            self._next = self._random.sample(_PURPOSES, len(_PURPOSES))
        purpose = self._next.pop()
        return self._random.choice([incident for incident in self._open if incident.purpose == purpose])

    async def run(self, *, until: asyncio.Event) -> None:
        """Retires one at once, and others in turn until told to stop."""
        while not until.is_set():
            self._retire()
            with suppress(TimeoutError):
                await asyncio.wait_for(until.wait(), _RETIRE_SECONDS)

    def _retire(self) -> None:
        """Searches that are under way on it then end as they can; another of its kind takes its place."""
        retired = self._open.popleft()
        self._events.cancel(retired.data)
        self._open.append(self._opened(retired.purpose))

    def _opened(self, purpose: str) -> OwnIncident:
        """Only the alert makes searches on it urgent, whatever purpose they name (P14)."""
        incident = OwnIncident(self._events.report("SHOOT"), purpose)
        if purpose == "imminent_threat":
            self._events.alert(incident.incident_id)
        return incident
