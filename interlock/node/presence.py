"""Sights over time in, arrivals and removals out: when a badge in the field counts as presented.

A relay closes only on an arrival: the reader saw an empty field for at least the arrival gap and then this badge
(2-machine.md). A single missed poll is no removal: the field must stay empty for the gap, and a badge that comes
back sooner is still there if it is the same one. Nor are several badges where one was known to lie, seen once:
noise over its answer looks the same. Everything that could be a trick or an accident (a badge that
lay there at the start, one swapped for another, a reader that looked away for a second) is `Found`, which opens
nothing and asks to present the badge again.

Emptiness is what was observed, from the first empty poll to the last; time nobody looked does not count.

A badge with a key is there only as long as it proves itself (`genuine`): a poll in which it answers and does not
prove itself counts like a missed one, and is never emptiness. So it can lead to a removal, and never to an arrival.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from interlock.readers import CardSeen, SeveralCards, Sight

BLIND_MS = 1_000
"""Two polls further apart than this leave time unobserved: five polls at the slowest rate of 5 a second."""


class Phase(Enum):
    """What is known of the field."""

    UNKNOWN = "unknown"
    EMPTY = "empty"
    PRESENT = "present"
    SEVERAL = "several"
    DOUBTED = "doubted"


@dataclass(frozen=True, slots=True)
class Presence:
    """What was seen so far; the default is a reader that has seen nothing yet.

    `empty_from_ms` is the first empty poll of an unbroken run of them, `polled_ms` the last poll; `crowded` says
    that several badges were seen since the badge that is there was last seen alone; `doubted_from_ms` is the first
    poll since it was last certain that answered without proving itself.
    """

    phase: Phase = Phase.UNKNOWN
    uid: bytes | None = None
    empty_from_ms: int | None = None
    polled_ms: int | None = None
    crowded: bool = False
    doubted_from_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Unproven:
    """The badge that was there answers, but did not prove itself just now; `forged`: it proved to be another."""

    forged: bool = False


@dataclass(frozen=True, slots=True)
class Arrived:
    """This badge was put into a field that had been empty."""

    uid: bytes
    seen_ms: int


@dataclass(frozen=True, slots=True)
class Found:
    """A badge is there that nobody saw arrive."""


@dataclass(frozen=True, slots=True)
class Removed:
    """The badge that was there is gone."""


@dataclass(frozen=True, slots=True)
class SeveralSeen:
    """More than one badge is in the field; the one that was there counts as removed."""


Sighting = Arrived | Found | Removed | SeveralSeen


def step(
    presence: Presence, sight: Sight | Unproven | None, now_ms: int, gap_ms: int
) -> tuple[Presence, tuple[Sighting, ...]]:
    """What one poll, finished at `now_ms`, says about the field."""
    blind = presence.polled_ms is None or now_ms - presence.polled_ms > BLIND_MS
    if sight is None:
        return _nothing(presence, now_ms, gap_ms, blind=blind)
    looked = replace(presence, empty_from_ms=None, polled_ms=now_ms)
    if isinstance(sight, Unproven):
        return _doubtful(looked, presence.empty_from_ms, now_ms, gap_ms, forged=sight.forged)
    if isinstance(sight, SeveralCards):
        return _several(looked)
    return _one(looked, sight, now_ms, blind=blind)


def _nothing(
    presence: Presence, now_ms: int, gap_ms: int, *, blind: bool
) -> tuple[Presence, tuple[Sighting, ...]]:
    start_ms = presence.empty_from_ms
    if start_ms is None or blind:
        start_ms = now_ms
    waiting = replace(presence, empty_from_ms=start_ms, polled_ms=now_ms)
    if now_ms - start_ms < gap_ms:
        if presence.phase is Phase.EMPTY:
            # The reader looked away: the field has to be seen empty for the whole gap once more.
            waiting = replace(waiting, phase=Phase.UNKNOWN)
        return waiting, ()
    told = (Removed(),) if presence.phase is Phase.PRESENT else ()
    return _cleared(waiting, Phase.EMPTY), told


def _doubtful(
    looked: Presence, empty_from_ms: int | None, now_ms: int, gap_ms: int, *, forged: bool
) -> tuple[Presence, tuple[Sighting, ...]]:
    if looked.phase is not Phase.PRESENT:
        # Whatever answers, the field is not empty.
        return (_cleared(looked, Phase.DOUBTED) if looked.phase is Phase.EMPTY else looked), ()
    since_ms = next(
        known for known in (looked.doubted_from_ms, empty_from_ms, now_ms) if known is not None
    )
    if forged or now_ms - since_ms >= gap_ms:
        return _cleared(looked, Phase.DOUBTED), (Removed(),)
    return replace(looked, doubted_from_ms=since_ms), ()


def _several(looked: Presence) -> tuple[Presence, tuple[Sighting, ...]]:
    if looked.phase is Phase.PRESENT and not looked.crowded:
        return replace(looked, crowded=True), ()
    told = () if looked.phase is Phase.SEVERAL else (SeveralSeen(),)
    return _cleared(looked, Phase.SEVERAL), told


def _one(
    looked: Presence, sight: CardSeen, now_ms: int, *, blind: bool
) -> tuple[Presence, tuple[Sighting, ...]]:
    here = replace(_cleared(looked, Phase.PRESENT), uid=sight.uid)
    match looked.phase:
        case Phase.EMPTY if not blind:
            return here, (Arrived(sight.uid, now_ms),)
        case Phase.EMPTY | Phase.UNKNOWN:
            return here, (Found(),)
        case Phase.SEVERAL | Phase.DOUBTED:
            # "One badge at a time" stands until the field was empty: which one stayed is nobody's choice. Nor is
            # a badge that failed to prove itself an arrival when it succeeds later: nobody presented it.
            return looked, ()
        case Phase.PRESENT:
            return here, () if looked.uid == sight.uid else (Removed(), Found())


def _cleared(presence: Presence, phase: Phase) -> Presence:
    """`presence` in `phase`, with nothing known of a badge."""
    return replace(presence, phase=phase, uid=None, crowded=False, doubted_from_ms=None)
