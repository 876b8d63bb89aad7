"""A problem as a page, for a person who followed a link."""

from http import HTTPStatus

from aiohttp import web

from rtcc_bridge.web.problems import TYPE_PREFIX, UNAVAILABLE, Problem
from rtcc_bridge.web.templating import page


def problem_page(request: web.Request, problem: Problem) -> web.Response:
    """The same words as the problem document. Where waiting helps, it tries again by itself, unless a form led to it:
    at the address of a form there is often no page to load anew."""
    document = problem.document
    tries_again = document.status == HTTPStatus.SERVICE_UNAVAILABLE and request.method == "GET"
    response = page(
        request,
        "problem.html",
        document.status,
        problem=document,
        is_away=document.type == TYPE_PREFIX + UNAVAILABLE,
        again_seconds=problem.headers.get("Retry-After") if tries_again else None,
        feed_position=None,
    )
    response.headers.update(problem.headers)
    return response
