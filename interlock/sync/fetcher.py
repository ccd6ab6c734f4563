"""From the hub to the node: news in, the signed list or delta in the spool and its name out; and commands.

It has a thread and connections of its own, so that a long poll or a slow download never holds a
record up. The file is opaque here: the node verifies every byte before anything changes.

    listen → news: commands → handed to the node, answered, and listen again
             a delta, or a number whose whole list is fetched → spool → announced → awaited
    awaited → the node decides by it: the next poll says so, which is the confirmation
              it refused a delta: the whole list at once · a whole one: again, after pauses that grow
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from interlock.clock import Clock
from interlock.errors import LinkError, StoreError
from interlock.protocol.hubapi import WAIT_S_MAX
from interlock.protocol.snapshots import SnapshotVersion
from interlock.sync.backoff import Backoff
from interlock.sync.courier import NODE_RETRY_MS, POLL_MS, REFUSED_MS
from interlock.sync.links import NO_VERSION, HubLink, No, NodeLink, Wire, version_text
from interlock.sync.orders import Orders
from interlock.sync.versions import Versions

log = logging.getLogger(__name__)

STORE_RETRY_MS = 60_000
"""A full disk does not empty itself within seconds."""

NO_WAIT_MS = 1_000
"""A hub that answers "nothing new" without having waited is asked again after this long: it may be
stopping, or a proxy may be answering in its place."""

RETRY_MS = 1_000
RETRY_MS_MAX = 60_000
"""Pauses before a list that the node did not take is fetched anew: a damaged download heals at once, and a bad
one does not become a loop of downloads."""

LOOK_MS = 50
"""How often the node is asked what became of a list: a delta takes it a tenth of a second."""

AWAITED_MS_MAX = 150_000
"""Longer than a node gives its builder (120 s): whoever is still busy then is not busy with this."""

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
        orders: Orders,
    ) -> None:
        self._node = node
        self._hub = hub
        self._clock = clock
        self._backoff = backoff
        self._versions = versions
        self._spool = spool
        self._reached = reached
        self._lost = lost
        self._orders = orders
        self._resume_at_ms = 0
        self._listening = False
        self._woken = False
        self._hub_is_away = False
        self._unannounced: _Offer | None = None
        self._awaited: _Offer | None = None
        self._was_idle = False
        self._retry_ms = RETRY_MS
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
                return self._announce(self._unannounced)
            if self._awaited is not None:
                return self._look_after(self._awaited)
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
        has = self._versions.node or NO_VERSION
        try:
            answer = self._hub.changes(self._versions.since(), WAIT_S_MAX, has)
        finally:
            self._listening = False
        if isinstance(answer, No):
            return self._refused(answer)
        self._hub_answered()
        if answer is None:
            waited_ms = self._clock.boot_ms() - began_ms
            return max(0, NO_WAIT_MS - waited_ms)
        if answer.commands:
            return self._command(answer.commands)
        if answer.version is None or answer.version <= self._versions.since():
            # A hub that repeats what we know would otherwise be asked without a pause.
            said = version_text(answer.version or NO_VERSION)
            log.warning("the hub announced snapshot %s, which is not new", said)
            return NO_WAIT_MS
        self._versions.heard(answer.version)
        if answer.delta is not None:
            self._spool_delta(answer.version, answer.delta)
        return 0

    def _command(self, commands: Sequence[Wire]) -> int:
        try:
            self._orders.carry(commands)
        except LinkError as error:
            return self._pause(NODE_RETRY_MS, f"a command of the hub was not answered: {error}")
        return 0

    # ----------------------------------------------------------------------------------- fetching

    def _fetch(self, wanted: SnapshotVersion) -> int:
        self._sweep()
        name = _name(wanted)
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
        self._unannounced = _Offer(wanted, name, self._clock.boot_ms(), is_whole=True)
        return 0

    def _spool_delta(self, version: SnapshotVersion, delta: bytes) -> None:
        name = _name(version)
        part = self._spool / (name + PART)
        try:
            part.write_bytes(delta)
            os.replace(part, self._spool / name)
        except OSError as error:
            raise StoreError(f"cannot be written: {error.strerror}", where=str(part)) from error
        self._unannounced = _Offer(version, name, self._clock.boot_ms(), is_whole=False)

    def _announce(self, offer: _Offer) -> int:
        no = self._node.snapshot(offer.name)
        now_ms = self._clock.boot_ms()
        if no is not None and now_ms < offer.at_ms + AWAITED_MS_MAX:
            # Most likely it is still building the one before.
            return self._pause(NODE_RETRY_MS, f"the node does not take {offer.name}: {no.message}")
        self._unannounced = None
        self._versions.offered(offer.version)
        if no is not None:
            return self._not_taken(offer, no.message)
        self._say(f"snapshot {version_text(offer.version)} is in the spool", logging.INFO)
        self._awaited = offer
        self._was_idle = False
        return 0

    def _look_after(self, offer: _Offer) -> int:
        """What became of the list the node was told of last."""
        state = self._node.installed()
        self._versions.decides_by(state.version)
        if state.version >= offer.version:
            self._awaited, self._retry_ms = None, RETRY_MS
            return 0
        if state.refused is not None and state.refused[0] == offer.name:
            return self._not_taken(offer, state.refused[1])
        late = self._clock.boot_ms() > offer.at_ms + AWAITED_MS_MAX
        if late or (self._was_idle and not state.is_busy):
            return self._not_taken(offer, "it does not say why")
        self._was_idle = not state.is_busy
        return LOOK_MS

    def _not_taken(self, offer: _Offer, why: str) -> int:
        self._awaited = None
        self._say(f"the node does not take snapshot {offer.name}: {why}", logging.ERROR)
        now_ms = self._clock.boot_ms()
        if offer.is_whole:
            self._versions.not_taken(now_ms + self._retry_ms)
            self._retry_ms = min(2 * self._retry_ms, RETRY_MS_MAX)
        else:
            self._versions.not_taken(now_ms)
        # The next greeting tells the hub why.
        self._lost()
        return 0

    def _sweep(self) -> None:
        """Files the node has behind it, and halves of an earlier life, are gone from the spool."""
        keep = max(self._versions.since(), self._versions.node or NO_VERSION)
        current = _name(keep)
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


@dataclass(frozen=True, slots=True)
class _Offer:
    """A file for the node: the version it leads to, whole or as a delta, and since when it lies there."""

    version: SnapshotVersion
    name: str
    at_ms: int
    is_whole: bool


def _name(version: SnapshotVersion) -> str:
    return f"{PREFIX}{version[0]}-{version[1]}"


def _rename(part: Path, target: Path) -> None:
    try:
        os.replace(part, target)
    except OSError as error:
        raise StoreError(f"cannot be renamed: {error.strerror}", where=str(part)) from error
