"""The kernel's rules for GPIO lines: claims, writes and a process's death go in, levels come out.

Three rules decide what a relay does when software dies, and they are modelled here because a demo
that forgives what a Pi does not would teach the wrong thing:

- A line belongs to the process that claimed it; nobody else may claim or write it (EBUSY).
- When that process is gone the kernel releases its lines. The Raspberry Pi kernel then *keeps* an
  output's level, unless `dtparam=strict_gpiod` is set: then the line returns to input and its pull
  decides.
- From power-up on, lines 0–8 are pulled up and all others down (BCM2835 ARM Peripherals, table
  6-31).

An undriven line takes what is wired to it; else its pull; else, floating, it keeps its last level,
because that is the worse assumption for a relay.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from interlock.errors import PinError

LINES = 28
"""GPIO 0–27 are on the header of every Pi since 2014."""
PULLED_UP_AT_BOOT = range(9)


class Pull(Enum):
    """The bias resistor inside the chip."""

    UP = "up"
    DOWN = "down"
    FLOATING = "floating"


@dataclass(slots=True)
class Line:
    """One GPIO line; `wired` is what the outside drives it to, None when the outside is open."""

    pull: Pull
    owner: int | None = None
    output: bool = False
    driven: bool = False
    wired: bool | None = None
    last: bool = False


class KernelPins:
    """The lines of one Pi under its kernel; an owner is any number that stands for one process."""

    def __init__(self, *, strict_gpiod: bool) -> None:
        self.strict_gpiod = strict_gpiod
        self.powered = True
        self._lines = [Line(_boot_pull(number)) for number in range(LINES)]
        self._settle()

    def claim_input(self, owner: int, number: int, pull: Pull) -> None:
        """`number` is an input of `owner` with `pull`. Raises PinError when another has it."""
        line = self._claimed(owner, number)
        line.output = False
        line.pull = pull
        self._settle()

    def claim_output(self, owner: int, number: int, level: bool) -> None:
        """`number` drives `level` for `owner` from its first instant on. Raises PinError."""
        line = self._claimed(owner, number)
        line.output = True
        line.driven = level
        self._settle()

    def write(self, owner: int, number: int, level: bool) -> None:
        """`number` drives `level`. Raises PinError when it is not an output of `owner`."""
        line = self._line(number)
        if line.owner != owner or not line.output:
            raise PinError("is no output of this process", where=f"GPIO{number}")
        line.driven = level
        self._settle()

    def release(self, owner: int) -> None:
        """`owner` closed its lines or died: outputs stay, or return to input when strict."""
        for line in self._lines:
            if line.owner == owner:
                line.owner = None
                line.output = line.output and not self.strict_gpiod
        self._settle()

    def wire(self, number: int, level: bool | None) -> None:
        """The outside drives `number` to `level`, or lets go of it (None)."""
        line = self._line(number)
        if line.wired != level:
            line.wired = level
            self._settle()

    def power_off(self) -> None:
        """The Pi has no supply: it drives nothing, pulls nothing and owns nothing."""
        self.powered = False
        for line in self._lines:
            line.owner, line.output, line.driven = None, False, False
            line.pull, line.last = Pull.FLOATING, False
        self._settle()

    def boot(self) -> None:
        """The Pi has just been powered: every line is an input with its boot pull."""
        self.power_off()
        self.powered = True
        for number, line in enumerate(self._lines):
            line.pull = _boot_pull(number)
        self._settle()

    def level(self, number: int) -> bool:
        """The voltage at `number` as a truth value, whoever makes it."""
        return self._line(number).last

    def levels(self) -> tuple[bool, ...]:
        """The level of every line, by number."""
        return tuple(line.last for line in self._lines)

    def owned_by(self, owner: int) -> list[int]:
        """The numbers of the lines `owner` has claimed."""
        return [number for number, line in enumerate(self._lines) if line.owner == owner]

    def _claimed(self, owner: int, number: int) -> Line:
        line = self._line(number)
        if not self.powered:
            raise PinError("the Pi has no power", where=f"GPIO{number}")
        if line.owner not in (None, owner):
            raise PinError(
                "belongs to another process (EBUSY)",
                where=f"GPIO{number}",
                remedy="Stop the other process; two nodes cannot share one relay.",
            )
        line.owner = owner
        return line

    def _line(self, number: int) -> Line:
        if not 0 <= number < LINES:
            raise PinError("there is no such line", where=f"GPIO{number}")
        return self._lines[number]

    def _settle(self) -> None:
        for line in self._lines:
            line.last = _level(line)


def _level(line: Line) -> bool:
    if line.output:
        return line.driven
    if line.wired is not None:
        return line.wired
    if line.pull is Pull.FLOATING:
        return line.last
    return line.pull is Pull.UP


def _boot_pull(number: int) -> Pull:
    return Pull.UP if number in PULLED_UP_AT_BOOT else Pull.DOWN
