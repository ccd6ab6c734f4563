"""Polls that wait in, the hub's own `Front` and `Watch` between, answers out: an event loop in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from interlock.clock import Clock
from interlock.protocol import hubapi
from interlock.sim.simulator.schedule import Schedule

TURNS = 8
"""Turns of the loop after which nothing of ours is still ready: the longest chain of awaits has five."""

HUNG_UP = 0
"""The status of an answer that never came because the hub's process ended."""

Answered = Callable[[int, Mapping[str, str], bytes], None]


class VirtualLoop(asyncio.SelectorEventLoop):
    """asyncio whose time is the schedule's and which never waits."""

    def __init__(self, schedule: Schedule) -> None:
        super().__init__()
        self._schedule = schedule

    def time(self) -> float:
        """Seconds of the run."""
        return self._schedule.now_us / 1e6

    def settle(self) -> None:
        """Everything that can happen now has happened."""
        for _ in range(TURNS):
            self.call_soon(self.stop)
            self.run_forever()


class Polls:
    """Everybody who waits at one process of the hub."""

    def __init__(self, schedule: Schedule, clock: Clock) -> None:
        from interlock.hub.front import Front
        from interlock.hub.waiting import Waiting
        from interlock.hub.watch import Watch

        self._schedule = schedule
        self._loop = VirtualLoop(schedule)
        self._open: list[asyncio.Task[None]] = []
        self._front = Front(_nobody)
        self._waiting = Waiting(lambda cookie: None, heard=lambda *said: self._watch.heard(*said))
        self._front.waiting = self._waiting
        self._watch = Watch(self._waiting.publish, clock)

    def look(self) -> None:
        """As the watch's thread: what changed is told to whom it concerns."""
        if not self._loop.is_closed():
            self._watch._look(True)
            self._loop.settle()

    def begin(self, query: str, authorization: str, answered: Answered) -> Callable[[], None]:
        """A poll waits; the function returned hangs it up."""
        gone = asyncio.Event()
        heard: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            heard.append(dict(message))
            if message["type"] == "http.response.body" and not gone.is_set():
                headers = {
                    name.decode().title(): value.decode() for name, value in heard[0]["headers"]
                }
                answered(heard[0]["status"], headers, message["body"])

        scope = {
            "type": "http",
            "method": "GET",
            "path": hubapi.PATH_CHANGES,
            "scheme": "http",
            "query_string": query.encode(),
            "headers": [(b"authorization", authorization.encode())],
        }

        async def poll() -> None:
            try:
                await self._front(scope, receive, send)
            except asyncio.CancelledError:
                answered(HUNG_UP, {}, b"")

        # The loop itself holds its tasks only weakly.
        self._open.append(self._loop.create_task(poll()))
        self._open = [task for task in self._open if not task.done()]
        self._loop.settle()
        self._schedule.at(
            self._schedule.now_us + (hubapi.WAIT_S_MAX + 1) * 1_000_000, self._settle_open
        )

        def hang_up() -> None:
            gone.set()
            self._settle_open()

        return hang_up

    def close(self) -> None:
        """The process ends: nobody is answered any more."""
        if self._loop.is_closed():
            return
        for task in self._open:
            task.cancel()
        self._loop.settle()
        self._loop.close()

    def _settle_open(self) -> None:
        if not self._loop.is_closed():
            self._loop.settle()


async def _nobody(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("only polls wait here")
