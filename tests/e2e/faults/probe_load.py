"""Analysts and a supervisor: stills attached, faces chosen, searches approved, leads taken, over the HTTP API."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any, Final

import aiohttp
import cv2

from rtcc_bridge.demo.pictures import portrait
from tests.e2e.faults.ledger import Ledger

Answer = dict[str, Any]

_PAUSE_SECONDS: Final = 0.2
_CALL_SECONDS: Final = 15.0
_WAITING: Final = frozenset({"faces_found", "awaiting_approval"})


def small_still() -> bytes:
    """The public-domain portrait as a small JPEG: finding the face in it costs little."""
    small = cv2.resize(portrait(), (160, 160), interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()


class ProbeLoad:
    """Each probe goes its whole way, however often a call has to be made again because a process died under it."""

    def __init__(self, http: aiohttp.ClientSession, addresses: Sequence[str], ledger: Ledger, seed: int) -> None:
        self._http = http
        self._addresses = list(addresses)
        self._ledger = ledger
        self._random = random.Random(seed)
        self._still = small_still()
        self._last_refusal = ""
        self.under_way: set[asyncio.Task[None]] = set()

    @property
    def last_refusal(self) -> str:
        """What the last call that failed was answered, for the report of a run that got stuck."""
        return self._last_refusal

    async def run(
        self, incidents: Sequence[str], probes_per_second: float, *, until: asyncio.Event, at_once: int = 4
    ) -> None:
        """Begins probes at a pace until told to stop; `finished` waits for those that are under way."""
        while not until.is_set():
            if len(self.under_way) < at_once:
                self.begin(self._random.choice(incidents))
            await asyncio.sleep(1 / probes_per_second)

    def begin(self, incident_id: str) -> None:
        """Attaches one still and sees it through, in a task of its own."""
        task = asyncio.create_task(self._see_through(incident_id))
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

    async def _see_through(self, incident_id: str) -> None:
        probe = await self._insist(lambda: self._attach(incident_id))
        probe_id = probe["probeId"]
        while probe["state"] in _WAITING or probe["approval"]["state"] == "pending":
            if probe["state"] == "faces_found":
                await self._act(f"/probes/{probe_id}/face", "analyst", {"number": probe["faces"][0]["number"]})
            else:
                await self._act(f"/probes/{probe_id}/approve", "supervisor", {})
            probe = await self._look(probe_id)
        if probe["state"] in {"authorized", "searched"}:
            self._ledger.probes.add(probe_id)
        while probe["lead"] is None:
            await asyncio.sleep(_PAUSE_SECONDS)
            probe = await self._look(probe_id)
        await self._act(f"/leads/{probe['lead']['data']['leadId']}/acknowledge", "analyst", {})

    async def _attach(self, incident_id: str) -> Answer:
        form = aiohttp.FormData(
            {
                "purpose": "violent_offense",
                "legalBasis": "Test of the delivery promise",
                "caseNumber": "CASE-1",
                "requestor": "requestor",
                "attestedOriginal": "true",
            }
        )
        form.add_field("image", self._still, filename="still.jpg", content_type="application/octet-stream")
        return await self._call("POST", f"/incidents/{incident_id}/probes", "analyst", data=form)

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


class _RefusedError(Exception):
    """The daemon answered with a problem."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
