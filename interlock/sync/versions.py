"""Which snapshot the node has, the hub has, the spool offered: courier and fetcher tell and ask.

The courier learns versions from every hello, the fetcher from the long poll. Whatever was heard
last counts, so that a wrong answer heals itself with the next one.
"""

from __future__ import annotations

from threading import Lock

from interlock.protocol.snapshots import SnapshotVersion
from interlock.sync.links import NO_VERSION

OFFER_AGAIN_MS = 60_000
"""A snapshot the node did not switch to is downloaded and offered again after this long: building
100,000 badges takes it seconds, and a damaged file must not become a loop of downloads."""

WATCH_MS = 15_000
"""How long after an offer the courier looks for the switch, to confirm it to the hub at once."""


class Versions:
    """Safe to use from both threads; every method returns at once."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._node: SnapshotVersion | None = None
        self._hub = NO_VERSION
        self._offered = NO_VERSION
        self._offered_at_ms = 0

    @property
    def node(self) -> SnapshotVersion | None:
        """The version the node decides by; None until it was asked once."""
        return self._node

    def learn(self, *, node: SnapshotVersion, hub: SnapshotVersion) -> None:
        """Both versions as a hello told them."""
        with self._lock:
            self._node, self._hub = node, hub

    def decides_by(self, node: SnapshotVersion) -> None:
        """The node's version as the node told it, whatever becomes of the hello to the hub."""
        with self._lock:
            self._node = node

    def heard(self, hub: SnapshotVersion) -> None:
        """The hub's version as the long poll told it."""
        with self._lock:
            self._hub = hub

    def offered(self, version: SnapshotVersion, now_ms: int) -> None:
        """The node was told of `version` in the spool (and may have refused it)."""
        with self._lock:
            self._offered, self._offered_at_ms = version, now_ms

    def wanted(self, now_ms: int) -> SnapshotVersion | None:
        """The version to download now, None when the node has it or is still busy with it."""
        with self._lock:
            if self._node is None or self._hub <= self._node:
                return None
            resting = now_ms < self._offered_at_ms + OFFER_AGAIN_MS
            return None if resting and self._hub <= self._offered else self._hub

    def since(self) -> SnapshotVersion:
        """What the long poll asks to hear news after."""
        with self._lock:
            return max(self._node or NO_VERSION, self._offered)

    def watching(self, now_ms: int) -> bool:
        """True for a short while after an offer the node has not switched to yet."""
        with self._lock:
            pending = self._offered > (self._node or NO_VERSION)
            return pending and now_ms < self._offered_at_ms + WATCH_MS
