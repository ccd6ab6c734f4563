"""GET /metrics: a monitor's token in, the figures of its lab in Prometheus' text format out."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET
from ninja.errors import AuthenticationError

from interlock.hub.api import problems
from interlock.hub.api.access import BearerToken
from interlock.hub.api.problems import Problem
from interlock.hub.domain.tokens import Scope
from interlock.hub.waiting import Waiting

_token = BearerToken(Scope.METRICS_READ)


@require_GET
@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    """The figures; without a token made for them, what every call of the API is refused with."""
    # No command and no page waits for a library that only a monitor needs.
    from interlock.hub.metrics import CONTENT_TYPE, Feed, exposition

    try:
        caller = _token(request)
        if caller is None:
            raise AuthenticationError
    except (Problem, PermissionDenied, AuthenticationError) as error:
        return problems.answer(problems.problem_of(error))
    waiting = _waiting_here()
    feed = Feed() if waiting is None else Feed(waiting.listening, waiting.streams)
    told = exposition(caller.lab, caller.actor.now(), feed)
    return HttpResponse(told, content_type=CONTENT_TYPE)


def _waiting_here() -> Waiting | None:
    """Who waits in this process; None where no server runs."""
    # The server's own application: it is there before any request, and asleep in a test.
    from interlock.hub.asgi import application

    return application.waiting
