"""Answers of the API as they leave: refusals in the API's one shape, also those of Django itself; no cache."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from django.http import HttpRequest, HttpResponse

from interlock.hub.api import problems

PREFIX = "/api/"

GetResponse = Callable[[HttpRequest], HttpResponse]


class ApiAnswers:
    """A program is never answered with a page."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if not request.path.startswith(PREFIX):
            return response
        said = response.headers.get("Content-Type", "")
        if response.status_code >= HTTPStatus.BAD_REQUEST and said != problems.CONTENT_TYPE:
            allow = response.headers.get("Allow")
            response = problems.answer(problems.of_status(response.status_code))
            if allow:
                response.headers["Allow"] = allow
        response.headers["Cache-Control"] = "no-store"
        return response
