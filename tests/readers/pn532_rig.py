"""A PN532 driver on the chip model: in this process under virtual time, or on a pseudo-terminal."""

from __future__ import annotations

import os
import threading
import tty
from collections.abc import Callable

from interlock.clock import perf_us
from interlock.readers.pn532 import Pn532Reader
from interlock.sim.clocks import US_PER_S, VirtualClock
from interlock.sim.pn532_chip import Pn532Chip

POWER_UP_US = 6_000


class InProcessWire:
    """A serial line under virtual time; `spoil` sits on what the host sends."""

    def __init__(self, chip: Pn532Chip, clock: VirtualClock) -> None:
        self._chip = chip
        self._clock = clock
        self.is_open = True
        self.gone = False

    def write(self, content: bytes) -> None:
        self._check()
        self._clock.advance_us(round(len(content) * 10 / 115_200 * US_PER_S))
        self._chip.hear(content)

    def read(self, timeout_s: float) -> bytes:
        self._check()
        end_us = self._clock.now_us() + round(timeout_s * US_PER_S)
        while True:
            heard = self._chip.said(self._clock.now_us())
            due_us = self._chip.next_due_us()
            if heard:
                return heard
            if due_us is None or due_us > end_us:
                self._clock.advance_us(end_us - self._clock.now_us())
                return b""
            self._clock.advance_us(max(0, int(due_us) + 1 - self._clock.now_us()))

    def close(self) -> None:
        self.is_open = False

    def _check(self) -> None:
        if self.gone or not self.is_open:
            raise OSError("the line is gone")


class Pn532Rig:
    """Chip, line, clock and a reader."""

    def __init__(self, **chip: bytes) -> None:
        self.clock = VirtualClock()
        self.chip = Pn532Chip(self.clock.now_us, **chip)
        self.wires: list[InProcessWire] = []
        self.reader = Pn532Reader(self._open_wire, self.clock)

    def opened(self) -> Pn532Rig:
        self.reader.open()
        return self

    def _open_wire(self) -> InProcessWire:
        self.wires.append(InProcessWire(self.chip, self.clock))
        return self.wires[-1]


class PtyChip:
    """The chip behind a pseudo-terminal, in a thread and in real time."""

    def __init__(self, chip: Pn532Chip | None = None) -> None:
        self.chip = chip or Pn532Chip(lambda: perf_us())
        self._master, slave = os.openpty()
        tty.setraw(slave)
        self.path = os.ttyname(slave)
        self._slave = slave
        self._wake, self._stop = os.pipe()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def do(self, action: Callable[[Pn532Chip], object]) -> None:
        """`action` on the chip, between two of its bytes."""
        with self._lock:
            action(self.chip)

    def unplug(self) -> None:
        """The adapter is pulled: both ends are gone."""
        self.close()

    def close(self) -> None:
        if self._master < 0:
            return
        os.write(self._stop, b"x")
        self._thread.join(5)
        for end in (self._master, self._slave, self._wake, self._stop):
            os.close(end)
        self._master = -1

    def _serve(self) -> None:
        import select

        while True:
            with self._lock:
                due_us = self.chip.next_due_us()
                late = self.chip.said(perf_us()) if due_us is not None else b""
            if late:
                os.write(self._master, late)
                continue
            pause_s = 1.0 if due_us is None else max(0.0, (due_us - perf_us()) / US_PER_S)
            ready, _, _ = select.select([self._master, self._wake], [], [], pause_s)
            if self._wake in ready:
                return
            if self._master in ready:
                heard = os.read(self._master, 4_096)
                with self._lock:
                    self.chip.hear(heard)
