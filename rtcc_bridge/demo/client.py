"""The demo's people: each call is the one that a page makes, under a demo account."""

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import aiohttp

from rtcc_bridge.errors import BridgeError

Answer = dict[str, Any]

_UNUSABLE: Final = frozenset({HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY})
_ONE_PICTURE: Final = "P03"
"""The policy's rule that refuses a still of several frames."""


class CallError(BridgeError):
    """The daemon refused a call; the message is what it said.

    problem: its problem document (RFC 9457), which is empty when it answered something else.
    """

    def __init__(self, call: str, status: int, text: str) -> None:
        super().__init__(f"{call}: {status} {text}")
        self.status = status
        self.problem = _document(text)

    @property
    def is_about_the_still(self) -> bool:
        """Whether the still that was attached cannot be used: it is damaged, for example, too large or animated."""
        return self.status in _UNUSABLE or self.problem.get("rule") == _ONE_PICTURE


class StillRefusedError(BridgeError):
    """The daemon does not take a still in; the message says why, in its words."""


@dataclass(frozen=True, slots=True)
class ProbeRequest:
    """What an analyst fills in beside the picture."""

    purpose: str
    legal_basis: str
    case_number: str
    requestor: str = "requestor"

    def fields(self) -> dict[str, str]:
        return {
            "purpose": self.purpose,
            "legalBasis": self.legal_basis,
            "caseNumber": self.case_number,
            "requestor": self.requestor,
            "attestedOriginal": "true",
        }


class DemoClient:
    """Calls the HTTP API of a daemon on this machine."""

    def __init__(self, http: aiohttp.ClientSession, address: str) -> None:
        self._http = http
        self._address = address

    async def incident(self, incident_id: str) -> Answer:
        """Raises CallError when the floor does not know it."""
        return await self._call("GET", f"/api/v1/incidents/{incident_id}", "floor")

    async def attach(self, incident_id: str, request: ProbeRequest, picture: bytes, file_name: str) -> Answer:
        """Raises StillRefusedError when it is the still that cannot be used, CallError for another failure."""
        form = aiohttp.FormData(request.fields())
        form.add_field("image", picture, filename=file_name, content_type="application/octet-stream")
        try:
            return await self._call("POST", f"/api/v1/incidents/{incident_id}/probes", "analyst", data=form)
        except CallError as error:
            if not error.is_about_the_still:
                raise
            raise StillRefusedError(str(error.problem.get("detail", error))) from error

    async def choose(self, probe_id: str, number: int) -> Answer:
        return await self._call("POST", f"/api/v1/probes/{probe_id}/face", "analyst", json={"number": number})

    async def approve(self, probe_id: str) -> Answer:
        return await self._call("POST", f"/api/v1/probes/{probe_id}/approve", "supervisor", json={})

    async def leads_of(self, incident_id: str) -> list[Answer]:
        """The incident's leads, the newest first."""
        parameters = {"incidentId": incident_id}
        found: list[Answer] = (await self._call("GET", "/api/v1/leads", "floor", params=parameters))["items"]
        return found

    async def acknowledge(self, lead_id: str) -> Answer:
        return await self._call("POST", f"/api/v1/leads/{lead_id}/acknowledge", "analyst", json={})

    async def get(self, path: str, account: str) -> Answer:
        """Reads something of the API. Raises CallError."""
        return await self._call("GET", f"/api/v1/{path}", account)

    async def post(self, path: str, account: str, body: Answer) -> Answer:
        """Does something over the API. Raises CallError."""
        return await self._call("POST", f"/api/v1/{path}", account, json=body)

    async def picture(self, path: str, account: str) -> bytes:
        """Reads a picture of the API. Raises CallError."""
        headers = {"X-Demo-Account": account}
        async with self._http.get(f"{self._address}/api/v1/{path}", headers=headers) as answer:
            if answer.status >= 400:
                raise CallError(f"GET {path}", answer.status, await answer.text())
            return await answer.read()

    async def components(self) -> list[str]:
        """The parts of a face that a comparison speaks of, from the API's description of itself."""
        document = await self._call("GET", "/api/v1/openapi.json", "floor")
        found: list[str] = document["components"]["schemas"]["Component"]["enum"]
        return found

    async def schema(self, name: str) -> Answer:
        return await self._call("GET", f"/api/v1/schemas/{name}.json", "floor")

    async def _call(self, method: str, path: str, account: str, **arguments: Any) -> Answer:
        headers = {"X-Demo-Account": account}
        async with self._http.request(method, f"{self._address}{path}", headers=headers, **arguments) as answer:
            if answer.status >= 400:
                raise CallError(f"{method} {path}", answer.status, await answer.text())
            content: Answer = await answer.json(content_type=None)
            return content


def _document(text: str) -> Answer:
    try:
        document = json.loads(text)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
