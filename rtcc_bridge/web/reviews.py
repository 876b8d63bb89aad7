"""Blind reviews: the queue, taking one, its pictures and the opinion. Every gate is asked by the desks (P11, P12)."""

from http import HTTPStatus
from typing import Final

from aiohttp import web

from rtcc_bridge.leads.comparison import AidUse, Opinion
from rtcc_bridge.leads.opinions import Worksheet
from rtcc_bridge.web.accounts import ACCOUNT
from rtcc_bridge.web.operations import Answer, Body, Operation, answer, read_json
from rtcc_bridge.web.picture_answers import PICTURE_ANSWERS, PICTURE_PROBLEMS, jpeg, picture_number
from rtcc_bridge.web.services import services_of
from rtcc_bridge.web.worksheets import ReviewItem, ReviewQueue, ReviewView, review_view

_REFUSALS: Final = (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)


async def list_reviews(request: web.Request) -> web.Response:
    found = await services_of(request).life.review.queue(request[ACCOUNT])
    items = tuple(
        ReviewItem(review_id=one.examination_id, lane=one.lane, taken=one.examiner is not None) for one in found
    )
    return answer(ReviewQueue(items=items))


async def take(request: web.Request) -> web.Response:
    return await _sheet(
        request, await services_of(request).life.review.take(request.match_info["reviewId"], request[ACCOUNT])
    )


async def get_review(request: web.Request) -> web.Response:
    return await _sheet(
        request, await services_of(request).life.review.view(request.match_info["reviewId"], request[ACCOUNT])
    )


async def keep(request: web.Request) -> web.Response:
    opinion, desk = await read_json(request, Opinion), services_of(request).life.review
    return await _sheet(request, await desk.keep(request.match_info["reviewId"], request[ACCOUNT], opinion))


async def use_aid(request: web.Request) -> web.Response:
    use, desk = await read_json(request, AidUse), services_of(request).life.review
    return await _sheet(request, await desk.use_aid(request.match_info["reviewId"], request[ACCOUNT], use))


async def conclude(request: web.Request) -> web.Response:
    opinion, desk = await read_json(request, Opinion), services_of(request).life.review
    return await _sheet(request, await desk.conclude(request.match_info["reviewId"], request[ACCOUNT], opinion))


async def get_still(request: web.Request) -> web.Response:
    pictures = services_of(request).life.pictures
    return jpeg(await pictures.reviewed_still(request.match_info["reviewId"], request[ACCOUNT]))


async def get_picture(request: web.Request) -> web.Response:
    review_id, ref = request.match_info["reviewId"], request.match_info["candidateRef"]
    pictures = services_of(request).life.pictures
    return jpeg(await pictures.reviewed_candidate(review_id, request[ACCOUNT], ref, picture_number(request)))


async def _sheet(request: web.Request, sheet: Worksheet) -> web.Response:
    return answer(review_view(sheet, await services_of(request).life.pictures.dates(sheet.examination)))


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/api/v1/reviews",
        handler=list_reviews,
        name="listReviews",
        summary="Reviews that you have taken or may take",
        tag="reviews",
        answers=(Answer("Imminent ones first, then the longest waiting.", ReviewQueue),),
        problems=(HTTPStatus.FORBIDDEN,),
    ),
    Operation(
        method="POST",
        path="/api/v1/reviews/{reviewId}/take",
        handler=take,
        name="takeReview",
        summary="Take a review: another certified analyst than whoever has a part in the lead (P11)",
        tag="reviews",
        answers=(Answer("The review.", ReviewView),),
        problems=_REFUSALS,
    ),
    Operation(
        method="GET",
        path="/api/v1/reviews/{reviewId}",
        handler=get_review,
        name="getReview",
        summary="The list in an order of its own, blind (P12); each look is audited",
        tag="reviews",
        answers=(Answer("The review.", ReviewView),),
        problems=_REFUSALS,
    ),
    Operation(
        method="POST",
        path="/api/v1/reviews/{reviewId}/draft",
        handler=keep,
        name="keepReview",
        summary="Keep exclusions at first sight and forms that are not finished",
        tag="reviews",
        body=Body(Opinion),
        answers=(Answer("As it was kept, in place of what was kept before.", ReviewView),),
        problems=(*_REFUSALS, HTTPStatus.UNPROCESSABLE_ENTITY),
    ),
    Operation(
        method="POST",
        path="/api/v1/reviews/{reviewId}/aids",
        handler=use_aid,
        name="useReviewAid",
        summary="Note, before it is had, that overlay or blink is used on a candidate kept for the form",
        tag="reviews",
        body=Body(AidUse),
        answers=(Answer("What was noted; the same once more changes nothing.", ReviewView),),
        problems=(*_REFUSALS, HTTPStatus.UNPROCESSABLE_ENTITY),
    ),
    Operation(
        method="POST",
        path="/api/v1/reviews/{reviewId}/opinion",
        handler=conclude,
        name="concludeReview",
        summary="Conclude on every candidate of the list",
        tag="reviews",
        body=Body(Opinion),
        answers=(Answer("As it was filed: nobody changes it any more.", ReviewView),),
        problems=(*_REFUSALS, HTTPStatus.UNPROCESSABLE_ENTITY),
    ),
    Operation(
        method="GET",
        path="/api/v1/reviews/{reviewId}/still",
        handler=get_still,
        name="getReviewedStill",
        summary="The still, everybody but the chosen face masked (P04); each look is audited",
        tag="reviews",
        answers=PICTURE_ANSWERS,
        problems=PICTURE_PROBLEMS,
    ),
    Operation(
        method="GET",
        path="/api/v1/reviews/{reviewId}/candidates/{candidateRef}/pictures/{number}",
        handler=get_picture,
        name="getReviewedPicture",
        summary="A picture of a candidate; each look is audited",
        tag="reviews",
        answers=PICTURE_ANSWERS,
        problems=PICTURE_PROBLEMS,
    ),
)
