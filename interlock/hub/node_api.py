"""What a node's sync asks over HTTP: hello, records and snapshot; `changes` waits in asgi.py."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt


@csrf_exempt
def hello(request: HttpRequest) -> HttpResponse:
    """Answered from the next commit on."""
    return HttpResponse(status=501)


@csrf_exempt
def records(request: HttpRequest) -> HttpResponse:
    """Answered from the next commit on."""
    return HttpResponse(status=501)


def snapshot(request: HttpRequest) -> HttpResponse:
    """Answered from the next commit on."""
    return HttpResponse(status=501)
