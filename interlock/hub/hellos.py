"""Nodes' hellos in, their answers out: a group at a time, one transaction and one commit for all of it.

After a restart every node says hello within a second or two, and each in a transaction of its own would take the
hub's one writer and one interpreter from its pages for as long. There is no timer: what arrives while one group
is at work is the next group, so a lone hello waits for nobody, and 500 at once are a dozen commits. An answer
leaves only after the commit of its group: what a node is told was kept cannot be lost by a power cut.

One node is in a group once (its next hello is met after the first was), and a group that fails is met again one
by one, so that nobody's hello spoils another's.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import close_old_connections, connections

from interlock.clock import Clock
from interlock.errors import ProtocolError
from interlock.hub import health
from interlock.hub.greeting import ChainDiffers, Hello, greet_all, read_hello
from interlock.hub.models import Lab, Node
from interlock.protocol import canonical, fields, hubapi
from interlock.protocol.authority import signed_authorities

GROUP_MAX = 50
"""About 50 ms of work: a page that comes meanwhile waits no longer for the writer."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Said:
    """One hello as it arrived: the hash of its sender's credential (None: it has none), and its body."""

    credential: bytes | None
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What its sender is told, as JSON."""

    status: int
    body: dict[str, Any]


Meet = Callable[[Sequence[Said]], list[Answer]]


def answers_to(said: Sequence[Said], clock: Clock) -> list[Answer]:
    """The answer to each, in their order; every one of them is committed. No node may be in it twice.

    A node with another journal gets no head, but time and version all the same.
    """
    nodes = _nodes_of(said)
    answers: dict[int, Answer] = {}
    hellos: dict[int, Hello] = {}
    told: dict[int, dict[str, Any]] = {}
    for number, one in enumerate(said):
        node = nodes.get(one.credential or b"")
        if node is None:
            answers[number] = _UNKNOWN
            continue
        try:
            message = _message(one.body)
            hellos[node.pk], told[node.pk] = read_hello(message), message
        except ProtocolError as malformed:
            answers[number] = _refused(400, "malformed", str(malformed))
    trusts = health.report(told, clock)
    met = greet_all(hellos, clock)
    authorities = _Authorities(clock)
    for number, one in enumerate(said):
        if number not in answers:
            node = nodes[one.credential or b""]
            more = authorities.news_for(node.lab, trusts[node.pk])
            answers[number] = _answer(met.get(node.pk), more)
    return [answers[number] for number in range(len(said))]


def _nodes_of(said: Sequence[Said]) -> dict[bytes, Node]:
    """Who they are, by credential: read from the database, so that a revoked one is nobody at once."""
    known = Node.objects.select_related("lab").filter(
        credential_hash__in=[one.credential for one in said if one.credential is not None],
        revoked_at=None,
    )
    return {bytes(node.credential_hash): node for node in known}


def _message(body: bytes) -> dict[str, Any]:
    message = canonical.loads(body, where="request", bytes_max=hubapi.BATCH_BYTES_MAX)
    fields.integer(message, "v", low=hubapi.VERSION, high=hubapi.VERSION)
    return message


def _answer(met: dict[str, Any] | ChainDiffers | None, more: dict[str, Any]) -> Answer:
    if met is None:
        return _UNKNOWN
    if isinstance(met, ChainDiffers):
        return _refused(409, met.code, str(met), **met.answer, **more)
    return Answer(200, {"v": hubapi.VERSION, **met, **more})


def _refused(status: int, code: str, message: str, **more: Any) -> Answer:
    return Answer(status, {"v": hubapi.VERSION, "error": code, "message": message, **more})


_UNKNOWN = _refused(401, "credential", "This node is unknown here, or was revoked")
_FAILED = _refused(500, "failed", "The hub could not keep this hello; say it again")


class _Authorities:
    """Who may sign the hub's certificate, now and next, as each lab is told: read once for a group."""

    def __init__(self, clock: Clock) -> None:
        self._certificates = settings.HUB.certificates(clock)
        self._trusted: dict[int, tuple[int, dict[str, Any]]] = {}

    def news_for(self, lab: Lab, known: int | None) -> dict[str, Any]:
        """What a node of that lab is told when its list is another one: so it is replaced without a visit."""
        if known is None:
            return {}
        if lab.pk not in self._trusted:
            trusted = self._certificates.trusted(lab.slug)
            signed = signed_authorities(settings.HUB.signing_key(), trusted)
            self._trusted[lab.pk] = trusted.serial, {"authorities": signed}
        serial, news = self._trusted[lab.pk]
        return {} if serial == known else news


class Hellos:
    """An ASGI application for hellos alone: one group at work, the next one gathering."""

    def __init__(self, meet: Meet | None = None) -> None:
        self._meet = meet or (lambda said: answers_to(said, settings.HUB_CLOCK))
        self._waiting: list[tuple[Said, asyncio.Future[Answer]]] = []
        self._work: asyncio.Task[None] | None = None
        # One thread, and so one connection: groups would only wait for each other.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="hellos")

    async def answer(self, credential: bytes | None, receive: Any, send: Any) -> None:
        """One hello; a client that leaves before its end is not heard."""
        body = b""
        more = True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
        told: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((Said(credential, body), told))
        if self._work is None:
            self._work = asyncio.create_task(self._go_on())
        await _send(send, await told)

    def close(self) -> None:
        """Its thread and its connection have ended; nobody says hello any more."""
        self._thread.submit(connections.close_all).result()
        self._thread.shutdown()

    async def _go_on(self) -> None:
        """Until nobody waits."""
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                group = self._next_group()
                said = [one for one, _ in group]
                answers = await loop.run_in_executor(self._thread, self._met, said)
                for (_, told), answer in zip(group, answers, strict=True):
                    if not told.done():
                        told.set_result(answer)
        finally:
            self._work = None

    def _next_group(self) -> list[tuple[Said, asyncio.Future[Answer]]]:
        group: list[tuple[Said, asyncio.Future[Answer]]] = []
        later: list[tuple[Said, asyncio.Future[Answer]]] = []
        names: set[bytes | None] = set()
        for one in self._waiting:
            is_next = len(group) < GROUP_MAX and one[0].credential not in names
            (group if is_next else later).append(one)
            names.add(one[0].credential)
        self._waiting = later
        return group

    def _met(self, said: Sequence[Said]) -> list[Answer]:
        """In the thread. Whatever fails for all of them is tried for each."""
        try:
            close_old_connections()
            return self._meet(said)
        except Exception:
            log.exception("%d hellos could not be kept", len(said))
        if len(said) == 1:
            return [_FAILED]
        return [self._met([one])[0] for one in said]


async def _send(send: Any, answer: Answer) -> None:
    content = json.dumps(answer.body).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(content)).encode()),
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
