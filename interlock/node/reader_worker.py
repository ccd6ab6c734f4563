"""A badge reader in, complete badge events out: the thread that polls, looks up, authenticates and says what it saw.

`ReaderWork` is the step without the thread; `ReaderWorker` is the shell. The cache belongs to this thread alone,
and is switched between two polls. A reader that errs is tried a few polls more, then reported dead, closed and
opened again with growing pauses; whatever lies in its field afterwards has to be presented again.

A badge whose entry has a key must prove that it knows it, on arrival and while it lies there (`genuine` says when
and why); its UID alone never counts. Unknown and blocked badges are asked for nothing: they open nothing anyway.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from interlock.cards.iso14443a import RANDOM_UID_FIRST_BYTE, is_random_uid
from interlock.clock import Clock
from interlock.core.events import (
    BadgeArrived,
    BadgeFound,
    BadgeRemoved,
    Event,
    ReaderFailed,
    ReaderRecovered,
    SeveralBadgesSeen,
    SnapshotActivated,
)
from interlock.core.model import Assurance, BadgeState, Cache, Entry, Presented, Reason
from interlock.errors import ProtocolError, ReaderError, StoreError
from interlock.node.cache import BadgeCache
from interlock.node.genuine import Claim, Examiner, Finding, Vigil
from interlock.node.presence import (
    Arrived,
    Found,
    Presence,
    Removed,
    SeveralSeen,
    Unproven,
    step,
)
from interlock.protocol.snapshots import SnapshotHeader, SnapshotVersion
from interlock.protocol.tags import badge_tag, short_code
from interlock.readers import CardSeen, Reader, Sight

ERRORS_MAX = 5
"""Failed polls in a row before the reader is called dead: 0.25 s at 20 polls a second, 1 s at the slowest."""

FAILING_MS_MAX = 1_000
"""A reader whose polls are slow and fail is dead after this: half of the 2 s that are allowed."""

REOPEN_MS_MIN = 250
REOPEN_MS_MAX = 4_000
"""Pauses between attempts to open a dead reader; they double, so that a cable pulled for a day costs nothing."""

VERIFY_ROWS = 50
"""Cache entries hashed after an uneventful poll: 0.05 ms on the development machine; 100,000 badges take
100 s at 20 polls a second."""

COUNT_AGAIN_MS = 600_000
"""What was whole is counted anew after so long: a card that dies under a running node is noticed by the hub too."""

RANDOM_UID = bytes((RANDOM_UID_FIRST_BYTE, 0, 0, 0))
"""Stands for all UIDs that phones make up at every tap, so that one phone is one badge to whoever counts refusals."""

TROUBLES = {
    Finding.FORGED: Reason.BADGE_NOT_GENUINE,
    Finding.UNSURE: Reason.PRESENT_AGAIN,
    Finding.UNASKED: Reason.BADGE_NOT_SECURE_ENOUGH,
}
"""What a badge is told that did not prove itself."""

CacheAge = Callable[[SnapshotVersion | None], int]
Confirm = Callable[[SnapshotHeader], None]

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CacheKeys:
    """What a badge's tag is made with, a snapshot verified with, and card keys opened with."""

    badge_key: bytes = field(repr=False)
    hub_key: Ed25519PublicKey
    lab: str
    node: str
    decryption_key: bytes | None = field(default=None, repr=False)


@dataclass(slots=True)
class ReaderWork:
    """The worker without its thread: `turn` is one poll, on the thread that owns reader and cache."""

    reader: Reader
    keys: CacheKeys
    clock: Clock
    cache_age_s: CacheAge
    arrival_gap_ms: int
    cache: BadgeCache | None = None
    is_open: bool = False
    has_failed: bool = False
    _presence: Presence = field(default_factory=Presence)
    _errors: int = 0
    _failing_since_ms: int | None = None
    _reopen_at_ms: int = 0
    _reopen_pause_ms: int = REOPEN_MS_MIN
    _counted: bool = False
    _count_at_ms: int = 0
    _dropped: list[Event] = field(default_factory=list)
    _examiner: Examiner = field(init=False)
    _vigil: Vigil | None = None

    def __post_init__(self) -> None:
        keys = self.keys
        self._examiner = Examiner(self.reader, self.clock, keys.node, keys.decryption_key)

    @property
    def version(self) -> SnapshotVersion | None:
        """The snapshot badges are looked up in, None without a usable one."""
        return None if self.cache is None else self.cache.version

    @property
    def digest(self) -> bytes | None:
        """Of its entries, as they were counted within the last minutes; None: not yet, or nothing to count."""
        return None if self.cache is None or not self._counted else self.cache.header.digest

    def switch(self, path: Path, confirm: Confirm | None = None) -> list[Event]:
        """Badges are looked up in `path` from here on. Raises StoreError, keeping the old cache."""
        fresh = BadgeCache(path, self.keys.hub_key, lab=self.keys.lab, node=self.keys.node)
        if self.version is not None and fresh.version < self.version:
            fresh.close()
            raise StoreError(f"it is older than {self.version}", where=str(path))
        if confirm is not None:
            confirm(fresh.header)
        self._drop_cache()
        self.cache, self._counted, self._count_at_ms = fresh, False, 0
        header = fresh.header
        LOG.info("snapshot %d.%d is live: %d badges", *header.version, header.entries)
        return [_activated(header, Cache(header.version, self.cache_age_s(header.version)))]

    def turn(self) -> list[Event]:
        """One poll and what it means; never raises for a reader or a cache that fails."""
        if not self.is_open:
            return self._open() if self.clock.boot_ms() >= self._reopen_at_ms else []
        try:
            sight = self.reader.poll()
            self._check(sight)
            events = self._seen(sight)
        except ReaderError as error:
            return self._erred(error)
        self._errors, self._failing_since_ms = 0, None
        dropped, self._dropped = self._dropped, []
        return dropped + events

    def close(self) -> None:
        """Reader and cache are released."""
        self.is_open = False
        self.reader.close()
        self._drop_cache()

    def _check(self, sight: Sight | None) -> None:
        if isinstance(sight, CardSeen):
            try:
                badge_tag(self.keys.badge_key, sight.uid)
            except ProtocolError as error:
                raise ReaderError(error.what, where="reader") from error

    def _seen(self, sight: Sight | None) -> list[Event]:
        certain = self._certain(sight)
        now_ms = self.clock.boot_ms()
        self._presence, sightings = step(self._presence, certain, now_ms, self.arrival_gap_ms)
        if not sightings:
            self._verify_cache()
        vigil = self._vigil
        if vigil is not None and self._presence.uid != vigil.uid:
            self._vigil = None
        events: list[Event] = []
        for sighting in sightings:
            match sighting:
                case Arrived(_, seen_ms):
                    assert isinstance(sight, CardSeen)
                    events.append(BadgeArrived(self._presented(sight, seen_ms)))
                case Found():
                    events.append(BadgeFound())
                case Removed():
                    events.append(BadgeRemoved())
                case SeveralSeen():
                    events.append(SeveralBadgesSeen())
        if vigil is not None and certain == Unproven(forged=True):
            events.append(BadgeArrived(self._impostor(vigil.claim.tag, now_ms)))
        return events

    def _certain(self, sight: Sight | None) -> Sight | Unproven | None:
        """`sight`, or Unproven where the badge that lies there had to prove itself and did not."""
        vigil = self._vigil
        if vigil is None:
            return sight
        vigil.saw(sight)
        is_it = isinstance(sight, CardSeen) and sight.uid == vigil.uid
        if not is_it or not vigil.is_due(self.clock.boot_ms()):
            return sight
        assert isinstance(sight, CardSeen)
        finding = self._examiner.examine(sight, vigil.claim)
        if finding is not Finding.GENUINE:
            return Unproven(forged=finding is Finding.FORGED)
        vigil.renewed(self.clock.boot_ms())
        return sight

    def _presented(self, card: CardSeen, seen_ms: int) -> Presented:
        is_random = is_random_uid(card.uid)
        tag = badge_tag(self.keys.badge_key, RANDOM_UID if is_random else card.uid)
        entry, claim = (None, None) if is_random else self._lookup(tag)
        finding = self._arrived(card, entry, claim)
        cache = Cache(self.version, self.cache_age_s(self.version))
        known = "random id" if is_random else "known" if entry is not None else "unknown"
        # No part of the tag: one line per badge and place would be a log of where people were.
        proved = "" if finding is None else f", {finding.name.lower()}"
        LOG.info("a badge arrived: %s%s, snapshot %s", known, proved, cache.version)
        is_unknown = entry is None and not is_random and cache.version is not None
        return Presented(
            tag,
            seen_ms,
            Assurance.AES if finding is Finding.GENUINE else Assurance.UID,
            entry,
            cache,
            trouble=None if finding is None else TROUBLES.get(finding),
            code=short_code(tag) if is_unknown else None,
        )

    def _arrived(self, card: CardSeen, entry: Entry | None, claim: Claim | None) -> Finding | None:
        """What the badge proved; None where it has no key, or is refused whatever it could prove."""
        if entry is None or claim is None or entry.badge is not BadgeState.ACTIVE:
            return None
        try:
            finding = self._examiner.examine(card, claim)
        except ReaderError:
            # Nobody was told of this arrival, so the badge must not count as one that is there.
            self._presence = Presence()
            raise
        if finding is Finding.GENUINE:
            self._vigil = Vigil(card.uid, claim, self.clock.boot_ms())
        return finding

    def _impostor(self, tag: bytes, seen_ms: int) -> Presented:
        """What lies there instead of the badge that proved itself before."""
        LOG.warning("the badge in the field is not the one that proved itself")
        entry, _ = self._lookup(tag)
        cache = Cache(self.version, self.cache_age_s(self.version))
        return Presented(tag, seen_ms, Assurance.UID, entry, cache, Reason.BADGE_NOT_GENUINE)

    def _lookup(self, tag: bytes) -> tuple[Entry | None, Claim | None]:
        """A badge's entry and the key it must know. A damaged cache knows neither: an entry never loses its key."""
        if self.cache is None:
            return None, None
        try:
            entry = self.cache.lookup(tag)
            key = None if entry is None else self.cache.card_key(tag)
        except StoreError as error:
            self._damaged(error)
            return None, None
        return entry, None if key is None else Claim(tag, key, self.cache.header.wrapping_key)

    def _verify_cache(self) -> None:
        now_ms = self.clock.boot_ms()
        if self.cache is None or now_ms < self._count_at_ms:
            return
        try:
            if not self.cache.verify_slice(VERIFY_ROWS):
                self._counted, self._count_at_ms = True, now_ms + COUNT_AGAIN_MS
        except StoreError as error:
            self._damaged(error)

    def _damaged(self, error: StoreError) -> None:
        LOG.error("the cache is damaged and not used any more: %s", error)
        if self.cache is not None:
            # The loop must not say READY: nobody can be let in. The hub's demands stay as they were.
            header = self.cache.header
            self._dropped.append(_activated(header, Cache(None, self.cache_age_s(None))))
        self._drop_cache()

    def _drop_cache(self) -> None:
        if self.cache is not None:
            self.cache.close()
        self.cache = None

    def _open(self) -> list[Event]:
        try:
            self.reader.open()
            self.reader.poll()
        except ReaderError as error:
            return self._dead(error)
        self.is_open = True
        self._errors, self._failing_since_ms = 0, None
        self._reopen_pause_ms = REOPEN_MS_MIN
        # That first poll only proved that the chip answers: nobody saw what it saw arrive.
        self._presence, self._vigil = Presence(), None
        if not self.has_failed:
            return []
        self.has_failed = False
        LOG.warning("the reader answers again")
        return [ReaderRecovered()]

    def _erred(self, error: ReaderError) -> list[Event]:
        now_ms = self.clock.boot_ms()
        if self._vigil is not None:
            self._vigil.interrupted = True
        if self._failing_since_ms is None:
            self._failing_since_ms = now_ms
        self._errors += 1
        if self._errors < ERRORS_MAX and now_ms - self._failing_since_ms < FAILING_MS_MAX:
            return []
        return self._dead(error)

    def _dead(self, error: ReaderError) -> list[Event]:
        self.is_open = False
        self.reader.close()
        self._reopen_at_ms = self.clock.boot_ms() + self._reopen_pause_ms
        self._reopen_pause_ms = min(REOPEN_MS_MAX, 2 * self._reopen_pause_ms)
        if self.has_failed:
            return []
        self.has_failed = True
        LOG.error("the reader is dead: %s", error)
        return [ReaderFailed(str(error))]


def _activated(header: SnapshotHeader, cache: Cache) -> SnapshotActivated:
    return SnapshotActivated(cache, header.demands)


@dataclass(frozen=True, slots=True)
class _Switch:
    """A file to switch to, what to do at that very moment, and where the answer goes."""

    path: Path
    confirm: Confirm | None
    reply: Future[SnapshotVersion]


class ReaderWorker:
    """The thread around `ReaderWork`: `polls_per_s` turns a second, a switch of the cache between two of them."""

    def __init__(
        self,
        reader: Reader,
        *,
        badge_key: bytes,
        hub_key: Ed25519PublicKey,
        lab: str,
        node: str,
        decryption_key: bytes | None = None,
        emit: Callable[[Event], object],
        clock: Clock,
        cache_age_s: CacheAge,
        polls_per_s: int = 20,
        arrival_gap_ms: int = 300,
        cache_path: Path | None = None,
        died: Callable[[], object] = lambda: None,
    ) -> None:
        """`decryption_key` opens card keys; without it no badge that has one is let in.

        `died` is the last the thread calls when it ends of something nobody foresaw; it may take its time."""
        self._died = died
        self._work = ReaderWork(
            reader,
            CacheKeys(badge_key, hub_key, lab, node, decryption_key),
            clock,
            cache_age_s,
            arrival_gap_ms,
        )
        self._emit = emit
        self._clock = clock
        self._period_ms = 1_000 // polls_per_s
        self._cache_path = cache_path
        self._alive_ms = clock.boot_ms()
        self._switches: list[_Switch] = []
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reader", daemon=True)

    @property
    def chip_name(self) -> str:
        """Which chip or device the reader says it is; empty for one that does not say, or is not open."""
        return str(getattr(self._work.reader, "chip_name", ""))

    @property
    def last_alive_ms(self) -> int:
        """When the thread last came round, on the clock of this boot."""
        return self._alive_ms

    @property
    def version(self) -> SnapshotVersion | None:
        """The snapshot badges are looked up in, None without a usable one."""
        return self._work.version

    @property
    def digest(self) -> bytes | None:
        """`ReaderWork.digest`."""
        return self._work.digest

    def start(self) -> None:
        """Reader and cache belong to the worker's thread from here on."""
        self._alive_ms = self._clock.boot_ms()
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """The field is off and the bus released; False when the reader did not come back in time."""
        self._stopping.set()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def switch(
        self, path: Path, confirm: Confirm | None = None, *, timeout_s: float = 5.0
    ) -> SnapshotVersion:
        """Badges are looked up in `path` when this returns; `confirm` ran just before the first of them.

        Raises StoreError when the file cannot be used (the old one stays) or the reader is stuck.
        """
        asked = _Switch(path, confirm, Future())
        with self._lock:
            self._switches.append(asked)
        try:
            return asked.reply.result(timeout_s)
        except FutureTimeout as error:
            asked.reply.cancel()
            raise StoreError(
                f"the reader did not switch to it within {timeout_s:g} s",
                where=str(path),
                remedy="Check the reader; the next start uses it",
            ) from error

    def _run(self) -> None:
        try:
            self._serve()
        except Exception:
            # The top of the thread: its silence is reported by who watches it, its end by `died`.
            LOG.critical("the reader's thread ends", exc_info=True)
            self._died()

    def _serve(self) -> None:
        """Poll, switch and tell until it is asked to stop."""
        if self._cache_path is not None:
            self._use_first(self._cache_path)
        next_ms = self._clock.boot_ms()
        while not self._stopping.is_set():
            self._switch_what_waits()
            self._tell(self._work.turn())
            now_ms = self._clock.boot_ms()
            # A slow poll moves the next one; it is never made up for by polling without a pause.
            next_ms = max(next_ms + self._period_ms, now_ms)
            self._stopping.wait((next_ms - now_ms) / 1_000)
        self._work.close()

    def _use_first(self, path: Path) -> None:
        try:
            self._tell(self._work.switch(path))
        except StoreError as error:
            LOG.error("no cache to begin with: %s", error)

    def _switch_what_waits(self) -> None:
        with self._lock:
            waiting, self._switches = self._switches, []
        for asked in waiting:
            if not asked.reply.set_running_or_notify_cancel():
                continue
            try:
                events = self._work.switch(asked.path, asked.confirm)
            except StoreError as error:
                asked.reply.set_exception(error)
                continue
            self._tell(events)
            version = self._work.version
            assert version is not None
            asked.reply.set_result(version)

    def _tell(self, events: list[Event]) -> None:
        for event in events:
            self._emit(event)
        self._alive_ms = self._clock.boot_ms()
