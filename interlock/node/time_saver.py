"""The timekeeper's marks in, persisted marks and `clock_anchored` records out, by the journal.

Powered time is saved every ten minutes and whenever something about time was learnt; a thread of
its own waits for the disk.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from interlock.clock import Clock
from interlock.core.effects import ReportRefusal, WriteRecord
from interlock.errors import InterlockError
from interlock.node.journal_work import NO_TICKET
from interlock.node.timekeeping import Timekeeper, TimeMarks
from interlock.protocol.records import RecordType
from interlock.protocol.snapshots import SnapshotVersion

LOG = logging.getLogger(__name__)

ANCHOR_EVERY_MS = 3_600_000
"""A Pi's crystal drifts below 100 ppm: an anchor an hour keeps the hub's mapping within 0.4 s."""

ANCHOR_STEP_MS = 2_000
"""A hub whose clock moved by more than this is worth a record at once; less is the network's
delay.
"""

STOP_S = 1.0

RETRY_S = 5.0
"""What could not be saved is tried again: ten attempts of the journal worker to use its disk later."""


class Recorder(Protocol):
    """What of the journal worker is needed here."""

    def submit(self, effect: WriteRecord | ReportRefusal) -> bool:
        """Hands a record over; never blocks."""

    def mark(
        self, *, snapshot: SnapshotVersion | None = None, time: Mapping[str, Any] | None = None
    ) -> object:
        """Persists marks; waits for the disk."""


class TimeSaver:
    """Keeps what the timekeeper knows; `start()`, `stop()`. Only for a timekeeper that was given the kept marks."""

    def __init__(
        self,
        timekeeper: Timekeeper,
        recorder: Recorder,
        clock: Clock,
        every_s: float,
        beside: Mapping[str, Any] | None = None,
    ) -> None:
        """`beside` is persisted with the marks, as it is."""
        self._beside = dict(beside or {})
        self._timekeeper = timekeeper
        self._recorder = recorder
        self._clock = clock
        self._every_s = every_s
        self._anchor: tuple[int, int] | None = None
        self._accepted: TimeMarks | None = None
        self._saving = threading.Lock()
        self._wanted = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="time saver", daemon=True)

    def start(self) -> None:
        """Marks are saved from here on, the first time at once."""
        self._wanted.set()
        self._thread.start()

    def stop(self) -> None:
        """The last marks are saved, if the disk takes them in time; harmless when called again."""
        self._stopping = True
        self._wanted.set()
        if self._thread.is_alive():
            self._thread.join(STOP_S)

    def save_soon(self) -> None:
        """Something about time was learnt: it is saved now, by the thread."""
        self._wanted.set()

    def accept(self, version: SnapshotVersion, issued_at: int | None) -> None:
        """The snapshot is marked together with the proof that it is current: never one without the other.

        A power cut between the two would leave a cache of unknown age, which nobody may use until the hub is
        back. Raises ProtocolError for a version older than the mark, StoreError.
        """
        if not self._thread.is_alive():
            # A timekeeper that was not given the kept marks must not write over them.
            self._recorder.mark(snapshot=version)
            return
        with self._saving:
            accepted = self._timekeeper.marks_once_current(version, issued_at)
            self._recorder.mark(snapshot=version, time={**self._beside, **accepted.to_wire()})
            self._accepted = accepted

    def anchored(self, wall_ms: int) -> None:
        """The hub says that it is `wall_ms` now: a record says so, unless a recent one says the
        same.
        """
        boot_ms = self._clock.boot_ms()
        if self._is_news(boot_ms, wall_ms):
            self._anchor = (boot_ms, wall_ms)
            body = {"wall_ms": wall_ms}
            self._recorder.submit(WriteRecord(NO_TICKET, RecordType.CLOCK_ANCHORED.value, body))
        self.save_soon()

    def _is_news(self, boot_ms: int, wall_ms: int) -> bool:
        if self._anchor is None:
            return True
        at_ms, was_ms = self._anchor
        passed_ms = boot_ms - at_ms
        return passed_ms >= ANCHOR_EVERY_MS or abs(was_ms + passed_ms - wall_ms) > ANCHOR_STEP_MS

    def _run(self) -> None:
        pause_s = self._every_s
        while not self._stopping:
            self._wanted.wait(pause_s)
            self._wanted.clear()
            pause_s = self._every_s
            try:
                with self._saving:
                    self._recorder.mark(time={**self._beside, **self._to_keep().to_wire()})
            except InterlockError as error:
                # The journal worker itself says that the journal fails; here only seconds are lost.
                LOG.warning("time could not be saved: %s", error)
                pause_s = min(RETRY_S, self._every_s)

    def _to_keep(self) -> TimeMarks:
        """The marks of now; those of a snapshot that is accepted and not yet in use stay with it."""
        marks, accepted = self._timekeeper.marks(), self._accepted
        if accepted is None or accepted.current_version == marks.current_version:
            return marks
        return replace(
            marks,
            current_version=accepted.current_version,
            current_powered_ms=accepted.current_powered_ms,
            current_wall_ms=accepted.current_wall_ms,
        )
