"""Analysts and a supervisor: stills attached, faces chosen, searches approved, leads taken, over the HTTP API."""

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any, Final

import aiohttp
import cv2

from rtcc_bridge.demo.pictures import portrait
from tests.e2e.faults.ledger import Ledger
from tests.e2e.faults.own_incidents import OwnIncident
from tests.e2e.faults.pace import paced

Answer = dict[str, Any]

_PAUSE_SECONDS: Final = 0.4
_CALL_SECONDS: Final = 15.0
_LONGEST_WAY_SECONDS: Final = 4.0
"""With more probes under way than come about in this time the machine or the deployment does not keep up."""

_STOPPED: Final = frozenset({"rejected_quality", "refused", "withdrawn"})


def small_still() -> bytes:
    """The public-domain portrait as a small JPEG: finding the face in it costs little."""
    small = cv2.resize(portrait(), (160, 160), interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()


class ProbeLoad:
    """Each probe goes its whole way, however often a call has to be made again because a process died under it.

    ended: how many have come to their end.
    """

    def __init__(self, http: aiohttp.ClientSession, addresses: Sequence[str], ledger: Ledger, seed: int) -> None:
        self._http = http
        self._addresses = list(addresses)
        self._ledger = ledger
        self._random = random.Random(seed)
        self._still = small_still()
        self._last_refusal = ""
        self.under_way: set[asyncio.Task[None]] = set()
        self.ended = 0

    async def run(self, incident: Callable[[], OwnIncident], probes_per_second: float, *, until: asyncio.Event) -> None:
        """Begins probes at a pace until told to stop; `finished` waits for those that are under way.

        Where the deployment does not keep up, fewer are begun: analysts wait for what they have begun, too.
        """
        most_at_once = max(1.0, probes_per_second * _LONGEST_WAY_SECONDS)
        async for _ in paced(probes_per_second, until):
            if len(self.under_way) < most_at_once:
                self.begin(incident())

    def begin(self, incident: OwnIncident) -> None:
        """Attaches one still and sees it through, in a task of its own."""
        task = asyncio.create_task(self._see_through(incident))
        self.under_way.add(task)
        task.add_done_callback(self.under_way.discard)

    async def finished(self, seconds: float) -> None:
        """Raises TimeoutError when a probe gets no lead in that time, and what else stopped one."""
        if not self.under_way:
            return
        done, late = await asyncio.wait(self.under_way, timeout=seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        for task in done:
            task.result()
        if late:
            raise TimeoutError(f"{len(late)} probes got no lead within {seconds:g} s; {self._last_refusal}")

    async def _see_through(self, incident: OwnIncident) -> None:
        """Only the end of the incident may stop a probe on its way."""
        try:
            await self._go_its_way(incident)
        except _RefusedError:
            if incident.incident_id not in self._ledger.cancelled:
                raise
        self.ended += 1

    async def _go_its_way(self, incident: OwnIncident) -> None:
        probe = await self._insist(lambda: self._attach(incident))
        while not _has_come_to_its_end(probe):
            await self._do_what_is_next(probe)
            probe = await self._look(probe["probeId"])
            if probe["state"] in {"authorized", "searched"}:
                self._ledger.probes.add(probe["probeId"])
        if probe["lead"] is not None:
            await self._act(f"/leads/{probe['lead']['data']['leadId']}/acknowledge", "analyst", {})

    async def _do_what_is_next(self, probe: Answer) -> None:
        """A supervisor whose approval may follow the search (P14) waits for what comes of it."""
        path = f"/probes/{probe['probeId']}"
        if probe["state"] == "faces_found":
            await self._act(f"{path}/face", "analyst", {"number": probe["faces"][0]["number"]})
        elif probe["state"] == "awaiting_approval" or _awaits_late_approval(probe):
            await self._act(f"{path}/approve", "supervisor", {})
        else:
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _attach(self, incident: OwnIncident) -> Answer:
        form = aiohttp.FormData(
            {
                "purpose": incident.purpose,
                "legalBasis": "Test of the delivery promise",
                "caseNumber": "CASE-1",
                "requestor": "requestor",
                "attestedOriginal": "true",
            }
        )
        form.add_field("image", self._still, filename="still.jpg", content_type="application/octet-stream")
        return await self._call("POST", f"/incidents/{incident.incident_id}/probes", "analyst", data=form)

    async def _act(self, path: str, account: str, body: Answer) -> None:
        """One act. That it was done already, by a call whose answer was lost, is as good."""

        async def act() -> Answer:
            try:
                return await self._call("POST", path, account, json=body)
            except _RefusedError as refusal:
                if refusal.status == 409:
                    return {}
                raise

        await self._insist(act)

    async def _look(self, probe_id: str) -> Answer:
        return await self._insist(lambda: self._call("GET", f"/probes/{probe_id}", "analyst"))

    async def _insist(self, call: Any) -> Answer:
        """Calls until it is answered; another replica each time. An incident may be unknown until it has arrived."""
        while True:
            try:
                answer: Answer = await call()
            except (aiohttp.ClientError, TimeoutError) as error:
                self._last_refusal = repr(error)
            except _RefusedError as refusal:
                self._last_refusal = str(refusal)
                if refusal.status not in {404, 500, 503}:
                    raise
            else:
                return answer
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _call(self, method: str, path: str, account: str, **arguments: Any) -> Answer:
        address = self._random.choice(self._addresses)
        headers = {"X-Demo-Account": account}
        limit = aiohttp.ClientTimeout(total=_CALL_SECONDS)
        url = f"{address}/api/v1{path}"
        async with self._http.request(method, url, headers=headers, timeout=limit, **arguments) as answer:
            if answer.status >= 400:
                raise _RefusedError(answer.status, f"{method} {path}: {answer.status} {await answer.text()}")
            content: Answer = await answer.json(content_type=None)
            return content


def _awaits_late_approval(probe: Answer) -> bool:
    return bool(probe["state"] == "searched" and probe["approval"]["state"] == "pending")


def _has_come_to_its_end(probe: Answer) -> bool:
    """Searched and approved, with its lead, or stopped: by its incident's end, or as it was too poor."""
    if probe["state"] == "searched":
        return probe["lead"] is not None and not _awaits_late_approval(probe)
    return probe["state"] in _STOPPED


class _RefusedError(Exception):
    """The daemon answered with a problem."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
