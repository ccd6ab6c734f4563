"""Whatever goes wrong in the API to one shape: problem+json (RFC 9457) that says what, where and what to do."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError

from interlock.errors import InterlockError

CONTENT_TYPE = "application/problem+json"
_CODES = {
    400: "malformed",
    401: "token",
    403: "role",
    404: "not_found",
    405: "method",
    409: "conflict",
    413: "body",
    415: "malformed",
    422: "invalid",
    429: "too_many",
}


class Problem(Exception):
    """A refusal of the API, ready to be told."""

    def __init__(
        self,
        status: int,
        code: str,
        what: str,
        *,
        where: str = "",
        remedy: str = "",
        wait_s: int = 0,
    ) -> None:
        super().__init__(what)
        self.status, self.code = status, code
        self.what, self.where, self.remedy = what, where, remedy
        self.wait_s = wait_s


def answer(problem: Problem) -> HttpResponse:
    """The problem as an HTTP answer."""
    told = {
        "status": problem.status,
        "code": problem.code,
        "title": HTTPStatus(problem.status).phrase,
        "what": problem.what,
        "where": problem.where,
        "remedy": problem.remedy,
    }
    response = HttpResponse(
        json.dumps(told, ensure_ascii=False), status=problem.status, content_type=CONTENT_TYPE
    )
    if problem.wait_s:
        response["Retry-After"] = str(problem.wait_s)
    return response


def of_status(status: int) -> Problem:
    """What is told when something before or behind the API refused without words of its own."""
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        what, remedy = _("the hub failed"), _("Its log says why; nothing was changed")
    elif status == HTTPStatus.NOT_FOUND:
        what, remedy = _("there is nothing at this address"), _("See /api/v1/openapi.json")
    elif status == HTTPStatus.METHOD_NOT_ALLOWED:
        what, remedy = _("this address is not asked like that"), _("See /api/v1/openapi.json")
    else:
        what, remedy = _("the request cannot be read"), _("See /api/v1/openapi.json")
    return Problem(
        status, _CODES.get(status, "hub" if status >= 500 else "malformed"), what, remedy=remedy
    )


def install(api: NinjaAPI) -> None:
    """Every exception that a view of `api` may end with is told as a problem."""

    def tell(request: HttpRequest, error: Any) -> HttpResponse:
        return answer(problem_of(error))

    for kind in (
        *(Problem, ValidationError, HttpError, AuthenticationError),
        *(InterlockError, PermissionDenied, Http404),
    ):
        api.add_exception_handler(kind, tell)


def problem_of(error: Exception) -> Problem:
    """What is told of an exception that is somebody's mistake."""
    match error:
        case Problem():
            return error
        case InterlockError():
            return Problem(409, "conflict", error.what, where=error.where, remedy=error.remedy)
        case PermissionDenied():
            what = _("whoever made this token may not do that any more")
            return Problem(403, "role", what, remedy=_("Ask for a new token in the settings"))
        case Http404():
            return Problem(404, "not_found", str(error) or _("there is no such thing"))
        case ValidationError():
            return _invalid(error)
        case AuthenticationError():
            what = _("this token is unknown, was revoked or has expired")
            remedy = _("Make a new one: interlock hub api-token add")
            return Problem(401, "token", what, where="Authorization", remedy=remedy)
        case HttpError():
            return of_status(error.status_code)
    raise error


def _invalid(error: ValidationError) -> Problem:
    """The first field that is not as it should be; what was given is not repeated: it may be a secret."""
    first = error.errors[0] if error.errors else {}
    path = [str(part) for part in first.get("loc", ())]
    # ninja names the parameter of our function between "body" and the field: nobody outside knows it.
    where = ".".join([path[0], *path[2:]] if len(path) > 2 and path[0] == "body" else path)
    return Problem(
        422, "invalid", str(first.get("msg", _("this is not what was asked"))), where=where
    )
