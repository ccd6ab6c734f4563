"""Effects and questions in, durable records and journal events out: the thread that owns the disk.

`JournalWorker` is the shell around `journal_work.JournalWork`: a bounded queue in front, `emit` behind.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from interlock.clock import Clock
from interlock.core.effects import ReportRefusal, WriteRecord
from interlock.core.events import Event
from interlock.errors import InterlockError, StoreError
from interlock.node.journal import Journal
from interlock.node.journal_facts import Draft, Marks, Stamp
from interlock.node.journal_marks import Batch
from interlock.node.journal_work import (
    BATCH_RECORDS_MAX,
    NO_TICKET,
    VERIFY_PAUSE_MS,
    JournalStatus,
    JournalWork,
    Pending,
)
from interlock.node.refusals import RefusalTally
from interlock.protocol.records import Head, RecordType
from interlock.protocol.snapshots import SnapshotVersion

QUEUE_MAX = 4_096
"""Records waiting for a stalled disk; a loop writes a few a minute, so this is hours of them."""

QUESTIONS_MAX = 64
"""Questions of the control socket that may wait; it serves fewer peers than that."""

TURN_MS = 250
"""The thread comes round at least this often: its silence of 2 s is a fault."""

_LATER = "Try again later; the machine itself goes on"
LOG = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Question(Generic[T]):
    """Something only the owner of the journal can answer, and where its answer goes."""

    ask: Callable[[Journal], T]
    reply: Future[T]


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

    def branch(self, epoch: int, *, timeout_s: float = 5.0) -> bool:
        """`Journal.branch`, on the worker's thread."""
        return self._ask(lambda journal: journal.branch(epoch, self._stamp()), timeout_s)

    def mark(
        self,
        *,
        snapshot: SnapshotVersion | None = None,
        time: Mapping[str, Any] | None = None,
        config_digest: str | None = None,
        commands: tuple[tuple[str, int], ...] | None = None,
        timeout_s: float = 5.0,
    ) -> Marks:
        """`Journal.mark`, on the worker's thread."""
        return self._ask(
            lambda journal: journal.mark(
                snapshot=snapshot, time=time, config_digest=config_digest, commands=commands
            ),
            timeout_s,
        )

    def forget(self, digests: Iterable[bytes]) -> None:
        """Whoever these digests stand for (protocol.erasure) is forgotten, in idle moments from now on."""
        wanted = frozenset(digests)
        self._queue.put(_Question(lambda _: self._work.forgetting.ask(wanted), Future()))

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
