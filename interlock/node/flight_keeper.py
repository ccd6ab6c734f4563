"""What the loop recorded before an incident in, a file in the state folder out: for whoever has to find out why.

A fault is written by a thread of its own, a little at a time, because the loop goes on. A loop that died has let go
of the relay already, so its last recording is written where it died. Files name nobody (`flight_wire`), are few and
small, and never take the room that records need. What kills the process from outside leaves no file.
"""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue

from interlock import __version__
from interlock.clock import Clock
from interlock.config import load_node
from interlock.errors import ConfigError, InterlockError, StoreError
from interlock.node.flight import Recording, Step
from interlock.node.flight_file import write_flight

LOG = logging.getLogger(__name__)

PATTERN = "flight-*.jsonl.gz"
FILES_MAX = 4
"""The newest are kept: one of today and of the days before."""

EVERY_MS = 600_000
"""A contactor that sticks at every start tells nothing new within ten minutes, and the card wears."""

FREE_BYTES_MIN = 32 * 1_024 * 1_024
"""Less is for the records alone; a file has a tenth of a megabyte, a flood's two."""

EVENTS_PER_SLICE = 20
SLICE_PAUSE_S = 0.02
"""A tick of the loop comes to its turn between any two slices: 10,000 events take some ten seconds."""


def recordings_of(config_file: Path) -> list[Path]:
    """The files of the node with this configuration, oldest first; none where the configuration is bad."""
    try:
        folder = load_node(config_file).paths.state_dir
    except ConfigError:
        return []
    return sorted(folder.glob(PATTERN))


class FlightKeeper:
    """`start()`, `keep()` by the loop, `crashed()` when it died, `stop()`."""

    def __init__(
        self, folder: Path, step: Step, clock: Clock, free_bytes_min: int = FREE_BYTES_MIN
    ) -> None:
        self._folder = folder
        self._step = step
        self._clock = clock
        self._free_bytes_min = free_bytes_min
        self._kept_ms: int | None = None
        self._stopping = threading.Event()
        self._recordings: SimpleQueue[Recording | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="flight keeper", daemon=True)

    def start(self) -> None:
        """Recordings are written from here on."""
        self._thread.start()

    def stop(self) -> None:
        """What is being written is given up: a process that ends has better things to do."""
        self._stopping.set()
        self._recordings.put(None)

    def keep(self, recording: Recording) -> None:
        """A fault was found; never waits."""
        now_ms = self._clock.boot_ms()
        if self._kept_ms is None or now_ms - self._kept_ms >= EVERY_MS:
            self._kept_ms = now_ms
            self._recordings.put(recording)

    def crashed(self, recording: Recording, alive: Callable[[], None]) -> None:
        """The loop died at the last event; `alive` is called now and then until the file is written."""
        self._write(recording, "crash", alive)

    def _run(self) -> None:
        while (recording := self._recordings.get()) is not None and not self._stopping.is_set():
            self._write(recording, "fault", self._rest)

    def _rest(self) -> None:
        if self._stopping.wait(SLICE_PAUSE_S):
            raise StoreError("the node ends before it is written", where="flight recorder")

    def _write(self, recording: Recording, why: str, between: Callable[[], None]) -> None:
        about = {"software": __version__, "boot_id": self._clock.boot_id, "why": why}
        written = 0

        def pause() -> None:
            nonlocal written
            written += 1
            if written % EVENTS_PER_SLICE == 0:
                between()

        try:
            target = self._new_file(why)
            write_flight(target, recording, self._step, about, pause)
        except (InterlockError, OSError) as error:
            LOG.warning("the flight recording is lost: %s", error)
            return
        LOG.warning("what happened before the %s is in %s", why, target)

    def _new_file(self, why: str) -> Path:
        """Where the next recording goes; the oldest ones, and halves of a power cut, have made room."""
        for half in self._folder.glob("flight-*.part"):
            half.unlink()
        kept = sorted(self._folder.glob(PATTERN))
        for oldest in kept[: -(FILES_MAX - 1)]:
            oldest.unlink()
        free_bytes = shutil.disk_usage(self._folder).free
        if free_bytes < self._free_bytes_min:
            raise StoreError(f"only {free_bytes} bytes are free", where=str(self._folder))
        # Numbered, not dated: a Pi may not know what time it is.
        number = int(kept[-1].name.split("-")[1]) + 1 if kept else 1
        return self._folder / f"flight-{number:06}-{why}.jsonl.gz"
