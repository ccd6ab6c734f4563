"""Stop to relay off while the disk stands still, and how late an idle loop ticks: rows out.

The real loop, core, journal, worker and SQLite in this process, gpiozero's mock pins at the end;
the journal's commit is held back, as a dying SD card does, from before the stop until after the
relay is off.
"""

from __future__ import annotations

import random
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from interlock.clock import SystemClock, perf_us
from interlock.config import parse_node, to_rules
from interlock.core import machine
from interlock.core.effects import WriteRecord
from interlock.core.events import BadgeArrived, SnapshotActivated
from interlock.core.model import Assurance, Cache, Demands, Entry, Level, Presented, Right
from interlock.core.states import Recovered, State
from interlock.node.inbox import Inbox
from interlock.node.journal import Journal
from interlock.node.journal_facts import Draft, Stamp
from interlock.node.journal_work import NO_TICKET
from interlock.node.journal_worker import JournalWorker
from interlock.node.loop import Lateness, Loop
from interlock.node.pins import MachinePins
from interlock.node.timekeeping import Timekeeper
from interlock.protocol.credentials import NodeKeys
from interlock.protocol.records import Record, RecordType
from tests.bench.row import Row, percentiles
from tests.node.pin_contract import DOCUMENT, MIRROR, STOP
from tests.node.test_pins import MockBench
from tests.waiting import wait_until

MACHINE = parse_node({key: value for key, value in DOCUMENT.items() if key != "interlocks"})
"""Nothing outside this computer is asked before it opens."""

ROUNDS = 200
IDLE_S = 5.0
TICK_S = 0.02
SEED = 7

CACHE = Cache(version=(1, 1), age_s=0)
ADA = Entry(tag=b"\x01" * 16, member="m-ada", rights=(Right("saw", Level.ALONE),))
KEYS = NodeKeys("lab", "saw", 1, b"c" * 32, b"b" * 32, bytes(32), b"d" * 32)


def rows() -> Iterator[Row]:
    """The stop button, the tap that ends, and the loop's own punctuality."""
    with _bench() as bench:
        stops = [bench.round(bench.press_stop) for _ in range(ROUNDS)]
        taps = [bench.round(bench.tap) for _ in range(ROUNDS)]
    yield Row(
        "stop button → relay off, disk stalled",
        percentiles([us / 1_000 for us in stops]),
        "p99 ≤ 30 ms",
        "GPIO edge and pin write of a Pi (mock pins), the contactor's own time",
    )
    yield Row(
        "tap-off of an idle machine → relay off, disk stalled",
        percentiles([us / 1_000 for us in taps]),
        "p99 ≤ 30 ms",
        "from the reader worker's event on: poll wait, air and SPI stand in their own row",
    )
    with _bench() as bench:
        late_us = bench.idle()
    yield Row(
        "loop: how late a tick begins, idle",
        percentiles([us / 1_000 for us in late_us]),
        "≤ 20 ms",
        "other processes of a busy Pi; a snapshot being swapped in",
    )


class StallingJournal(Journal):
    """A journal whose commits wait while `gate` is closed; `inside` says that one does."""

    gate: threading.Event
    inside: threading.Event

    def append(self, drafts: Sequence[Draft]) -> list[Record]:
        """Like a disk that does not answer."""
        self.inside.set()
        self.gate.wait()
        return super().append(drafts)


class TimedPins(MachinePins):
    """The real pins with a contactor that follows at once; remembers when the relay last opened."""

    opened_us = 0
    outside: MockBench

    def relay(self, on: bool) -> None:
        """As always; the instant is taken after the line was written."""
        super().relay(on)
        if not on:
            self.opened_us = perf_us()
        self.outside.conduct(MIRROR, not on)


class Samples(Lateness):
    """Every single lateness, besides the counts."""

    def __init__(self) -> None:
        super().__init__()
        self.all_us: list[int] = []

    def note(self, late_us: int) -> None:
        """One more tick."""
        super().note(late_us)
        self.all_us.append(late_us)


class _Bench:
    """A running loop, a journal that can be stalled, and hands."""

    def __init__(self, folder: Path) -> None:
        self._clock = SystemClock()
        self._chance = random.Random(SEED)
        self._keeper = Timekeeper(self._clock)
        self._outside = MockBench()
        self._inbox = Inbox()
        self._pins = TimedPins(MACHINE, self._outside.factory, self._inbox.wake)
        self._pins.outside = self._outside
        self._journal = StallingJournal(folder / "journal.db", KEYS, boot_id="bench")
        self._journal.gate, self._journal.inside = threading.Event(), threading.Event()
        self._journal.gate.set()
        self._journal.open(self._stamp())
        self._worker = JournalWorker(
            self._journal, emit=self._inbox.put, stamp=self._stamp, clock=self._clock
        )
        self._loop = Loop(
            state=machine.initial(to_rules(MACHINE), Recovered(), self._keeper.now()),
            pins=self._pins,
            inbox=self._inbox,
            submit=self._worker.submit,
            now=self._keeper.now,
        )
        self._loop.lateness = Samples()
        self._thread = threading.Thread(target=self._loop.run, name="loop", daemon=True)

    def start(self) -> None:
        self._worker.start()
        self._thread.start()
        self._inbox.put(SnapshotActivated(CACHE, Demands(("saw",))))

    def stop(self) -> None:
        self._journal.gate.set()
        self._loop.request_termination()
        self._thread.join()
        self._worker.stop(10.0)

    def round(self, act: Callable[[], None]) -> int:
        """One session, ended by `act` at a random phase of the tick; microseconds until the relay
        was open.
        """
        self._outside.conduct(STOP, False)
        wait_until(lambda: self._loop.state.state is State.LOCKED)
        self._clock.sleep(2 * TICK_S)
        self.tap()
        wait_until(lambda: self._loop.coil_on)
        self._stall()
        self._clock.sleep(TICK_S + self._chance.random() * TICK_S)
        began_us = perf_us()
        act()
        wait_until(lambda: not self._loop.coil_on)
        if not self._journal.inside.is_set() or self._journal.gate.is_set():
            raise AssertionError("the disk did not stand still: nothing was measured")
        self._journal.gate.set()
        return self._pins.opened_us - began_us

    def press_stop(self) -> None:
        self._outside.conduct(STOP, True)

    def tap(self) -> None:
        seen_ms = self._clock.boot_ms()
        self._inbox.put(BadgeArrived(Presented(ADA.tag, seen_ms, Assurance.UID, ADA, CACHE)))

    def idle(self) -> list[int]:
        """How late each tick of some quiet seconds began."""
        assert isinstance(self._loop.lateness, Samples)
        self._clock.sleep(IDLE_S)
        return list(self._loop.lateness.all_us)

    def _stall(self) -> None:
        """The worker's thread is inside a commit that does not come back."""
        self._journal.gate.clear()
        self._journal.inside.clear()
        body = {"why": "bench"}
        self._worker.submit(WriteRecord(NO_TICKET, RecordType.PROBLEM_REPORTED.value, body))
        wait_until(self._journal.inside.is_set)

    def _stamp(self) -> Stamp:
        return Stamp(self._clock.boot_ms(), *self._keeper.wall())


@contextmanager
def _bench() -> Iterator[_Bench]:
    folder = Path(tempfile.mkdtemp(prefix="il-bench-"))
    bench = _Bench(folder)
    bench.start()
    try:
        yield bench
    finally:
        bench.stop()
        shutil.rmtree(folder)
