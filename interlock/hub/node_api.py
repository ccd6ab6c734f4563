"""What a node's sync asks over HTTP: hello, records, snapshot, interlocks, commands; `changes` waits in asgi.py.

Whatever arrives, the answer is JSON (protocol.hubapi) or a signed file: 200, or 4xx with nothing
changed. A node proves itself by its credential; revoking it counts from the next request on.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from interlock.errors import ProtocolError
from interlock.hub import neighbours
from interlock.hub.domain.commands import note_answer
from interlock.hub.hellos import Said, answers_to
from interlock.hub.ingest import take
from interlock.hub.models import Node
from interlock.hub.snapshots import body_of
from interlock.hub.timeline import moment
from interlock.protocol import canonical, fields, hubapi
from interlock.protocol.commands import NUMBER_BYTES

View = Callable[[HttpRequest], HttpResponse]
Answer = Callable[[HttpRequest, Node], HttpResponse]

CREDENTIAL_LENGTH_MAX = 64


def error(status: int, code: str, message: str, **more: Any) -> JsonResponse:
    """The one shape of every refusal: a word for programs, a sentence for people."""
    answer = {"v": hubapi.VERSION, "error": code, "message": message, **more}
    return JsonResponse(answer, status=status)


def credential_hash(authorization: str) -> bytes | None:
    """SHA-256 of the credential in `Authorization: Bearer CREDENTIAL`, None when there is none."""
    scheme, _, credential = authorization.partition(" ")
    if scheme.lower() != "bearer" or not 0 < len(credential) <= CREDENTIAL_LENGTH_MAX:
        return None
    return sha256(credential.encode()).digest()


def for_node(method: str) -> Callable[[Answer], View]:
    """A view for nodes: of that method, from a node that is known and not revoked."""

    def decorate(answer: Answer) -> View:
        @csrf_exempt
        def view(request: HttpRequest) -> HttpResponse:
            if request.method != method:
                return error(405, "method", f"Use {method} here")
            node = _authenticated(request)
            if node is None:
                return error(401, "credential", "This node is unknown here, or was revoked")
            try:
                return answer(request, node)
            except ProtocolError as malformed:
                return error(400, "malformed", str(malformed))

        return view

    return decorate


@csrf_exempt
def hello(request: HttpRequest) -> HttpResponse:
    """Signed time for the node's nonce, the hub's head and the current snapshot's version (hub.hellos, which
    answers them in groups before they come here)."""
    if request.method != "POST":
        return error(405, "method", "Use POST here")
    credential = credential_hash(request.headers.get("Authorization", ""))
    (answer,) = answers_to([Said(credential, request.body)], settings.HUB_CLOCK)
    return JsonResponse(answer.body, status=answer.status)


@for_node("POST")
def records(request: HttpRequest, node: Node) -> HttpResponse:
    """A batch, stored once; the head up to which the hub now holds everything."""
    message = _message(request)
    wires = fields.objects(message, "records", length_max=hubapi.BATCH_RECORDS_MAX)
    taken = take(node, wires, settings.HUB_CLOCK)
    return JsonResponse({"v": hubapi.VERSION, **taken.to_wire()})


@for_node("GET")
def snapshot(request: HttpRequest, node: Node) -> HttpResponse:
    """The signed file of the current version."""
    return HttpResponse(body_of(node), content_type="application/x-ndjson")


@for_node("POST")
def interlocks(request: HttpRequest, node: Node) -> HttpResponse:
    """The node's own levels are kept; those of others that it waits for."""
    message = _message(request)
    own, wanted = neighbours.read_levels(message), neighbours.read_wanted(message)
    said = neighbours.read_moment(message)
    known = neighbours.exchange(node, own, wanted, said, settings.HUB_CLOCK)
    closed = {name: word.closed for name, word in known.items()}
    ages_ms = {name: word.age_ms for name, word in known.items()}
    return JsonResponse({"v": hubapi.VERSION, "interlocks": closed, "ages_ms": ages_ms})


@for_node("POST")
def commands(request: HttpRequest, node: Node) -> HttpResponse:
    """What became of a command is known."""
    message = _message(request)
    note_answer(
        node,
        fields.text(message, "number", length_max=2 * NUMBER_BYTES),
        done=fields.flag(message, "done"),
        answer=fields.text(message, "answer", length_max=hubapi.ANSWER_LENGTH_MAX),
        at=moment(settings.HUB_CLOCK.wall_ms()),
    )
    return JsonResponse({"v": hubapi.VERSION})


def _authenticated(request: HttpRequest) -> Node | None:
    hashed = credential_hash(request.headers.get("Authorization", ""))
    if hashed is None:
        return None
    known = Node.objects.select_related("lab", "machine")
    return known.filter(credential_hash=hashed, revoked_at=None).first()


def _message(request: HttpRequest) -> dict[str, Any]:
    message = canonical.loads(request.body, where="request", bytes_max=hubapi.BATCH_BYTES_MAX)
    fields.integer(message, "v", low=hubapi.VERSION, high=hubapi.VERSION)
    return message
