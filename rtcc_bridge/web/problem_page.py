"""A problem as a page, for a person who followed a link."""

from http import HTTPStatus

from aiohttp import web

from rtcc_bridge.web.problems import Problem
from rtcc_bridge.web.templating import page


def problem_page(request: web.Request, problem: Problem) -> web.Response:
    """The same words as the problem document. It tries again by itself where waiting helps."""
    document = problem.document
    again = document.status == HTTPStatus.SERVICE_UNAVAILABLE
    response = page(request, "problem.html", document.status, problem=document, try_again=again, feed_position=None)
    response.headers.update(problem.headers)
    return response
