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
from interlock.hub import health, neighbours
from interlock.hub.domain.commands import note_answer
from interlock.hub.greeting import ChainDiffers, greet, read_hello
from interlock.hub.ingest import take
from interlock.hub.models import Node
from interlock.hub.snapshots import body_of, current_version
from interlock.hub.timeline import moment
from interlock.protocol import canonical, fields, hubapi
from interlock.protocol.authority import signed_authorities
from interlock.protocol.commands import NUMBER_BYTES
from interlock.protocol.hubtime import HubTime, signed_time

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
            except ChainDiffers as differs:
                return error(409, differs.code, str(differs))
            except ProtocolError as malformed:
                return error(400, "malformed", str(malformed))

        return view

    return decorate


@for_node("POST")
def hello(request: HttpRequest, node: Node) -> HttpResponse:
    """Signed time for the node's nonce, the hub's head and the current snapshot's version.

    A node with another journal gets no head, but time and version all the same: a badge that was
    revoked has to be refused there too.
    """
    message = _message(request)
    said = read_hello(message)
    trusts = health.report(node, message, settings.HUB_CLOCK)
    more = {} if trusts is None else _authorities(node, trusts)
    try:
        answer = greet(node, said, settings.HUB_CLOCK)
    except ChainDiffers as differs:
        answer = _time_and_version(node, said.nonce, differs.branch)
        return error(409, differs.code, str(differs), **answer, **more)
    return JsonResponse({"v": hubapi.VERSION, **answer, **more})


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
    known = neighbours.exchange(node, own, wanted, settings.HUB_CLOCK)
    return JsonResponse({"v": hubapi.VERSION, "interlocks": known})


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


def _time_and_version(node: Node, nonce: bytes, branch: int | None) -> dict[str, Any]:
    version, wall_ms = current_version(node), settings.HUB_CLOCK.wall_ms()
    time = HubTime(node.lab.slug, node.slug, nonce, wall_ms, version, branch)
    return {
        "time": signed_time(settings.HUB.signing_key(), time),
        "version": list(version),
    }


def _authorities(node: Node, known: int) -> dict[str, Any]:
    """Who may sign the hub's certificate, now and next, when the node's list is another one: so it is
    replaced without a visit."""
    trusted = settings.HUB.certificates(settings.HUB_CLOCK).trusted(node.lab.slug)
    if trusted.serial == known:
        return {}
    return {"authorities": signed_authorities(settings.HUB.signing_key(), trusted)}


def _message(request: HttpRequest) -> dict[str, Any]:
    message = canonical.loads(request.body, where="request", bytes_max=hubapi.BATCH_BYTES_MAX)
    fields.integer(message, "v", low=hubapi.VERSION, high=hubapi.VERSION)
    return message
