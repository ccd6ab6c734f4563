"""Badges laid on a reader in, complete badge events out: the real rules of presence over a modelled radio field."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

from interlock.core.events import (
    BadgeArrived,
    BadgeFound,
    BadgeRemoved,
    Event,
    ReaderFailed,
    ReaderRecovered,
    SeveralBadgesSeen,
)
from interlock.core.model import Assurance, BadgeState, Cache, Entry, Presented, Reason
from interlock.node.presence import (
    Arrived,
    Found,
    Phase,
    Presence,
    Removed,
    SeveralSeen,
    Sighting,
    step,
)
from interlock.node.reader_worker import ERRORS_MAX
from interlock.readers import CardSeen, SeveralCards
from interlock.sim.simulator.people import CARDS, Card

POLL_US = 50_000
GAP_MS = 300
NOISE = 0.3
"""How many polls fail near a machine whose motor disturbs the reader."""
MISSED_MAX = 3
SETTLED_US = 1_500_000
"""So long after the field last changed another poll tells nothing that the one before did not."""


class Slot:
    """What physically lies on a reader; outlives every process."""

    def __init__(self) -> None:
        self.cards: tuple[Card, ...] = ()
        self.manner = "ok"
        self.changed_us = 0

    def lay(self, label: str, now_us: int) -> None:
        """The badge is in the field."""
        if CARDS[label] not in self.cards:
            self.cards = (*self.cards, CARDS[label])
            self.changed_us = now_us

    def lift(self, label: str, now_us: int) -> None:
        """The badge is not in the field."""
        self.cards = tuple(card for card in self.cards if card.label != label)
        self.changed_us = now_us


class Reading:
    """One process's view of the slot; what it says of a badge is what the snapshot it uses says."""

    def __init__(
        self,
        slot: Slot,
        chance: Random,
        *,
        emit: Callable[[Event], object],
        look_up: Callable[[bytes], tuple[Entry | None, bool]],
        cache: Callable[[], Cache],
        boot_ms: Callable[[], int],
    ) -> None:
        """`look_up` gives the entry of a tag and whether its badge must know a key."""
        self._slot, self._chance = slot, chance
        self._emit, self._look_up, self._cache = emit, look_up, cache
        self._boot_ms = boot_ms
        self._presence = Presence()
        self._errors = self._missed = 0
        self._has_failed = False
        self._alive_ms = boot_ms()

    @property
    def is_steady(self) -> bool:
        """Another poll of an unchanged field would tell nothing."""
        settled = self._presence.phase is not Phase.UNKNOWN and not self._has_failed
        return settled and self._slot.manner == "ok"

    @property
    def is_silent(self) -> bool:
        """The driver is stuck in a call: the worker does not come round."""
        return self._slot.manner == "stuck"

    @property
    def last_alive_ms(self) -> int:
        """When the worker last came round: now, unless it is stuck."""
        return self._alive_ms if self.is_silent else self._boot_ms()

    def sticks(self) -> None:
        """From now on the driver does not come back from a call."""
        self._alive_ms = self._boot_ms()

    def slept_until(self, now_ms: int) -> None:
        """The polls that were left out up to now saw what the last one saw."""
        if self._presence.polled_ms is not None:
            self._presence = replace(self._presence, polled_ms=now_ms)

    def poll(self, now_ms: int, slept: bool) -> None:
        """One look at the field. `slept`: polls in between saw what the last one saw and are left out."""
        if self.is_silent:
            return
        self._alive_ms = now_ms
        if slept:
            self.slept_until(now_ms - POLL_US // 1_000)
        if self._slot.manner == "dead" or (
            self._slot.manner == "noise" and self._chance.random() < NOISE
        ):
            self._erred()
            return
        self._errors = 0
        if self._has_failed:
            self._has_failed = False
            self._presence = Presence()
            self._emit(ReaderRecovered())
            return
        self._presence, sightings = step(self._presence, self._sight(), now_ms, GAP_MS)
        for sighting in sightings:
            self._emit(self._event(sighting))

    def _erred(self) -> None:
        self._errors += 1
        if self._errors >= ERRORS_MAX and not self._has_failed:
            self._has_failed = True
            self._emit(ReaderFailed("no chip answers"))

    def _sight(self) -> CardSeen | SeveralCards | None:
        cards = self._slot.cards
        if len(cards) > 1:
            return SeveralCards()
        if not cards or self._is_missed():
            return None
        return CardSeen(cards[0].tag[:7], b"\x44\x00", 0)

    def _is_missed(self) -> bool:
        """Noise hides a card for a poll or three, never for the whole arrival gap."""
        noisy = self._slot.manner == "noise" and self._chance.random() < NOISE
        self._missed = self._missed + 1 if noisy and self._missed < MISSED_MAX else 0
        return self._missed > 0

    def _event(self, sighting: Sighting) -> Event:
        match sighting:
            case Arrived(_, seen_ms):
                return BadgeArrived(self._presented(self._slot.cards[0], seen_ms))
            case Found():
                return BadgeFound()
            case Removed():
                return BadgeRemoved()
            case SeveralSeen():
                return SeveralBadgesSeen()

    def _presented(self, card: Card, seen_ms: int) -> Presented:
        """As `ReaderWork` tells it: a badge that has a key must know it, a blocked one is asked for nothing."""
        entry, keyed = self._look_up(card.tag)
        asked = entry is not None and keyed and entry.badge is BadgeState.ACTIVE
        proved = asked and card.genuine
        return Presented(
            tag=card.tag,
            seen_ms=seen_ms,
            assurance=Assurance.AES if proved else Assurance.UID,
            entry=entry,
            cache=self._cache(),
            trouble=Reason.BADGE_NOT_GENUINE if asked and not card.genuine else None,
        )
