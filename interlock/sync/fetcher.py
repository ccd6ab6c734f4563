"""From the hub to the node: news of a snapshot in, the signed file in the spool and its name out.

It has a thread and connections of its own, so that a long poll or a slow download never holds a
record up. The file is opaque here: the node verifies every byte before anything changes.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable
from pathlib import Path

from interlock.clock import Clock
from interlock.errors import LinkError, StoreError
from interlock.protocol.hubapi import WAIT_S_MAX
from interlock.protocol.snapshots import SnapshotVersion
from interlock.sync.backoff import Backoff
from interlock.sync.courier import NODE_RETRY_MS, POLL_MS, REFUSED_MS
from interlock.sync.links import NO_VERSION, HubLink, No, NodeLink, version_text
from interlock.sync.versions import OFFER_AGAIN_MS, Versions

log = logging.getLogger(__name__)

STORE_RETRY_MS = 60_000
"""A full disk does not empty itself within seconds."""

NO_WAIT_MS = 1_000
"""A hub that answers "nothing new" without having waited is asked again after this long: it may be
stopping, or a proxy may be answering in its place."""

PREFIX = "snapshot-"
PART = ".tmp"


class Fetcher:
    """One node's snapshots; `step()` is called by one thread, `wake()` by any.

    `lost` is called when the hub goes away: a broken long poll is the first thing that shows it;
    `reached` when it answers again.
    """

    def __init__(
        self,
        *,
        node: NodeLink,
        hub: HubLink,
        clock: Clock,
        backoff: Backoff,
        versions: Versions,
        spool: Path,
        reached: Callable[[], None],
        lost: Callable[[], None],
    ) -> None:
        self._node = node
        self._hub = hub
        self._clock = clock
        self._backoff = backoff
        self._versions = versions
        self._spool = spool
        self._reached = reached
        self._lost = lost
        self._resume_at_ms = 0
        self._listening = False
        self._woken = False
        self._hub_is_away = False
        self._unannounced: tuple[SnapshotVersion, str, int] | None = None
        self._said = ""

    def step(self) -> int:
        """Fetch, announce or listen once; the milliseconds after which the next step is due."""
        now_ms = self._clock.boot_ms()
        if now_ms < self._resume_at_ms:
            return self._resume_at_ms - now_ms
        if self._versions.node is None:
            return POLL_MS
        try:
            if self._unannounced is not None:
                return self._announce(*self._unannounced)
        except LinkError as error:
            return self._pause(NODE_RETRY_MS, f"node not reached: {error}")
        try:
            wanted = self._versions.wanted(now_ms)
            return self._listen() if wanted is None else self._fetch(wanted)
        except LinkError as error:
            return self._hub_failed(error)
        except StoreError as error:
            return self._pause(STORE_RETRY_MS, f"no room for a snapshot: {error}")

    def wake(self) -> None:
        """There is news, or the hub was reached by somebody else: look again now."""
        self._resume_at_ms = 0
        if self._listening:
            self._woken = True
            self._hub.cut()

    # ---------------------------------------------------------------------------------- listening

    def _listen(self) -> int:
        self._sweep()
        began_ms = self._clock.boot_ms()
        self._listening, self._woken = True, False
        try:
            answer = self._hub.changes(self._versions.since(), WAIT_S_MAX)
        finally:
            self._listening = False
        if isinstance(answer, No):
            return self._refused(answer)
        self._hub_answered()
        if answer is None:
            waited_ms = self._clock.boot_ms() - began_ms
            return max(0, NO_WAIT_MS - waited_ms)
        if answer <= self._versions.since():
            # A hub that repeats what we know would otherwise be asked without a pause.
            log.warning("the hub announced snapshot %s, which is not new", version_text(answer))
            return NO_WAIT_MS
        self._versions.heard(answer)
        return 0

    # ----------------------------------------------------------------------------------- fetching

    def _fetch(self, wanted: SnapshotVersion) -> int:
        self._sweep()
        name = f"{PREFIX}{wanted[0]}-{wanted[1]}"
        part = self._spool / (name + PART)
        try:
            answer = self._hub.download(part)
            if isinstance(answer, No):
                return self._refused(answer)
            self._hub_answered()
            _rename(part, self._spool / name)
        finally:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
        self._unannounced = wanted, name, self._clock.boot_ms()
        return 0

    def _announce(self, version: SnapshotVersion, name: str, fetched_ms: int) -> int:
        no = self._node.snapshot(name)
        now_ms = self._clock.boot_ms()
        if no is not None and now_ms < fetched_ms + OFFER_AGAIN_MS:
            # Most likely it is still building the one before.
            return self._pause(NODE_RETRY_MS, f"the node does not take {name}: {no.message}")
        self._unannounced = None
        self._versions.offered(version, now_ms)
        if no is None:
            self._say(f"snapshot {version_text(version)} is in the spool", logging.INFO)
        return 0

    def _sweep(self) -> None:
        """Files the node has behind it, and halves of an earlier life, are gone from the spool."""
        keep = max(self._versions.since(), self._versions.node or NO_VERSION)
        current = f"{PREFIX}{keep[0]}-{keep[1]}"
        done = self._versions.node == keep
        for file in self._spool.glob(PREFIX + "*"):
            if done or file.name != current:
                try:
                    file.unlink(missing_ok=True)
                except OSError as error:
                    log.warning("%s stays in the spool: %s", file.name, error.strerror)

    # ----------------------------------------------------------------------------------- failures

    def _refused(self, no: No) -> int:
        return self._pause(REFUSED_MS, f"the hub refuses ({no.code}): {no.message}")

    def _hub_failed(self, error: LinkError) -> int:
        if self._woken:
            self._woken = False
            return 0
        self._hub_is_away = True
        self._lost()
        return self._pause(self._backoff.failed(), f"hub not reached: {error}")

    def _hub_answered(self) -> None:
        self._backoff.succeeded()
        if self._hub_is_away:
            self._hub_is_away = False
            self._say("the hub answers again", logging.INFO)
            self._reached()

    def _pause(self, wait_ms: int, why: str) -> int:
        self._say(why, logging.WARNING)
        self._resume_at_ms = self._clock.boot_ms() + wait_ms
        return wait_ms

    def _say(self, text: str, level: int) -> None:
        if text != self._said:
            self._said = text
            log.log(level, "%s", text)


def _rename(part: Path, target: Path) -> None:
    try:
        os.replace(part, target)
    except OSError as error:
        raise StoreError(f"cannot be renamed: {error.strerror}", where=str(part)) from error
