"""Millivolts of a current clamp in; busy, idle or unknown out, without anybody waiting for a bus.

A worker samples the clamp all the time and keeps the root mean square over the last 200 ms, which is
a whole number of periods at 50 Hz (10) and at 60 Hz (12). Two thresholds with room between them turn
it into busy and idle. Whatever cannot be true is unknown, never idle: an idle machine may be switched
off, a busy one only after a warning (S8).
"""

from __future__ import annotations

import logging
import math
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from interlock.clock import Clock
from interlock.config import CurrentConfig
from interlock.errors import DeviceError
from interlock.node.converters import Converter, open_converter

LOG = logging.getLogger(__name__)

CURRENT_BY_CONVERTER: Final = ("ads1115", "mcp3008")
"""The kinds of `current.kind` that this file measures; the others hang on a pin, or on nothing."""

WINDOW_MS: Final = 200
"""Ten periods of 50 Hz, twelve of 60 Hz: where the window begins within a period changes nothing."""

SAMPLE_S: Final = 0.002
"""Ten samples a period of 50 Hz: enough for the RMS of what motors draw."""

SAMPLES_PER_TURN: Final = 10
"""A verdict every 20 ms, as often as the loop asks for one."""

SAMPLES_MIN: Final = 40
"""Fewer within the window (a starved Pi) do not make an RMS."""

STALE_MS: Final = 500
"""A verdict older than this is none: the bus hangs."""

RETRY_S: Final = 1.0
"""A converter that came loose is asked for again once a second."""

STOP_S: Final = 0.5
"""A bus that hangs is left to die with the process."""

BIAS_TOLERANCE: Final = 0.2
"""The mean of a biased clamp is half the supply; further away than a fifth of the supply its bias is gone."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The clamp's output at one moment."""

    at_ms: int
    mv: float


@dataclass(frozen=True, slots=True)
class Measured:
    """One verdict: the current over the window (None: cannot be true), and what it means."""

    at_ms: int
    rms_ma: int | None
    busy: bool | None


def rms_ma(samples: Sequence[Sample], current: CurrentConfig) -> int | None:
    """The clamp's current without its bias; None while too little was seen, or without a bias."""
    if len(samples) < SAMPLES_MIN:
        return None
    mean_mv = math.fsum(sample.mv for sample in samples) / len(samples)
    if abs(mean_mv / current.reference_mv - 0.5) > BIAS_TOLERANCE:
        return None
    square = math.fsum((sample.mv - mean_mv) ** 2 for sample in samples) / len(samples)
    return round(math.sqrt(square) * current.clamp_ma_per_v / 1_000)


def judged(before: bool | None, rms: int | None, current: CurrentConfig) -> bool | None:
    """Busy at or above the upper threshold, idle at or below the lower, else as it was `before`."""
    if rms is None or current.busy_above_ma is None or current.idle_below_ma is None:
        return None
    if rms >= current.busy_above_ma:
        return True
    return False if rms <= current.idle_below_ma else before


class CurrentWorker:
    """Reads the clamp on a thread of its own; `start()`, `stop()`, and what it last found."""

    def __init__(
        self,
        current: CurrentConfig,
        clock: Clock,
        open_it: Callable[[CurrentConfig], Converter] = open_converter,
    ) -> None:
        self._current = current
        self._clock = clock
        self._open = open_it
        self._converter: Converter | None = None
        self._samples: deque[Sample] = deque()
        self._measured: Measured | None = None
        self._trouble: str | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="current", daemon=True)

    def start(self) -> None:
        """The clamp is read from here on."""
        self._thread.start()

    def stop(self) -> None:
        """The thread has ended, or is left to a bus that hangs; harmless when called again."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(STOP_S)

    def busy(self) -> bool | None:
        """The last verdict; None: unknown. Returns at once, whatever the bus does."""
        measured = self._fresh()
        return None if measured is None else measured.busy

    def rms_ma(self) -> int | None:
        """The current over the last window, for `commission` and `doctor`; None: unknown."""
        measured = self._fresh()
        return None if measured is None else measured.rms_ma

    @property
    def trouble(self) -> str | None:
        """What is wrong with the converter; None: nothing."""
        return self._trouble

    def turn(self) -> None:
        """A few more samples and a new verdict; or a converter that is gone is asked for again."""
        try:
            if self._converter is None:
                self._converter = self._open(self._current)
            for _ in range(SAMPLES_PER_TURN):
                mv = self._converter.read_mv()
                self._samples.append(Sample(self._clock.boot_ms(), mv))
                self._clock.sleep(SAMPLE_S)
        except DeviceError as error:
            self._lost(str(error))
            return
        self._well()
        self._judge()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.turn()
            if self._converter is None:
                self._stopping.wait(RETRY_S)
        self._release()

    def _fresh(self) -> Measured | None:
        measured = self._measured
        if measured is None or self._clock.boot_ms() - measured.at_ms > STALE_MS:
            return None
        return measured

    def _judge(self) -> None:
        now_ms = self._clock.boot_ms()
        while self._samples[0].at_ms <= now_ms - WINDOW_MS:
            self._samples.popleft()
            if not self._samples:
                return
        before = None if self._measured is None else self._measured.busy
        # A window that is not full yet says too little, whatever it holds.
        rms = rms_ma(self._samples, self._current) if self._is_full(now_ms) else None
        self._measured = Measured(now_ms, rms, judged(before, rms, self._current))

    def _is_full(self, now_ms: int) -> bool:
        return now_ms - self._samples[0].at_ms >= WINDOW_MS - 1_000 * SAMPLE_S * SAMPLES_PER_TURN

    def _lost(self, why: str) -> None:
        if self._trouble is None:
            LOG.error("busy is unknown: %s", why)
        self._trouble = why
        self._measured = None
        self._samples.clear()
        self._release()

    def _well(self) -> None:
        if self._trouble is not None:
            LOG.warning("the current is measured again")
        self._trouble = None

    def _release(self) -> None:
        converter, self._converter = self._converter, None
        if converter is None:
            return
        try:
            converter.close()
        except OSError as error:
            LOG.warning("the converter's bus could not be closed: %s", error)
