"""A request is one piece of work of one thread, whose database connection outlives it; never more than so many."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from django.db import connection
from django.http import HttpRequest, HttpResponse

from interlock.hub import threads
from interlock.hub.threads import Threaded

pytestmark = pytest.mark.fast

Message = dict[str, Any]


class Chain:
    """In the place of middleware and views: which threads, how many at once."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, bytes]] = []
        self.inside = self.most = 0
        self._lock = threading.Lock()
        self.all_in = threading.Barrier(2)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
            self.seen.append((threading.current_thread().name, request.body))
        self.all_in.wait(20)
        with self._lock:
            self.inside -= 1
        return HttpResponse(request.body)


def asked(application: Threaded, bodies: list[bytes]) -> list[list[Message]]:
    """What each of so many clients at the same time is sent."""

    async def ask(body: bytes) -> list[Message]:
        sent: list[Message] = []
        parts = iter(
            [
                {"type": "http.request", "body": body[:1], "more_body": True},
                {"type": "http.request", "body": body[1:], "more_body": False},
            ]
        )

        async def receive() -> Message:
            return next(parts)

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": "/x", "headers": [], "query_string": b""}
        await application(scope, receive, send)
        return sent

    async def all_of_them() -> list[list[Message]]:
        return await asyncio.gather(*(ask(body) for body in bodies))

    return asyncio.run(all_of_them())


@pytest.mark.django_db
def test_no_more_requests_compute_than_there_are_threads_and_each_gets_its_own_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    application, chain = Threaded(threads=2), Chain()
    monkeypatch.setattr(application, "get_response", chain)
    bodies = [b"%d!" % n for n in range(8)]
    answers = asked(application, bodies)
    assert [answer[1]["body"] for answer in answers] == bodies
    assert chain.most == 2
    assert len({thread for thread, _ in chain.seen}) == 2


def test_nothing_between_middleware_and_view_leaves_its_thread() -> None:
    application = Threaded(threads=1)
    assert not asyncio.iscoroutinefunction(vars(application)["_middleware_chain"])


def test_a_client_that_leaves_in_the_middle_of_its_body_takes_no_thread() -> None:
    application = Threaded(threads=1)

    async def leave() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        raise AssertionError("nobody is there to be answered")

    scope = {"type": "http", "method": "POST", "path": "/x", "headers": [], "query_string": b""}
    asyncio.run(application(scope, leave, send))
    assert not application._threads._threads


def test_a_connection_to_the_database_is_kept_for_the_threads_next_request() -> None:
    assert connection.settings_dict["CONN_MAX_AGE"] is None
    assert threads.THREADS * 3 < 200, "each holds three descriptors of connections.py's account"
