"""Records in, answers late or never out: the journal's file as a disk that stalls, fails, fills up and loses power.

The worker above it is the real `JournalWork` with its queueing, its doubts and its retries; only what SQLite and
the card do is modelled: one commit takes a while, and until it is over a power cut may keep it or lose it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

from interlock.core.effects import ReportRefusal, WriteRecord
from interlock.core.events import Event
from interlock.errors import StoreError
from interlock.node.journal import Journal
from interlock.node.journal_facts import Draft, Facts, Marks, Stamp, after
from interlock.node.journal_forgetting import Forgetting
from interlock.node.journal_work import BATCH_RECORDS_MAX, NO_TICKET, JournalWork, Pending
from interlock.node.journal_worker import TURN_MS
from interlock.node.refusals import RefusalTally
from interlock.protocol.records import GENESIS, Head, Header, Record, RecordType
from interlock.protocol.snapshots import SnapshotVersion

NODE = "sim"
US_PER_MS = 1_000


class Platter:
    """What is on the card: survives processes and boots, never lies about what was flushed."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.facts = Facts()
        self.marks = Marks()
        self.acknowledged_seq = 0

    def write(self, drafts: Sequence[Draft], boot_id: str) -> list[Record]:
        """The drafts are records on the card."""
        written = []
        for draft in drafts:
            record = self._record(draft, boot_id)
            self.facts = after(self.facts, record.id, draft.type, draft.body)
            self.records.append(record)
            written.append(record)
        return written

    def _record(self, draft: Draft, boot_id: str) -> Record:
        stamp = draft.stamp
        header = Header(
            node=NODE,
            epoch=1,
            seq=len(self.records) + 1,
            boot_id=boot_id,
            boot_ms=stamp.boot_ms,
            wall_ms=stamp.wall_ms,
            wall_trusted=stamp.wall_trusted,
            type=draft.type,
        )
        return Record(header, draft.body, b"", GENESIS, GENESIS, GENESIS)


class Disk:
    """How the card behaves now: `ok`, `slow`, `stalled`, `failing` or `full`."""

    def __init__(self, chance: Random) -> None:
        self.manner = "ok"
        self._chance = chance

    def latency_us(self) -> int | None:
        """How long the next commit takes; None: until the card is mended."""
        if self.manner == "stalled":
            return None
        if self.manner == "slow":
            return self._chance.randrange(300_000, 4_000_000)
        return self._chance.randrange(1_500, 40_000)

    def is_kept(self) -> bool:
        """Whether a commit that was never answered is on the card all the same."""
        return self._chance.random() < 0.5


class ModelledJournal(Journal):
    """The journal's own interface over a platter; recovery and the closing of sessions are the real ones."""

    def __init__(self, platter: Platter, disk: Disk, boot_id: str) -> None:
        self._platter = platter
        self._disk = disk
        self._boot = boot_id
        self._known = len(platter.records)
        self._open = disk.manner != "failing"
        self._was_clean = False
        self._lost = ()

    @property
    def head(self) -> Head:
        return Head(1, len(self._platter.records), GENESIS)

    @property
    def acknowledged(self) -> Head:
        return Head(1, self._platter.acknowledged_seq, GENESIS)

    @property
    def facts(self) -> Facts:
        return self._platter.facts

    @property
    def marks(self) -> Marks:
        return self._platter.marks

    @property
    def unsent(self) -> int:
        return len(self._platter.records) - self._platter.acknowledged_seq

    @property
    def damage(self) -> str | None:
        return None

    @property
    def usable(self) -> bool:
        return self._open

    def has_room_for(self, type: RecordType, count: int = 1) -> bool:
        return self._disk.manner != "full" or type is not RecordType.SESSION_STARTED

    def append(self, drafts: Sequence[Draft]) -> list[Record]:
        if self._disk.manner == "failing":
            if self._disk.is_kept():
                self._platter.write(drafts, self._boot)
            self._open = False
            raise StoreError("disk I/O error", where="the modelled card")
        written = self._platter.write(drafts, self._boot)
        self._known = len(self._platter.records)
        return written

    def reopen(self, stamp: Stamp) -> list[Record]:
        if self._disk.manner == "failing":
            raise StoreError("disk I/O error", where="the modelled card")
        self._open = True
        adopted = self._platter.records[self._known :]
        self._known = len(self._platter.records)
        return adopted

    def mark(
        self,
        *,
        snapshot: SnapshotVersion | None = None,
        time: Mapping[str, Any] | None = None,
        config_digest: str | None = None,
        commands: tuple[tuple[str, int], ...] | None = None,
    ) -> Marks:
        marks = self.marks.raised(
            snapshot=snapshot, time=time, config_digest=config_digest, commands=commands
        )
        if not self._open or self._disk.manner in ("failing", "stalled"):
            raise StoreError("disk I/O error", where="the modelled card")
        self._platter.marks = marks
        return marks

    def verify_slice(self, rows_max: int) -> bool:
        return False

    def checkpoint(self, *, truncate: bool = False) -> None:
        """Nothing to do: the platter has no write-ahead log."""

    def close(self, *, clean: bool = False) -> None:
        self._open = False


class NothingToForget(Forgetting):
    """Nobody is erased here, and no run lasts 90 days: no idle moment is spent on looking."""

    def is_settled(self, journal: Journal, now_ms: int) -> bool:
        return True


class JournalShell:
    """`JournalWorker` without its thread: turns are scheduled, and one at a time holds the disk."""

    def __init__(
        self,
        journal: Journal,
        platter: Platter,
        disk: Disk,
        *,
        boot_id: str,
        stamp: Callable[[], Stamp],
        later: Callable[[int, Callable[[], None]], None],
        emit: Callable[[Event], object],
        boot_ms: Callable[[], int],
        start_deadline_ms: int,
    ) -> None:
        """`later(us, act)` acts so many microseconds from now, unless the process has died by then."""
        self.journal = journal
        self.work = JournalWork(self.journal, stamp, start_deadline_ms, NothingToForget())
        self.durable: list[tuple[int, str]] = []
        self._disk, self._boot_id, self._platter = disk, boot_id, platter
        self._stamp, self._later, self._emit, self._boot_ms = stamp, later, emit, boot_ms
        self._tally = RefusalTally(60_000)
        self._queue: list[Pending] = []
        self._writing: list[Pending] = []
        self._busy_since_ms: int | None = None
        self._asked = False

    @property
    def last_alive_ms(self) -> int:
        """When it last came round: now, unless a commit is holding it."""
        return self._boot_ms() if self._busy_since_ms is None else self._busy_since_ms

    @property
    def is_quiet(self) -> bool:
        """Nothing waits, nothing is being written and nothing has failed."""
        return self._busy_since_ms is None and not self._queue and self.work.failed is None

    def submit(self, effect: WriteRecord | ReportRefusal) -> bool:
        """The effect is on its way to the disk; returns at once."""
        stamp = self._stamp()
        if isinstance(effect, ReportRefusal):
            for body in self._tally.add(effect.body, stamp.boot_ms):
                draft = Draft(RecordType.REFUSED, body, stamp)
                self._queue.append(Pending(draft, NO_TICKET, stamp.boot_ms))
        else:
            draft = Draft(RecordType(effect.type), effect.body, stamp)
            self._queue.append(Pending(draft, effect.ticket, stamp.boot_ms))
        self._ask(500)
        return True

    def begin(self) -> None:
        """The worker runs: an old session that could not be closed yet is looked at."""
        self._ask(500)

    def mended(self) -> None:
        """A stalled commit goes on."""
        if self._busy_since_ms is not None and self._disk.manner != "stalled":
            self._later(1_000, self._finish)

    def lose_power(self) -> None:
        """The process is gone in mid-commit: the batch is on the card, or it is not."""
        if self._writing and self._disk.is_kept() and self._disk.manner not in ("failing", "full"):
            self._platter.write([item.draft for item in self._writing], self._boot_id)

    def finish(self) -> None:
        """The process ends in order and has a second to write what waits (`LAST_RECORD_S`)."""
        if self._busy_since_ms is None and self._disk.manner in ("ok", "full"):
            self._tell(self.work.write(self._queue, self._boot_ms()))
            self._queue = []
        else:
            self.lose_power()

    def _ask(self, us: int) -> None:
        if not self._asked and self._busy_since_ms is None:
            self._asked = True
            self._later(us, self._turn)

    def _turn(self) -> None:
        self._asked = False
        if self._busy_since_ms is not None:
            return
        self._writing = self._queue[:BATCH_RECORDS_MAX]
        del self._queue[:BATCH_RECORDS_MAX]
        self._busy_since_ms = self._boot_ms()
        latency_us = self._disk.latency_us()
        if latency_us is not None:
            self._later(latency_us, self._finish)

    def _finish(self) -> None:
        if self._busy_since_ms is None or self._disk.manner == "stalled":
            return
        writing, self._writing, self._busy_since_ms = self._writing, [], None
        now_ms = self._boot_ms()
        self._tell(self.work.write(writing, now_ms) if writing else self.work.idle(now_ms))
        if self._queue:
            self._ask(500)
        elif not self.work.is_settled:
            self._ask(TURN_MS * US_PER_MS)

    def _tell(self, events: Sequence[Event]) -> None:
        for event in events:
            self._emit(event)
