"""Which snapshot the node has, the hub has, the spool offered: courier and fetcher tell and ask.

The courier learns versions from every hello, the fetcher from the long poll. Whatever was heard
last counts, so that a wrong answer heals itself with the next one.
"""

from __future__ import annotations

from threading import Lock

from interlock.protocol.snapshots import SnapshotVersion
from interlock.sync.links import NO_VERSION


class Versions:
    """Safe to use from both threads; every method returns at once."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._node: SnapshotVersion | None = None
        self._hub = NO_VERSION
        self._offered = NO_VERSION
        self._rest_until_ms = 0

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

    def offered(self, version: SnapshotVersion) -> None:
        """The node was told of `version` in the spool."""
        with self._lock:
            self._offered = version

    def not_taken(self, rest_until_ms: int) -> None:
        """The node did not take what it was offered: it is offered again from then on, or what is newer."""
        with self._lock:
            self._rest_until_ms = rest_until_ms

    def wanted(self, now_ms: int) -> SnapshotVersion | None:
        """The version to download now, None when the node has it, or it is not yet time to try again."""
        with self._lock:
            if self._node is None or self._hub <= self._node:
                return None
            resting = now_ms < self._rest_until_ms and self._hub <= self._offered
            return None if resting else self._hub

    def since(self) -> SnapshotVersion:
        """What the long poll asks to hear news after."""
        with self._lock:
            return max(self._node or NO_VERSION, self._offered)
