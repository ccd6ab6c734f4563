"""Records to write and idle moments in, journal events out: the journal's work as steps, without a thread.

`JournalWork` takes what is queued and says what happened, so that the simulator runs it under virtual time;
`journal_worker` is the thread around it.

What a failing disk costs is decided here. A start is answered "failed" and forgotten: no record, no power.
Everything else (progress, ends, faults) waits in memory, in order, and is written when the disk is back. The
batch in whose commit the disk failed is in doubt: it is answered only once the reopened journal has said
whether it is there, so that nothing is written twice.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from interlock.core.events import (
    Event,
    JournalFailed,
    JournalRecovered,
    RecordDurable,
    RecordFailed,
)
from interlock.errors import InterlockError, ProtocolError, StoreError
from interlock.node.journal import Journal
from interlock.node.journal_facts import Draft, Facts, Marks, Stamp, fitting
from interlock.node.journal_forgetting import Forgetting
from interlock.protocol.records import Head, Record, RecordType

BATCH_RECORDS_MAX = 16
"""Records in one transaction: with their evidence about 32 KiB; nothing in the node commits more than 64."""

BACKLOG_MAX = 1_024
"""Records kept while the disk fails; beyond it the oldest progress goes, whose totals a later one repeats."""

RETRY_MS = 500
"""Between two attempts to use a failed disk again."""

VERIFY_ROWS = 40
"""Records verified in one idle slice: 2 ms on the development machine, a tenth of a tick of the loop."""

VERIFY_PAUSE_MS = 50
"""Between two slices: 4 % of one core on the development machine, 22 minutes for 1,000,000 records."""

CHECKPOINT_AFTER_RECORDS = 200
"""About 2 MB of WAL: the checkpoint is done while nothing waits, before SQLite does it inside a commit."""

NO_TICKET = 0
"""Records that nobody waits for carry this ticket and are not answered."""

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pending:
    """A record that is to be written; `ticket` is whom to answer, `queued_ms` since when it waits."""

    draft: Draft
    ticket: int
    queued_ms: int

    @property
    def is_start(self) -> bool:
        """True for what gives power: it may be refused, and may not be late."""
        return self.draft.type is RecordType.SESSION_STARTED


@dataclass(frozen=True, slots=True)
class JournalStatus:
    """What hello, status and metrics say of the journal; `failed` says why it cannot write."""

    head: Head
    acknowledged: Head
    unsent: int
    marks: Marks
    facts: Facts
    failed: str | None
    waiting: int


@dataclass(slots=True)
class JournalWork:
    """The worker without its thread: every method is one step, on the thread that owns the journal."""

    journal: Journal
    stamp: Callable[[], Stamp]
    start_deadline_ms: int
    forgetting: Forgetting = field(default_factory=Forgetting)
    failed: str | None = field(init=False)
    _backlog: deque[Pending] = field(default_factory=deque)
    _in_doubt: int = 0
    _retry_at_ms: int = 0
    _verify_at_ms: int = 0
    _verified: bool = False
    _since_checkpoint: int = 0
    _left_open_is_closed: bool = False

    def __post_init__(self) -> None:
        self.failed = None if self.journal.usable else "it could not be opened"

    def write(self, pending: Sequence[Pending], now_ms: int) -> list[Event]:
        """What became of these records, and of older ones that waited for the disk."""
        events: list[Event] = []
        for item in pending:
            self._queue(item, now_ms, events)
        if not self.failed or now_ms >= self._retry_at_ms:
            events.extend(self._drain(now_ms))
        return events

    def idle(self, now_ms: int) -> list[Event]:
        """Use the time: try a failed disk again, mend damage, checkpoint, verify a slice, forget."""
        if self.failed or not self.journal.usable or self._must_mend():
            return self._drain(now_ms) if now_ms >= self._retry_at_ms else []
        try:
            if self._since_checkpoint >= CHECKPOINT_AFTER_RECORDS:
                self.journal.checkpoint()
                self._since_checkpoint = 0
            elif not self._verified and now_ms >= self._verify_at_ms:
                self._verified = not self.journal.verify_slice(VERIFY_ROWS)
                self._verify_at_ms = now_ms + VERIFY_PAUSE_MS
            elif self._verified and not self.forgetting.is_settled(self.journal, now_ms):
                self.forgetting.step(self.journal, self.stamp())
        except StoreError as error:
            return self._fail(error, now_ms)
        return []

    def before_question(self, now_ms: int) -> list[Event]:
        """A failed journal is tried again, at its pace, so that a question finds it open."""
        if self.journal.usable or now_ms < self._retry_at_ms:
            return []
        return self._drain(now_ms)

    def after_question(self, error: InterlockError, now_ms: int) -> list[Event]:
        """What a question's failure says of the journal: nothing, or that the disk refused."""
        return [] if self.journal.usable else self._fail(error, now_ms)

    def finish(self, now_ms: int) -> list[Event]:
        """Write what still waits and close in order, as far as the disk allows."""
        events = self._drain(now_ms)
        try:
            self.journal.close(clean=not self._backlog)
        except StoreError as error:
            LOG.error("the journal could not be closed in order: %s", error)
        return events

    @property
    def is_settled(self) -> bool:
        """True when idle time would be wasted: nothing to verify, mend, checkpoint or try again."""
        return (
            self.failed is None
            and self._verified
            and self._since_checkpoint < CHECKPOINT_AFTER_RECORDS
            and not self._forgets()
        )

    def _forgets(self) -> bool:
        return self.journal.usable and not self.forgetting.is_settled(
            self.journal, self.stamp().boot_ms
        )

    def status(self) -> JournalStatus:
        """How the journal stands."""
        journal = self.journal
        return JournalStatus(
            head=journal.head,
            acknowledged=journal.acknowledged,
            unsent=journal.unsent,
            marks=journal.marks,
            facts=journal.facts,
            failed=self.failed,
            waiting=len(self._backlog),
        )

    def _queue(self, item: Pending, now_ms: int, events: list[Event]) -> None:
        if item.is_start and (self.failed or now_ms - item.queued_ms > self.start_deadline_ms):
            # The core has given this start up, or is about to: writing it now could only confuse.
            events.append(RecordFailed(item.ticket, self.failed or "the disk was too slow"))
            return
        if len(self._backlog) >= BACKLOG_MAX:
            self._make_room()
        self._backlog.append(replace(item, draft=fitting(item.draft)))

    def _make_room(self) -> None:
        """The oldest progress record gone (a later one repeats its totals), else the oldest refusal, else any."""
        certain = range(self._in_doubt, len(self._backlog))
        for type in (RecordType.SESSION_PROGRESS, RecordType.REFUSED, None):
            for place in certain:
                if type in (None, self._backlog[place].draft.type):
                    lost = self._backlog[place].draft.type
                    LOG.error("no room in memory: a %s record is lost", lost)
                    del self._backlog[place]
                    return

    def _drain(self, now_ms: int) -> list[Event]:
        """Reopen if need be, then write the backlog in order, a batch at a time."""
        events: list[Event] = []
        try:
            if not self.journal.usable or self._must_mend():
                # What a salvage keeps it has verified; searching again could only find it again.
                self._verified = self._verified or self.journal.damage is not None
                adopted = self.journal.reopen(self.stamp())
                events.extend(self._settle(adopted))
            self._close_left_open(now_ms)
            while self._backlog:
                events.extend(self._write_batch())
        except StoreError as error:
            return [*events, *self._fail(error, now_ms)]
        if self.failed:
            LOG.warning("the journal writes again")
            self.failed = None
            events.append(JournalRecovered())
        return events

    def _close_left_open(self, now_ms: int) -> None:
        """A session that an earlier process left open is ended first, if it still is as the journal is opened now."""
        if self._left_open_is_closed:
            return
        self._left_open_is_closed = True
        end = self.journal.closing_draft(self.stamp())
        if end is not None:
            self._backlog.appendleft(Pending(end, NO_TICKET, now_ms))

    def _settle(self, adopted: Sequence[Record]) -> list[Event]:
        """The batch in doubt is known to be there, or not: a start that is not is over, the rest goes again."""
        if not self._in_doubt:
            return []
        doubtful = [self._backlog.popleft() for _ in range(self._in_doubt)]
        self._in_doubt = 0
        if adopted:
            return _durable(doubtful, adopted)
        starts = [item for item in doubtful if item.is_start]
        self._backlog.extendleft(reversed([item for item in doubtful if not item.is_start]))
        return [RecordFailed(item.ticket, self.failed or "not written") for item in starts]

    def _write_batch(self) -> list[Event]:
        batch = [self._backlog[i] for i in range(min(BATCH_RECORDS_MAX, len(self._backlog)))]
        if not all(self.journal.has_room_for(item.draft.type, len(batch)) for item in batch):
            # Near the limit each is weighed alone: an end still fits where a start no longer does.
            return self._write_one_by_one(batch)
        try:
            written = self._append(batch)
        except ProtocolError as error:
            LOG.debug("writing one by one: %s", error)
            return self._write_one_by_one(batch)
        self._forget(len(batch))
        return _durable(batch, written)

    def _write_one_by_one(self, batch: Sequence[Pending]) -> list[Event]:
        """One of the batch can be no record; the others must not suffer for it."""
        events: list[Event] = []
        for item in batch:
            try:
                written = self._append([item])
            except ProtocolError as error:
                events.extend(self._give_up(error))
                continue
            self._forget(1)
            events.extend(_durable([item], written))
        return events

    def _append(self, batch: Sequence[Pending]) -> list[Record]:
        if len(batch) == 1 and not self.journal.has_room_for(batch[0].draft.type):
            raise ProtocolError("the journal is full: too many records wait for the hub")
        self._in_doubt = len(batch)
        try:
            written = self.journal.append([item.draft for item in batch])
        except ProtocolError:
            self._in_doubt = 0
            raise
        self._in_doubt = 0
        self._since_checkpoint += len(written)
        return written

    def _give_up(self, error: ProtocolError) -> list[Event]:
        item = self._backlog.popleft()
        LOG.error("a %s record cannot be written: %s", item.draft.type, error)
        return [RecordFailed(item.ticket, str(error))] if item.ticket != NO_TICKET else []

    def _forget(self, count: int) -> None:
        for _ in range(count):
            self._backlog.popleft()

    def _must_mend(self) -> bool:
        """Mending takes seconds: it waits until nobody is using the machine."""
        return self.journal.damage is not None and self.journal.facts.open_session is None

    def _fail(self, error: InterlockError, now_ms: int) -> list[Event]:
        self._retry_at_ms = now_ms + RETRY_MS
        was_failed, self.failed = self.failed, str(error)
        if was_failed:
            return []
        LOG.error("the journal cannot write: %s", error)
        return [JournalFailed(str(error))]


def _durable(batch: Sequence[Pending], written: Sequence[Record]) -> list[Event]:
    return [
        RecordDurable(item.ticket, record.id)
        for item, record in zip(batch, written, strict=True)
        if item.ticket != NO_TICKET
    ]
