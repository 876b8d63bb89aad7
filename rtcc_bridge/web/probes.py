"""Stills: attached, looked at, a face chosen, approved or refused. The probe desk asks every gate but that of the
queue, which the table of routes keeps."""

from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from rtcc_bridge.probes.edits import edits_from_json, edits_from_text
from rtcc_bridge.probes.state import DECIDABLE
from rtcc_bridge.publishing.backlog import require_room
from rtcc_bridge.storage import leads, probes
from rtcc_bridge.storage.probes import ProbeRecord
from rtcc_bridge.web.accounts import ACCOUNT
from rtcc_bridge.web.operations import Answer, Body, Operation, Parameter, answer, read_json
from rtcc_bridge.web.picture_answers import JPEG, jpeg
from rtcc_bridge.web.services import WebServices, services_of
from rtcc_bridge.web.uploads import FIELDS, IMAGE, MULTIPART, STILL_PART, UploadSlots, read_upload
from rtcc_bridge.web.views import (
    EditsRequest,
    FaceChoiceRequest,
    ProbeStanding,
    ProbeView,
    RefusalRequest,
    WaitingProbes,
    probe_view,
    waiting_probe,
)

UPLOADS = web.AppKey("uploads", UploadSlots)
LONGEST_QUEUE: Final = 200

STATED_FIELDS: Final = ("purpose", "legalBasis", "requestor", "attestedOriginal")
"""What has to be stated beside a still or a clip."""
FIELD_SCHEMAS: Final[dict[str, Any]] = {
    **{name: {"type": "string"} for name in FIELDS if name != "edits"},
    "warrantOrExigency": {
        "type": "string",
        "description": "The warrant, or the exigency that stands in for one: for the purposes for which the policy "
        "asks for it (P09).",
    },
    "attestedOriginal": {
        "type": "string",
        "enum": ["true", "false"],
        "description": "No sketch, composite, generated or face-swapped picture (P05).",
    },
    "samePersonAs": {
        "type": "string",
        "description": "An approved probe of the same unknown person and the same case: its approval then covers "
        "this still, while it lasts (P01).",
    },
}

_FORM: Final[dict[str, Any]] = {
    "type": "object",
    "required": [*STATED_FIELDS, IMAGE],
    "properties": {
        **FIELD_SCHEMAS,
        "edits": {
            "type": "string",
            "description": "JSON: steps as `editStill` takes them, applied before faces are found.",
        },
        IMAGE: {
            "type": "string",
            "format": "binary",
            "description": "JPEG, PNG or WebP. It has to be the last part of the form; nothing after it is read.",
        },
    },
}
_REFUSALS: Final = (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)
_BUSY: Final = HTTPStatus.SERVICE_UNAVAILABLE


async def with_lead(services: WebServices, record: ProbeRecord) -> ProbeView:
    async with services.database.read() as tx:
        lead = await leads.of_probe(tx, record.probe_id)
        covered = [probe.probe_id for probe in await probes.covered_by(tx, record.probe_id)]
    return probe_view(record, lead, covered)


async def approval_queue(services: WebServices) -> WaitingProbes:
    async with services.database.read() as tx:
        found = await probes.with_approval_pending(tx, DECIDABLE, LONGEST_QUEUE)
        earlier = await probes.count_earlier_of_picture(tx, [record.probe_id for record in found])
    return WaitingProbes(items=tuple(waiting_probe(record, earlier.get(record.probe_id, 0)) for record in found))


async def attach(request: web.Request) -> web.Response:
    """A search that cannot be asked for would only wait: while the outbox is full, no still is taken in."""
    services = services_of(request)
    intake = services.settings.intake
    await require_room(services.database, services.settings.relay, services.clock.now())
    incident_id = request.match_info["incidentId"]
    with request.app[UPLOADS].slot(await services.probes.lane_of(incident_id)):
        upload = await read_upload(
            request, STILL_PART, intake.max_upload_bytes, services.settings.web.upload_timeout_seconds
        )
        record = await services.probes.attach(incident_id, upload.form, request[ACCOUNT], upload.file)
    return answer(await with_lead(services, record), HTTPStatus.CREATED)


async def list_waiting(request: web.Request) -> web.Response:
    return answer(await approval_queue(services_of(request)))


async def get_probe(request: web.Request) -> web.Response:
    services, probe_id = services_of(request), request.match_info["probeId"]
    return answer(await with_lead(services, await services.probes.open(probe_id, request[ACCOUNT])))


async def get_state(request: web.Request) -> web.Response:
    """For a page that waits: how far stills are stands on their incident's page, so that this is no look at one."""
    record = await services_of(request).probes.find(request.match_info["probeId"])
    return answer(ProbeStanding(state=record.state, approval=record.approval))


async def get_image(request: web.Request) -> web.Response:
    """The desk masks, checks the role and audits the look."""
    asked = request.query.get("edits")
    tried = None if asked is None else edits_from_text(asked)
    return jpeg(await services_of(request).probes.preview(request.match_info["probeId"], request[ACCOUNT], tried))


async def edit_still(request: web.Request) -> web.Response:
    services, asked = services_of(request), await read_json(request, EditsRequest)
    edits = edits_from_json(asked.steps)
    return answer(
        await with_lead(services, await services.probes.edit(request.match_info["probeId"], edits, request[ACCOUNT]))
    )


async def choose_face(request: web.Request) -> web.Response:
    services, choice = services_of(request), await read_json(request, FaceChoiceRequest)
    record = await services.probes.choose_face(request.match_info["probeId"], choice.number, request[ACCOUNT])
    return answer(await with_lead(services, record))


async def approve(request: web.Request) -> web.Response:
    services = services_of(request)
    record = await services.probes.approve(request.match_info["probeId"], request[ACCOUNT])
    return answer(await with_lead(services, record))


async def refuse(request: web.Request) -> web.Response:
    services, refusal = services_of(request), await read_json(request, RefusalRequest)
    record = await services.probes.refuse(request.match_info["probeId"], request[ACCOUNT], refusal.reason)
    return answer(await with_lead(services, record))


OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/api/v1/incidents/{incidentId}/probes",
        handler=attach,
        name="attachStill",
        summary="Attach a still to an incident and find the faces in it",
        tag="probes",
        body=Body(media_type=MULTIPART, schema=_FORM),
        answers=(
            Answer(
                "The probe, in state faces_found or, where no face can be searched, rejected_quality.",
                ProbeView,
                status=HTTPStatus.CREATED,
            ),
        ),
        problems=(
            HTTPStatus.BAD_REQUEST,
            *_REFUSALS,
            HTTPStatus.REQUEST_TIMEOUT,
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            HTTPStatus.UNPROCESSABLE_ENTITY,
            _BUSY,
        ),
    ),
    Operation(
        method="GET",
        path="/api/v1/probes",
        handler=list_waiting,
        name="listWaitingProbes",
        summary="Searches that wait for a supervisor",
        tag="probes",
        answers=(Answer("The oldest first.", WaitingProbes),),
        problems=(HTTPStatus.FORBIDDEN,),
    ),
    Operation(
        method="GET",
        path="/api/v1/probes/{probeId}",
        handler=get_probe,
        name="getProbe",
        summary="The faces, their quality and the state of a probe; each look is audited",
        tag="probes",
        answers=(Answer("The probe.", ProbeView),),
        problems=(HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND),
    ),
    Operation(
        method="GET",
        path="/api/v1/probes/{probeId}/state",
        handler=get_state,
        name="getProbeState",
        summary="How far a probe is and nothing else of it: for whoever waits for its next step",
        tag="probes",
        answers=(Answer("The state and the approval.", ProbeStanding),),
        problems=(HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND),
    ),
    Operation(
        method="GET",
        path="/api/v1/probes/{probeId}/image",
        handler=get_image,
        name="getProbeImage",
        summary="The still for the screen; once a face is chosen the others are masked (P04)",
        tag="probes",
        parameters=(
            Parameter(
                "edits",
                "query",
                "JSON: steps as `editStill` takes them, to look at in the place of the recorded ones before a face is "
                "chosen; an empty list shows the original. Nothing is recorded but the look.",
                {"type": "string"},
            ),
        ),
        answers=(Answer("The picture, upright and without metadata.", media_type=JPEG),),
        problems=(*_REFUSALS, HTTPStatus.UNPROCESSABLE_ENTITY, _BUSY),
    ),
    Operation(
        method="POST",
        path="/api/v1/probes/{probeId}/edits",
        handler=edit_still,
        name="editStill",
        summary="The analyst edits the still before a face is chosen; the original stays as it came (P05)",
        tag="probes",
        body=Body(EditsRequest),
        answers=(Answer("The probe with the faces of the edited picture.", ProbeView),),
        problems=(*_REFUSALS, HTTPStatus.UNPROCESSABLE_ENTITY, _BUSY),
    ),
    Operation(
        method="POST",
        path="/api/v1/probes/{probeId}/face",
        handler=choose_face,
        name="chooseFace",
        summary="The analyst chooses the one face that is searched",
        tag="probes",
        body=Body(FaceChoiceRequest),
        answers=(Answer("The probe.", ProbeView),),
        problems=(*_REFUSALS, HTTPStatus.UNPROCESSABLE_ENTITY, _BUSY),
    ),
    Operation(
        method="POST",
        path="/api/v1/probes/{probeId}/approve",
        handler=approve,
        name="approveProbe",
        summary="A supervisor approves the search",
        tag="probes",
        answers=(Answer("The probe.", ProbeView),),
        problems=_REFUSALS,
    ),
    Operation(
        method="POST",
        path="/api/v1/probes/{probeId}/refuse",
        handler=refuse,
        name="refuseProbe",
        summary="A supervisor refuses the search",
        tag="probes",
        body=Body(RefusalRequest),
        answers=(Answer("The probe.", ProbeView),),
        problems=(*_REFUSALS, HTTPStatus.UNPROCESSABLE_ENTITY),
    ),
)
