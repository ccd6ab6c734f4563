"""A batch of journal records and what is stored already, to what each record is: pure.

    NEW         it follows the head; the head moves to it
    KNOWN       the same record as the stored one: accepted again, without effect
    OTHER_BODY  another record under a stored number
    BROKEN      altered, or not linked to the record before it (and whatever follows such a one)
    BEHIND      a number behind the head that was never stored
    EARLY       records between the head and it are missing: it is not looked at, the node sends again

A new epoch (a node whose journal was damaged, or a new enrolment) begins with seq 1, linked to
nothing or to the head of the epoch before. A node that is in a newer epoch may have holes in older
ones: what follows a hole is NEW, and the hole is reported; within the node's own epoch nothing can
be lost, so there the hub waits for what is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from interlock.errors import ProtocolError
from interlock.protocol.records import GENESIS, Head, Record, verify


class Standing(Enum):
    """What a record is, compared with what is stored."""

    NEW = "new"
    KNOWN = "known"
    OTHER_BODY = "other_body"
    BROKEN = "broken_chain"
    BEHIND = "behind_head"
    EARLY = "early"


ASIDE = frozenset({Standing.OTHER_BODY, Standing.BROKEN, Standing.BEHIND})
"""Contradictions: stored aside and alarmed, never in place of what is there."""

Position = tuple[int, int]
"""(epoch, seq)."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A record and whether it agrees with itself: body with commitment, header and link with hash."""

    record: Record
    sound: bool

    @property
    def position(self) -> Position:
        """(epoch, seq)."""
        return (self.record.header.epoch, self.record.header.seq)


def check(record: Record, chain_key: bytes) -> Checked:
    """`record`, recomputed with the node's key. What it follows is looked at by `classify`."""
    try:
        verify(record, prev=record.prev, chain_key=chain_key)
    except ProtocolError:
        return Checked(record, sound=False)
    return Checked(record, sound=True)


@dataclass(frozen=True, slots=True)
class Classified:
    """What each record of a batch is, the head after the new ones, and the holes they jumped over,
    each as (last record before, first record after)."""

    standings: tuple[Standing, ...]
    head: Head
    holes: tuple[tuple[Position, Position], ...]


def classify(
    batch: Sequence[Checked], head: Head, stored: Mapping[Position, bytes], newest_epoch: int
) -> Classified:
    """Sort `batch` out. `stored` holds the hashes of those of its positions that the hub has,
    `newest_epoch` is the one the node says its journal is in."""
    hashes = dict(stored)
    own_epoch = max([newest_epoch, *(c.record.header.epoch for c in batch if c.sound)])
    standings: list[Standing] = []
    holes: list[tuple[Position, Position]] = []
    broken_epoch: int | None = None
    for checked in batch:
        standing = _standing(checked, head, hashes, own_epoch)
        if standing is not Standing.KNOWN and checked.record.header.epoch == broken_epoch:
            standing = Standing.BROKEN
        if standing is Standing.BROKEN:
            broken_epoch = checked.record.header.epoch
        if standing is Standing.NEW:
            if _jumps(checked, head):
                holes.append(((head.epoch, head.seq), checked.position))
            head = Head(*checked.position, checked.record.hash)
            hashes[checked.position] = checked.record.hash
        standings.append(standing)
    return Classified(tuple(standings), head, tuple(holes))


def _standing(
    checked: Checked, head: Head, hashes: Mapping[Position, bytes], own_epoch: int
) -> Standing:
    record, position = checked.record, checked.position
    if not checked.sound:
        return Standing.BROKEN
    if position in hashes:
        return Standing.KNOWN if hashes[position] == record.hash else Standing.OTHER_BODY
    if position <= (head.epoch, head.seq):
        return Standing.BEHIND
    if _jumps(checked, head):
        return Standing.NEW if record.header.epoch < own_epoch else Standing.EARLY
    if record.prev == head.hash or (record.header.seq == 1 and record.prev == GENESIS):
        return Standing.NEW
    return Standing.BROKEN


def _jumps(checked: Checked, head: Head) -> bool:
    """Whether records between `head` and this later one are missing."""
    epoch, seq = checked.position
    return seq != (head.seq + 1 if epoch == head.epoch else 1)
