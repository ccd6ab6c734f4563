"""Effects and questions in, durable records and journal events out: the thread that owns the disk.

`JournalWork` is the step without the thread: it takes what is queued and says what happened, so that the
simulator runs it under virtual time. `JournalWorker` is the shell: a bounded queue in front, `emit` behind.

What a failing disk costs is decided here. A start is answered "failed" and forgotten: no record, no power.
Everything else (progress, ends, faults) waits in memory, in order, and is written when the disk is back. The
batch in whose commit the disk failed is in doubt: it is answered only once the reopened journal has said
whether it is there, so that nothing is written twice.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from interlock.clock import Clock
from interlock.core.effects import ReportRefusal, WriteRecord
from interlock.core.events import (
    Event,
    JournalFailed,
    JournalRecovered,
    RecordDurable,
    RecordFailed,
)
from interlock.errors import InterlockError, ProtocolError, StoreError
from interlock.node.journal import Batch, Journal
from interlock.node.journal_facts import Draft, Facts, Marks, Stamp, fitting
from interlock.node.refusals import RefusalTally
from interlock.protocol.records import Head, Record, RecordType
from interlock.protocol.snapshots import SnapshotVersion

BATCH_RECORDS_MAX = 16
"""Records in one transaction: with their evidence about 32 KiB; nothing in the node commits more than 64."""

QUEUE_MAX = 4_096
"""Records waiting for a stalled disk; a loop writes a few a minute, so this is hours of them."""

QUESTIONS_MAX = 64
"""Questions of the control socket that may wait; it serves fewer peers than that."""

BACKLOG_MAX = 1_024
"""Records kept while the disk fails; beyond it the oldest progress goes, whose totals a later one repeats."""

RETRY_MS = 500
"""Between two attempts to use a failed disk again."""

TURN_MS = 250
"""The thread comes round at least this often: its silence of 2 s is a fault."""

VERIFY_ROWS = 40
"""Records verified in one idle slice: 2 ms on the development machine, a tenth of a tick of the loop."""

VERIFY_PAUSE_MS = 50
"""Between two slices: 4 % of one core on the development machine, 22 minutes for 1,000,000 records."""

CHECKPOINT_AFTER_RECORDS = 200
"""About 2 MB of WAL: the checkpoint is done while nothing waits, before SQLite does it inside a commit."""

NO_TICKET = 0
"""Records that nobody waits for carry this ticket and are not answered."""

_LATER = "Try again later; the machine itself goes on"
LOG = logging.getLogger(__name__)
T = TypeVar("T")


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


@dataclass(frozen=True, slots=True)
class _Question(Generic[T]):
    """Something only the owner of the journal can answer, and where its answer goes."""

    ask: Callable[[Journal], T]
    reply: Future[T]


@dataclass(slots=True)
class JournalWork:
    """The worker without its thread: every method is one step, on the thread that owns the journal."""

    journal: Journal
    stamp: Callable[[], Stamp]
    start_deadline_ms: int
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
        """Use the time: try a failed disk again, mend damage, checkpoint, verify a slice of the chain."""
        if self.failed or not self.journal.usable or self._must_mend():
            return self._drain(now_ms) if now_ms >= self._retry_at_ms else []
        try:
            if self._since_checkpoint >= CHECKPOINT_AFTER_RECORDS:
                self.journal.checkpoint()
                self._since_checkpoint = 0
            elif not self._verified and now_ms >= self._verify_at_ms:
                self._verified = not self.journal.verify_slice(VERIFY_ROWS)
                self._verify_at_ms = now_ms + VERIFY_PAUSE_MS
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


class JournalWorker:
    """The thread around `JournalWork`. `submit` never blocks; questions wait at most their timeout."""

    def __init__(
        self,
        journal: Journal,
        *,
        emit: Callable[[Event], object],
        stamp: Callable[[], Stamp],
        clock: Clock,
        aggregation_s: int = 60,
        start_deadline_ms: int = 2_000,
        died: Callable[[], object] = lambda: None,
    ) -> None:
        """`died` is the last the thread calls when it ends of something nobody foresaw; it may take its time."""
        self._died = died
        self._work = JournalWork(journal, stamp, start_deadline_ms)
        self._emit = emit
        self._stamp = stamp
        self._clock = clock
        self._tally = RefusalTally(aggregation_s * 1_000)
        self._tally_lock = threading.Lock()
        self._queue: queue.SimpleQueue[Pending | _Question[Any] | None] = queue.SimpleQueue()
        self._alive_ms = clock.boot_ms()
        self._stopping = False
        self._questions = 0
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)

    @property
    def last_alive_ms(self) -> int:
        """When the thread last came round, on the clock of this boot."""
        return self._alive_ms

    def start(self) -> None:
        """The journal belongs to the worker's thread from here on."""
        self._alive_ms = self._clock.boot_ms()
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Everything submitted is written and the journal closed in order; False when the disk was too slow."""
        with self._tally_lock:
            rest = self._tally.rest()
        for body in rest:
            self._queue_refusal(body)
        self._stopping = True
        self._queue.put(None)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def submit(self, effect: WriteRecord | ReportRefusal) -> bool:
        """The effect is on its way to the disk; returns at once. False: no room, it is not kept."""
        if self._queue.qsize() >= QUEUE_MAX:
            return False
        if isinstance(effect, ReportRefusal):
            with self._tally_lock:
                bodies = self._tally.add(effect.body, self._clock.boot_ms())
            for body in bodies:
                self._queue_refusal(body)
            return True
        stamp = self._stamp()
        draft = Draft(RecordType(effect.type), effect.body, stamp)
        self._queue.put(Pending(draft, effect.ticket, stamp.boot_ms))
        return True

    def records_after(
        self, epoch: int, seq: int, bytes_max: int, *, timeout_s: float = 5.0
    ) -> Batch:
        """`Journal.records_after`, on the worker's thread."""
        return self._ask(lambda journal: journal.records_after(epoch, seq, bytes_max), timeout_s)

    def acknowledge(self, head: Head, *, timeout_s: float = 5.0) -> Head:
        """`Journal.acknowledge`, on the worker's thread."""
        return self._ask(lambda journal: journal.acknowledge(head), timeout_s)

    def mark(
        self,
        *,
        snapshot: SnapshotVersion | None = None,
        time: Mapping[str, Any] | None = None,
        config_digest: str | None = None,
        timeout_s: float = 5.0,
    ) -> Marks:
        """`Journal.mark`, on the worker's thread."""
        return self._ask(
            lambda journal: journal.mark(snapshot=snapshot, time=time, config_digest=config_digest),
            timeout_s,
        )

    def status(self) -> JournalStatus:
        """How the journal stands; answered from memory, also while the disk stalls."""
        return self._work.status()

    def _ask(self, question: Callable[[Journal], T], timeout_s: float) -> T:
        if self._stopping or self._questions >= QUESTIONS_MAX:
            raise StoreError("the journal takes no question now", where="journal", remedy=_LATER)
        asked: _Question[T] = _Question(question, Future())
        self._questions += 1
        self._queue.put(asked)
        try:
            return asked.reply.result(timeout_s)
        except FutureTimeout as error:
            asked.reply.cancel()
            raise StoreError(
                f"no answer from the disk within {timeout_s:g} s", where="journal", remedy=_LATER
            ) from error
        finally:
            self._questions -= 1

    def _queue_refusal(self, body: Mapping[str, Any]) -> None:
        stamp = self._stamp()
        self._queue.put(Pending(Draft(RecordType.REFUSED, body, stamp), NO_TICKET, stamp.boot_ms))

    def _run(self) -> None:
        try:
            self._serve()
        except Exception:
            # The top of the thread: its silence is reported by who watches it, its end by `died`.
            LOG.critical("the journal's thread ends", exc_info=True)
            self._work.journal.close()
            self._died()

    def _serve(self) -> None:
        """Take what is queued, group records into one commit, answer questions in their place."""
        while True:
            items = self._take()
            self._alive_ms = self._clock.boot_ms()
            writes: list[Pending] = []
            for item in items:
                if isinstance(item, Pending):
                    writes.append(item)
                    continue
                self._write(writes)
                writes = []
                if item is None:
                    self._tell(self._work.finish(self._clock.boot_ms()))
                    return
                self._reply(item)
            self._write(writes)
            if not items:
                self._tell(self._work.idle(self._clock.boot_ms()))
                with self._tally_lock:
                    due = self._tally.due(self._clock.boot_ms())
                for body in due:
                    self._queue_refusal(body)

    def _take(self) -> list[Pending | _Question[Any] | None]:
        pause_ms = TURN_MS if self._work.is_settled else VERIFY_PAUSE_MS
        items: list[Pending | _Question[Any] | None] = []
        try:
            items.append(self._queue.get(timeout=pause_ms / 1_000))
            while len(items) < BATCH_RECORDS_MAX:
                items.append(self._queue.get_nowait())
        except queue.Empty:
            return items
        return items

    def _write(self, writes: Sequence[Pending]) -> None:
        if writes:
            self._tell(self._work.write(writes, self._clock.boot_ms()))

    def _reply(self, question: _Question[Any]) -> None:
        if not question.reply.set_running_or_notify_cancel():
            return
        self._tell(self._work.before_question(self._clock.boot_ms()))
        try:
            answer = question.ask(self._work.journal)
        except InterlockError as error:
            question.reply.set_exception(error)
            self._tell(self._work.after_question(error, self._clock.boot_ms()))
            return
        question.reply.set_result(answer)

    def _tell(self, events: Sequence[Event]) -> None:
        for event in events:
            self._emit(event)
        self._alive_ms = self._clock.boot_ms()


def _durable(batch: Sequence[Pending], written: Sequence[Record]) -> list[Event]:
    return [
        RecordDurable(item.ticket, record.id)
        for item, record in zip(batch, written, strict=True)
        if item.ticket != NO_TICKET
    ]
