"""Requests in, Django's answers out: each whole request is one piece of work for one of a few threads.

Django's own handler goes from the event loop to a thread and back for every middleware that knows only one of
the two worlds, half a dozen times a request, in a thread and on a database connection made for that request. With
500 nodes at the door the one interpreter did little else.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.core import signals
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.http import HttpResponseBase
from django.urls import set_script_prefix

THREADS = 32
"""Pages that compute at the same time; whoever comes then waits for one of them, not for memory."""


class Threaded(ASGIHandler):
    """The ASGI application of Django, for views and middleware that know nothing of event loops: all of ours."""

    def __init__(self, threads: int = THREADS) -> None:
        super().__init__()
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="django")

    def load_middleware(self, is_async: bool = False) -> None:
        """The chain without an event loop, whatever Django's handler asks for."""
        super().load_middleware(is_async=False)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """One request, whose body is read before a thread is taken."""
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        context = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        with body:
            response = await loop.run_in_executor(
                self._threads, context.run, self._answered, scope, body
            )
            await self.send_response(response, send)

    def _answered(self, scope: MutableMapping[str, Any], body: Any) -> HttpResponseBase:
        set_script_prefix(get_script_prefix(scope))
        signals.request_started.send(sender=type(self), scope=scope)
        request, refused = self.create_request(scope, body)
        # Django names both as optional; it is the one or the other.
        response = refused or self.get_response(request)  # type: ignore[arg-type]
        # The answer is in memory; what the request held (files, its transaction's connection) goes now.
        response.close()
        return response
