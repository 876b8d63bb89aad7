"""Seeded cases: for the administrator alone, who makes them and reads how they were answered."""

from http import HTTPStatus
from typing import Final

from aiohttp import web
from pydantic import AwareDatetime, Field

from rtcc_bridge.leads.agreement import ListOutcome
from rtcc_bridge.leads.proficiency import NewCase
from rtcc_bridge.web.accounts import ACCOUNT
from rtcc_bridge.web.operations import Answer, Body, Operation, WireModel, answer, read_json
from rtcc_bridge.web.services import services_of


class SeededCase(WireModel):
    """A case that was put into the review queue."""

    case_id: str


class CaseResultView(WireModel):
    """How a case was answered."""

    case_id: str
    seeded_at: AwareDatetime
    listed: bool = Field(description="Whether the person is on the list.")
    examiner: str | None = Field(description="Who took it; none: nobody yet.")
    filed_at: AwareDatetime | None
    outcome: ListOutcome | None
    right: bool | None = Field(description="None while it was not answered, and for an inconclusive answer.")


class CaseResults(WireModel):
    """The newest cases first."""

    items: tuple[CaseResultView, ...]


async def seed(request: web.Request) -> web.Response:
    new = await read_json(request, NewCase)
    case_id = await services_of(request).life.proficiency.seed(request[ACCOUNT], new)
    return answer(SeededCase(case_id=case_id), HTTPStatus.CREATED)


async def list_results(request: web.Request) -> web.Response:
    found = await services_of(request).life.proficiency.results(request[ACCOUNT])
    items = tuple(
        CaseResultView(
            case_id=one.case_id,
            seeded_at=one.seeded_at,
            listed=one.listed,
            examiner=one.examiner,
            filed_at=one.filed_at,
            outcome=one.outcome,
            right=one.right,
        )
        for one in found
    )
    return answer(CaseResults(items=items))


OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/api/v1/proficiency/cases",
        handler=seed,
        name="seedCase",
        summary="Put a case with a known answer into the review queue",
        tag="proficiency",
        body=Body(NewCase),
        answers=(Answer("The case. It never becomes a lead.", SeededCase, status=HTTPStatus.CREATED),),
        problems=(HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY),
    ),
    Operation(
        method="GET",
        path="/api/v1/proficiency/cases",
        handler=list_results,
        name="listCaseResults",
        summary="How seeded cases were answered; each look is audited",
        tag="proficiency",
        answers=(Answer("The newest first.", CaseResults),),
        problems=(HTTPStatus.FORBIDDEN,),
    ),
)
