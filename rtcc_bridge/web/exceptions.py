"""Exceptions from the rules that named people make: each is asked for, refused and audited by the desk behind it."""

from http import HTTPStatus
from typing import Final

from aiohttp import web
from pydantic import AwareDatetime, Field

from rtcc_bridge.probes.deferrals import DeferralStanding
from rtcc_bridge.storage.refusal_overrides import RefusalOverride
from rtcc_bridge.web.accounts import ACCOUNT
from rtcc_bridge.web.operations import Answer, Body, Operation, WireModel, answer, read_json
from rtcc_bridge.web.outcomes import ReasonRequest
from rtcc_bridge.web.services import services_of


class DeferralView(WireModel):
    """Where an analyst's deferred approvals stand (P14)."""

    analyst: str
    unapproved: int = Field(description="Approvals that lapsed or have not come, since the end was last lifted.")
    lapsed_ever: int
    is_ended: bool = Field(description="Whether the next search has to wait for its approval.")
    lifted_at: AwareDatetime | None


class Deferrals(WireModel):
    """Every analyst with such an approval."""

    items: tuple[DeferralView, ...]


class DeclarationView(WireModel):
    """An incident that was declared imminent."""

    incident_id: str
    declared_by: str
    ends_at: AwareDatetime


class AttestationRequest(WireModel):
    """What is attested to."""

    attestation: str = Field(min_length=1, max_length=1024)


class OverrideView(WireModel):
    """What was attested of an incident."""

    incident_id: str
    attested_by: str
    attested_at: AwareDatetime
    confirmed_by: str | None
    confirmed_at: AwareDatetime | None


async def list_deferrals(request: web.Request) -> web.Response:
    standings = await services_of(request).probes.deferrals.standings(request[ACCOUNT])
    return answer(Deferrals(items=tuple(_deferral_view(standing) for standing in standings)))


async def lift_deferral(request: web.Request) -> web.Response:
    desk, stated = services_of(request).probes.deferrals, await read_json(request, ReasonRequest)
    return answer(_deferral_view(await desk.lift(request.match_info["account"], request[ACCOUNT], stated.reason)))


async def declare_imminent(request: web.Request) -> web.Response:
    desk, stated = services_of(request).probes.declarations, await read_json(request, ReasonRequest)
    made = await desk.declare_imminent(request.match_info["incidentId"], request[ACCOUNT], stated.reason)
    return answer(DeclarationView(incident_id=made.incident_id, declared_by=made.declared_by, ends_at=made.ends_at))


async def attest_killing(request: web.Request) -> web.Response:
    desk, stated = services_of(request).probes.declarations, await read_json(request, AttestationRequest)
    made = await desk.attest_killing(request.match_info["incidentId"], request[ACCOUNT], stated.attestation)
    return answer(_override_view(made))


async def confirm_killing(request: web.Request) -> web.Response:
    desk = services_of(request).probes.declarations
    return answer(_override_view(await desk.confirm_killing(request.match_info["incidentId"], request[ACCOUNT])))


def _deferral_view(standing: DeferralStanding) -> DeferralView:
    return DeferralView(
        analyst=standing.analyst,
        unapproved=standing.unapproved,
        lapsed_ever=standing.lapsed_ever,
        is_ended=standing.is_ended,
        lifted_at=standing.lifted_at,
    )


def _override_view(override: RefusalOverride) -> OverrideView:
    """Without the words, which may name people."""
    return OverrideView(
        incident_id=override.incident_id,
        attested_by=override.attested_by,
        attested_at=override.attested_at,
        confirmed_by=override.confirmed_by,
        confirmed_at=override.confirmed_at,
    )


_REFUSALS: Final = (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)

OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/api/v1/deferrals",
        handler=list_deferrals,
        name="listDeferrals",
        summary="Analysts whose deferred approvals lapsed or have not come",
        tag="exceptions",
        answers=(Answer("By name.", Deferrals),),
        problems=(HTTPStatus.FORBIDDEN,),
    ),
    Operation(
        method="POST",
        path="/api/v1/deferrals/{account}/lift",
        handler=lift_deferral,
        name="liftDeferral",
        summary="The administrator lets an analyst's approvals be deferred again (P14)",
        tag="exceptions",
        body=Body(ReasonRequest),
        answers=(Answer("Where the analyst stands now.", DeferralView),),
        problems=(HTTPStatus.FORBIDDEN, HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY),
    ),
    Operation(
        method="POST",
        path="/api/v1/incidents/{incidentId}/imminent",
        handler=declare_imminent,
        name="declareImminent",
        summary="The watch commander declares an incident of a listed type imminent, for some hours (P14)",
        tag="exceptions",
        body=Body(ReasonRequest),
        answers=(Answer("The declaration.", DeclarationView),),
        problems=(*_REFUSALS, HTTPStatus.UNPROCESSABLE_ENTITY),
    ),
    Operation(
        method="POST",
        path="/api/v1/incidents/{incidentId}/killing",
        handler=attest_killing,
        name="attestKilling",
        summary="The first of two people attests that a killing was coded as a disturbance (P02)",
        tag="exceptions",
        body=Body(AttestationRequest),
        answers=(Answer("What waits for the second person.", OverrideView),),
        problems=(*_REFUSALS, HTTPStatus.UNPROCESSABLE_ENTITY),
    ),
    Operation(
        method="POST",
        path="/api/v1/incidents/{incidentId}/killing/confirm",
        handler=confirm_killing,
        name="confirmKilling",
        summary="The second person confirms it: from then on the incident can be searched for",
        tag="exceptions",
        answers=(Answer("What both attested to.", OverrideView),),
        problems=_REFUSALS,
    ),
)
