"""Sync's calls in, the hub's answers out late, twice, damaged, or never: the network of one node in virtual time."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any
from urllib.parse import urlencode

import requests
from requests.structures import CaseInsensitiveDict

from interlock.protocol.credentials import HubAccess
from interlock.sim.simulator.full.fibers import Fiber
from interlock.sim.simulator.full.hub import RealHub, Reply, Request
from interlock.sim.simulator.full.polls import HUNG_UP
from interlock.sim.simulator.schedule import Schedule
from interlock.sync.hub_client import HubClient

REFUSED_US = 1_000_000
"""A host that is not there is reported by ARP or a router within a second or so."""
LATE_US = 60_000_000
LOSS = 0.3
GARBAGE = 0.4


class HungUp(requests.ConnectionError):
    """The other end is gone."""


class Wire:
    """The way from one node to the hub. `manner`: `ok` or one of `life_of_a_lab.MANNERS`."""

    def __init__(
        self,
        node: int,
        hub: RealHub,
        schedule: Schedule,
        chance: Random,
        is_linked: Callable[[], bool],
    ) -> None:
        self.manner = "ok"
        self.identity = node
        """Whose credential is shown: the node's own, unless it has a copy of another's card."""
        self.faults: Counter[str] = Counter()
        self.trouble_us = 0
        """When anything last went wrong on it."""
        self._node, self._hub, self._schedule, self._chance = node, hub, schedule, chance
        self._is_linked = is_linked

    @property
    def is_well(self) -> bool:
        """Whether everything passes just now."""
        return self.manner == "ok" and self._is_linked() and not self._hub.is_down

    def call(self, fiber: Fiber, request: Request, total_us: int) -> Reply:
        """The hub's answer. Raises requests' errors; waits as long as a socket would."""
        if not self._is_linked() or self._hub.is_down:
            self._went_wrong("unreachable")
            fiber.pause(min(REFUSED_US, total_us))
            raise HungUp
        number = fiber.wait + 1
        self._later(self._travel_us(), lambda: self._arrive(fiber, number, request))
        answer = fiber.pause(total_us)
        if answer is None:
            self._went_wrong("timeout")
            raise requests.ReadTimeout
        if not isinstance(answer, Reply):
            raise HungUp
        return answer

    def _arrive(self, fiber: Fiber, number: int, request: Request) -> None:
        if not self._passes("request lost"):
            return
        if self._hub.is_down:
            self._went_wrong("hub down")
            fiber.answer(number, HungUp)
            return
        if self.manner == "doubling":
            self._went_wrong("doubled")
            late_us = self._chance.randrange(1_000, LATE_US)
            self._later(late_us, lambda: self._again(request))
        self._hub.handle(self.identity, request, lambda reply: self._back(fiber, number, reply))

    def _again(self, request: Request) -> None:
        """The same bytes once more, much later: nobody waits for this answer."""
        if not self._hub.is_down and not request.path.endswith("/changes"):
            self._hub.handle(self.identity, request, lambda reply: None)

    def _back(self, fiber: Fiber, number: int, reply: Reply) -> None:
        if reply.status == HUNG_UP:
            self._went_wrong("hung up")
            fiber.answer(number, HungUp)
            return
        if self.manner == "garbage" and self._chance.random() < GARBAGE:
            self._went_wrong("garbage")
            reply = self._damaged(reply)
        self._later(self._travel_us(), lambda: self._deliver(fiber, number, reply))

    def _deliver(self, fiber: Fiber, number: int, reply: Reply) -> None:
        if self.manner != "half_open" and self._passes("answer lost"):
            fiber.answer(number, reply)
        elif self.manner == "half_open":
            self._went_wrong("half open")

    def _passes(self, what: str) -> bool:
        lossy = self.manner == "lossy" and self._chance.random() < LOSS
        if lossy or self.manner == "silent" or not self._is_linked():
            self._went_wrong(what)
            return False
        return True

    def _damaged(self, reply: Reply) -> Reply:
        chance = self._chance
        body = bytearray(reply.body)
        match chance.randrange(4):
            case 0 if body:
                body[chance.randrange(len(body))] ^= 1 << chance.randrange(8)
            case 1:
                del body[chance.randrange(len(body) + 1) :]
            case 2:
                return Reply(200, {"Content-Type": "text/html"}, b"<html>Log in to the WLAN", 0)
            case _:
                return Reply(chance.choice([302, 404, 500, 502, 503]), {}, b"", 0)
        return Reply(reply.status, reply.headers, bytes(body), reply.era)

    def _travel_us(self) -> int:
        if self.manner == "slow":
            self._went_wrong("slow")
            return self._chance.randrange(300_000, 6_000_000)
        return self._chance.randrange(1_000, 40_000)

    def _went_wrong(self, what: str) -> None:
        self.faults[what] += 1
        self.trouble_us = self._schedule.now_us

    def _later(self, us: int, act: Callable[[], None]) -> None:
        self._schedule.at(self._schedule.now_us + us, act, self._node)


class VirtualHubClient(HubClient):
    """The real client, whose connections are pauses of its fiber."""

    fiber: Fiber

    def __init__(self, access: HubAccess, wire: Wire, **options: Any) -> None:
        super().__init__(access, **options)
        self._wire, self._access = wire, access
        self.era = 0

    @contextmanager
    def _call(
        self, method: str, path: str, *, read_s: float, total_s: float, **options: Any
    ) -> Iterator[requests.Response]:
        request = Request(
            method,
            path,
            f"Bearer {self._access.credential}",
            urlencode(options.get("params", {})),
            options.get("data", b""),
        )
        try:
            yield self._response(self._wire.call(self.fiber, request, round(read_s * 1e6)))
        except (requests.RequestException, OSError, ValueError) as error:
            raise self._fault(f"{type(error).__name__}") from error

    def _response(self, reply: Reply) -> requests.Response:
        self.era = reply.era
        response = requests.Response()
        response.status_code = reply.status
        response.headers = CaseInsensitiveDict(reply.headers)
        response.raw = io.BytesIO(reply.body)
        return response

    def cut(self) -> None:
        """As by the guillotine: whoever waits in a call is told that it broke."""
        self.fiber.answer(self.fiber.wait, HungUp)
