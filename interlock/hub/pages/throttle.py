"""Sign-ins go in before they are tried; how long each has to wait comes out. In memory, bounded.

A try counts from the moment it is let through, under one lock, so that forty at once are no more than
forty one after the other. What is counted, known to the hub or not, so that the answer tells nothing
about who has an account:

    name at an address    strictly: a stranger who tries my name from elsewhere does not lock me out
    name, address alone   loosely: many addresses on one name, or one address on many names

Who has signed in from an address before is not held up there by what others do.
"""

from __future__ import annotations

import ipaddress
import threading
from collections import OrderedDict
from dataclasses import dataclass

from interlock.clock import Clock

FREE_TRIES = 5
"""Somebody who mistypes notices before the sixth time."""
PAUSE_MS = 60_000
"""One try a minute is nothing for a person and hopeless for a list of passwords."""
FREE_TRIES_LOOSE = 50
"""A class that signs in behind one address, each mistyping twice."""
PAUSE_LOOSE_MS = 5_000
"""17,000 tries a day at most; longer, and one stranger at a try a minute would fill it for others."""
FORGET_MS = 15 * 60_000
"""After a quarter of an hour without a failure the count begins anew."""
NAMES_MAX = 1_000
"""More than a lab has sign-ins in a quarter of an hour; beyond it the smallest count is forgotten."""
IPV6_PREFIX_BITS = 64
"""One household holds that many addresses (RFC 6177): they count as one."""

Key = tuple[str, str]
"""(name, address); an empty part stands for all."""


@dataclass(frozen=True, slots=True)
class _Limit:
    free_tries: int
    pause_ms: int


_STRICT = _Limit(FREE_TRIES, PAUSE_MS)
_LOOSE = _Limit(FREE_TRIES_LOOSE, PAUSE_LOOSE_MS)


class Throttle:
    """Counts tries by name and address; `clock` says when. Any thread may call."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._tries: dict[Key, tuple[int, int]] = {}
        self._known: OrderedDict[Key, None] = OrderedDict()

    def begin(self, name: str, address: str) -> int:
        """Seconds until a try is allowed; with 0 it is allowed, and counted as wrong until
        `succeeded` says otherwise."""
        now_ms = self._clock.boot_ms()
        pair = _pair(name, address)
        with self._lock:
            limits = self._limits(pair)
            wait_ms = max(self._wait_ms(key, limit, now_ms) for key, limit in limits.items())
            if wait_ms == 0:
                for key in limits:
                    self._count(key, now_ms)
        return -(-wait_ms // 1_000)

    def succeeded(self, name: str, address: str) -> None:
        """The right password forgets the wrong ones that were typed at this address."""
        pair = _pair(name, address)
        with self._lock:
            for key in self._limits(pair):
                count, last_ms = self._tries.pop(key, (0, 0))
                if key != pair and count > 1:
                    self._tries[key] = (count - 1, last_ms)
            self._known[pair] = None
            self._known.move_to_end(pair)
            while len(self._known) > NAMES_MAX:
                self._known.popitem(last=False)

    def _limits(self, pair: Key) -> dict[Key, _Limit]:
        """What counts for a try of this name at this address."""
        if pair in self._known:
            return {pair: _STRICT}
        name, address = pair
        return {pair: _STRICT, (name, ""): _LOOSE, ("", address): _LOOSE}

    def _wait_ms(self, key: Key, limit: _Limit, now_ms: int) -> int:
        count, last_ms = self._tries.get(key, (0, 0))
        if count < limit.free_tries or now_ms - last_ms >= FORGET_MS:
            return 0
        return max(0, last_ms + limit.pause_ms - now_ms)

    def _count(self, key: Key, now_ms: int) -> None:
        count, last_ms = self._tries.get(key, (0, now_ms))
        if now_ms - last_ms >= FORGET_MS:
            count = 0
        self._tries[key] = (count + 1, now_ms)
        if len(self._tries) > NAMES_MAX:
            # Not the oldest: junk would push out the very count that protects somebody.
            del self._tries[min(self._tries, key=self._tries.__getitem__)]


def _pair(name: str, address: str) -> Key:
    return name.strip().casefold(), household_of(address)


def household_of(address: str) -> str:
    """What counts as one address: an IPv4 address, or the network of a household (RFC 6177)."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    return str(ipaddress.ip_network((parsed, IPV6_PREFIX_BITS), strict=False))
