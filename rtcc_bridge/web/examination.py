"""The first examination of a lead, by whoever took it. Every gate is asked by the desks."""

from http import HTTPStatus
from typing import Final

from aiohttp import web

from rtcc_bridge.leads.comparison import AidUse, Opinion
from rtcc_bridge.leads.opinions import Worksheet
from rtcc_bridge.web.accounts import ACCOUNT
from rtcc_bridge.web.operations import Answer, Body, Operation, answer, read_json
from rtcc_bridge.web.picture_answers import PICTURE_ANSWERS, PICTURE_PROBLEMS, jpeg, picture_number
from rtcc_bridge.web.services import services_of
from rtcc_bridge.web.worksheets import ExaminationView, examination_view

_REFUSALS: Final = (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)


async def get_examination(request: web.Request) -> web.Response:
    sheet = await services_of(request).life.examination.view(request.match_info["leadId"], request[ACCOUNT])
    return await _sheet(request, sheet)


async def keep(request: web.Request) -> web.Response:
    opinion = await read_json(request, Opinion)
    sheet = await services_of(request).life.examination.keep(request.match_info["leadId"], request[ACCOUNT], opinion)
    return await _sheet(request, sheet)


async def use_aid(request: web.Request) -> web.Response:
    use = await read_json(request, AidUse)
    desk = services_of(request).life.examination
    return await _sheet(request, await desk.use_aid(request.match_info["leadId"], request[ACCOUNT], use))


async def conclude(request: web.Request) -> web.Response:
    opinion = await read_json(request, Opinion)
    desk = services_of(request).life.examination
    return await _sheet(request, await desk.conclude(request.match_info["leadId"], request[ACCOUNT], opinion))


async def get_still(request: web.Request) -> web.Response:
    return jpeg(await services_of(request).life.pictures.examined_still(request.match_info["leadId"], request[ACCOUNT]))


async def get_picture(request: web.Request) -> web.Response:
    lead_id, ref = request.match_info["leadId"], request.match_info["candidateRef"]
    pictures = services_of(request).life.pictures
    return jpeg(await pictures.examined_candidate(lead_id, request[ACCOUNT], ref, picture_number(request)))


async def _sheet(request: web.Request, sheet: Worksheet) -> web.Response:
    dates = await services_of(request).life.pictures.dates(sheet.examination)
    return answer(examination_view(request.match_info["leadId"], sheet, dates))


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/api/v1/leads/{leadId}/examination",
        handler=get_examination,
        name="getExamination",
        summary="The list of a lead and what its examiner has noted; each look is audited",
        tag="examination",
        answers=(Answer("The list, without scores and ranks (P13).", ExaminationView),),
        problems=_REFUSALS,
    ),
    Operation(
        method="POST",
        path="/api/v1/leads/{leadId}/examination",
        handler=keep,
        name="keepExamination",
        summary="Keep exclusions at first sight and forms that are not finished",
        tag="examination",
        body=Body(Opinion),
        answers=(Answer("As it was kept, in place of what was kept before.", ExaminationView),),
        problems=(*_REFUSALS, HTTPStatus.UNPROCESSABLE_ENTITY),
    ),
    Operation(
        method="POST",
        path="/api/v1/leads/{leadId}/examination/aids",
        handler=use_aid,
        name="useExaminationAid",
        summary="Note, before it is had, that overlay or blink is used on a candidate kept for the form",
        tag="examination",
        body=Body(AidUse),
        answers=(Answer("What was noted; the same once more changes nothing.", ExaminationView),),
        problems=(*_REFUSALS, HTTPStatus.UNPROCESSABLE_ENTITY),
    ),
    Operation(
        method="POST",
        path="/api/v1/leads/{leadId}/conclusions",
        handler=conclude,
        name="concludeExamination",
        summary="Conclude on every candidate; the blind review follows, whatever the conclusion is",
        tag="examination",
        body=Body(Opinion),
        answers=(Answer("As it was filed: nobody changes it any more.", ExaminationView),),
        problems=(*_REFUSALS, HTTPStatus.UNPROCESSABLE_ENTITY),
    ),
    Operation(
        method="GET",
        path="/api/v1/leads/{leadId}/examination/still",
        handler=get_still,
        name="getExaminedStill",
        summary="The still, everybody but the chosen face masked (P04); each look is audited",
        tag="examination",
        answers=PICTURE_ANSWERS,
        problems=PICTURE_PROBLEMS,
    ),
    Operation(
        method="GET",
        path="/api/v1/leads/{leadId}/examination/candidates/{candidateRef}/pictures/{number}",
        handler=get_picture,
        name="getExaminedPicture",
        summary="A picture of a candidate; each look is audited",
        tag="examination",
        answers=PICTURE_ANSWERS,
        problems=PICTURE_PROBLEMS,
    ),
)
