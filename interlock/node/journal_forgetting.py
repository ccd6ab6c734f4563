"""Delivered records in, the same chain without what the node need not know any more out.

    whom the hub erased            body and salt gone as soon as the record is delivered; the chain says "erased"
    bodies about people            gone in the week after their 90th day at the hub
    whole records                  gone in the week after their 365th day at the hub

How long a record has been at the hub is told by weekly notes of how far the hub's acknowledgement had come,
kept beside the time marks (an older release leaves them alone). Nothing that is not delivered is touched, and
nothing is done by a clock that the hub has not vouched for. The walk goes in slices, like the verification.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from interlock.errors import ProtocolError
from interlock.node import journal_schema as schema
from interlock.node.journal import Journal
from interlock.node.journal_facts import DELIVERED, Facts, Stamp
from interlock.protocol.erasure import digest_of, names_any
from interlock.protocol.records import RecordType

BODY_DAYS = 90
"""4-protocol.md: so long a hub that was restored from a back-up (kept 90 days) can ask for them again."""

RECORD_DAYS = 365
"""4-protocol.md: headers and hashes prove a year of the chain, then only the hub does."""

NOTE_DAYS = 7
"""A note a week keeps the marks on their one page: 53 of them are 800 bytes."""

ROWS = 40
"""Rows in one slice: 2 ms on the development machine, and never more than 64 KiB in one commit."""

DAY_MS = 86_400_000
AGAIN_MS = DAY_MS
"""A walk a day finds what has grown old."""
SOON_MS = 600_000
"""Nor does a node that is switched off every evening miss its day: time is sure minutes after it starts."""

OF_NO_PERSON = frozenset(
    {RecordType.BOOT, RecordType.CLOCK_ANCHORED, RecordType.CONFIGURATION_CHANGED}
    | {RecordType.FAULT_RAISED, RecordType.LOCK_OUT_SET, RecordType.UNMETERED_USE}
)
"""Records whose bodies tell of the machine alone; everything else may name somebody."""


@dataclass(slots=True)
class Forgetting:
    """A walk over what the hub holds; `digests` are the erased people's words (protocol.erasure)."""

    digests: frozenset[bytes] = frozenset()
    _place: int = 0
    _again_ms: int = 0
    _dirty: bool = False
    _asides_gone: bool = field(default=True)

    def ask(self, digests: frozenset[bytes]) -> None:
        """From now on these are forgotten, in what was walked over already too."""
        if digests != self.digests:
            self.digests, self._place, self._asides_gone = digests, 0, not digests

    def is_settled(self, journal: Journal, now_ms: int) -> bool:
        """True when a step would find nothing to do yet."""
        return (
            self._place >= _acknowledged(journal)
            and without(journal.facts, self.digests) == journal.facts
            and now_ms < self._again_ms
            and not self._dirty
            and self._asides_gone
        )

    def step(self, journal: Journal, stamp: Stamp) -> None:
        """The next slice is as it should be; at the end of a walk nothing of it is left in the WAL.

        Raises StoreError when the disk refuses: then the slice is walked again.
        """
        if stamp.boot_ms >= self._again_ms:
            pause_ms = SOON_MS if _today(stamp) is None else AGAIN_MS
            self._place, self._again_ms = 0, stamp.boot_ms + pause_ms
            _note(journal, stamp)
        if not self._asides_gone:
            remove_asides(journal.path)
            self._asides_gone = True
        if self._place < _acknowledged(journal):
            self._walk(journal, _today(stamp))
        else:
            self._finish(journal)

    def _finish(self, journal: Journal) -> None:
        """Nobody is left in the facts, and what was overwritten is so on the disk."""
        facts = without(journal.facts, self.digests)
        if facts != journal.facts:
            journal.restate(facts)
            self._dirty = True
        if self._dirty:
            journal.checkpoint(truncate=True)
            self._dirty = False

    def _walk(self, journal: Journal, today: int | None) -> None:
        begin, end = self._place, _acknowledged(journal)
        notes = notes_of(journal)
        old_body = _delivered_before(notes, today, BODY_DAYS)
        old_record = _delivered_before(notes, today, RECORD_DAYS)
        rows = journal.look(
            "SELECT place, type, body FROM records WHERE place > ? AND place <= ? "
            "ORDER BY place LIMIT ?",
            (begin, end, ROWS),
        )
        gone = [place for place, _, _ in rows if place < old_record]
        emptied = [
            place
            for place, type, body in rows
            if not schema.is_forgotten(body)
            and place >= old_record
            and ((place <= old_body and type not in OF_NO_PERSON) or self._names(body))
        ]
        if gone or emptied:
            journal.rewrite(lambda connection: _apply(connection, gone, emptied))
            self._dirty = True
        self._place = rows[-1][0] if rows else end

    def _names(self, body: bytes) -> bool:
        if not self.digests:
            return False
        try:
            return names_any(json.loads(body), self.digests)
        except ValueError:
            # Damage: the verification of the chain finds it, and mends.
            return False


def notes_of(journal: Journal) -> list[list[int]]:
    """[day since 1970, place]: on that day everything up to that place was at the hub; oldest first."""
    kept = (journal.marks.time or {}).get(DELIVERED, [])
    if not isinstance(kept, list) or not all(_is_note(one) for one in kept):
        raise ProtocolError("the notes of what was delivered are none", where="journal")
    return kept


def without(facts: Facts, digests: frozenset[bytes]) -> Facts:
    """`facts` without the erased people's local grants and use of the day; a session of theirs goes on."""
    if not digests:
        return facts
    used = facts.day_use.used
    kept = tuple(one for one in used if digest_of(one[0]) not in digests)
    grants = tuple(one for one in facts.grants if digest_of(one.member) not in digests)
    return replace(facts, grants=grants, day_use=replace(facts.day_use, used=kept))


def remove_asides(path: Path) -> None:
    """No damaged journal that a salvage set aside is left: what could be read of it was copied."""
    for aside in path.parent.glob(f"{path.name}.damaged-*"):
        # An empty file keeps its name: it says which epochs were begun (journal_salvage).
        aside.write_bytes(b"")


def _apply(connection: sqlite3.Connection, gone: Sequence[int], emptied: Sequence[int]) -> None:
    """Zeros in the place of bodies and salts, of the same length: each row is overwritten where it stands.

    A row that shrank would let SQLite merge pages, and a merged page keeps copies of its rows that nothing
    overwrites, not even with secure_delete.
    """
    connection.executemany(
        "UPDATE records SET body = zeroblob(length(body)), salt = zeroblob(length(salt)) "
        "WHERE place = ?",
        [(one,) for one in emptied],
    )
    connection.executemany("DELETE FROM records WHERE place = ?", [(one,) for one in gone])


def _note(journal: Journal, stamp: Stamp) -> None:
    """This week's note is kept, once the time is sure; notes older than a record may get are gone."""
    today, time = _today(stamp), journal.marks.time
    if today is None or time is None or journal.acknowledged.seq == 0:
        return
    notes = notes_of(journal)
    if notes and today - notes[-1][0] < NOTE_DAYS:
        return
    needed = [
        one
        for i, one in enumerate(notes)
        if i + 1 == len(notes) or today - notes[i + 1][0] < RECORD_DAYS
    ]
    journal.mark(time={**time, DELIVERED: [*needed, [today, _acknowledged(journal)]]})


def _delivered_before(notes: Sequence[Sequence[int]], today: int | None, days: int) -> int:
    """The last place that has been at the hub for that many days; 0 when nobody can say."""
    if today is None:
        return 0
    return max((place for day, place in notes if today - day >= days), default=0)


def _acknowledged(journal: Journal) -> int:
    head = journal.acknowledged
    return schema.place_of(head.epoch, head.seq)


def _today(stamp: Stamp) -> int | None:
    if not stamp.wall_trusted or stamp.wall_ms is None:
        return None
    return stamp.wall_ms // DAY_MS


def _is_note(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(v, int) for v in value)
