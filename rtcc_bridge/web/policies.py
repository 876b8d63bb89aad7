"""The policy in force as a page, and how another file differs from it. The desk decides who may."""

from http import HTTPStatus
from typing import Final

from aiohttp import web
from pydantic import AwareDatetime, Field

from rtcc_bridge.policy.policy_diff import in_words
from rtcc_bridge.web.accounts import ACCOUNT
from rtcc_bridge.web.operations import Answer, Body, Handler, Operation, WireModel, answer, read_json
from rtcc_bridge.web.services import services_of
from rtcc_bridge.web.templating import page


class PolicyCompareRequest(WireModel):
    """A policy file as it is, and which of the two came first."""

    text: str = Field(min_length=1)
    is_earlier: bool = Field(description="It is older than the policy in force; otherwise it is what would come next.")


class PolicyComparisonView(WireModel):
    """What the later of the two says otherwise."""

    title: str
    policy_hash: str = Field(description="The sha256 of the file, which leads cite.")
    is_in_force: bool = Field(description="It is the very file that is in force.")
    taken_at: AwareDatetime | None = Field(description="When the log says that this very file came into force.")
    lines: tuple[str, ...] = Field(description="Field by field, in words.")


async def policy_page(request: web.Request) -> web.Response:
    """`/oversight/policy`."""
    services = services_of(request)
    found = await services.reports.policies.look(request[ACCOUNT])
    return page(
        request,
        "policy.html",
        feed_position=services.feed.position or 0,
        found=found,
        fields=in_words(found.policy),
    )


async def compare_policy(request: web.Request) -> web.Response:
    given, desk = await read_json(request, PolicyCompareRequest), services_of(request).reports.policies
    found = await desk.compare(request[ACCOUNT], given.text, is_earlier=given.is_earlier)
    view = PolicyComparisonView(
        title=found.title,
        policy_hash=found.policy_hash,
        is_in_force=found.is_in_force,
        taken_at=found.taken_at,
        lines=tuple(found.lines),
    )
    return answer(view)


POLICY_PAGES: Final[tuple[tuple[str, str, Handler], ...]] = (("GET", "/oversight/policy", policy_page),)

OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/api/v1/policy/compare",
        handler=compare_policy,
        name="comparePolicy",
        summary="How a policy file differs from the one in force, field by field; changes nothing",
        tag="reports",
        body=Body(PolicyCompareRequest),
        answers=(Answer("What the later of the two says otherwise.", PolicyComparisonView),),
        problems=(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE),
    ),
)
