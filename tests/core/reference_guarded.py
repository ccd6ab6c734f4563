"""The second opinion on a guarded machine: air before and after it, interlocks, a fire input and the bypass key.

What `reference.Reference` says of the coil, with what holds it back: is the coil on, and does the air run?
"""

from __future__ import annotations

from interlock.core.model import Rules
from interlock.core.sensing import KEY_BOUNCE_MS
from tests.core.reference import Reference


class GuardedReference(Reference):
    """`lid` and `fire` are contacts here, `chiller` is another node's word, the key powers the machine past us."""

    def __init__(self, rules: Rules, now_ms: int, lid_permit_ms: int) -> None:
        super().__init__(rules, now_ms)
        self.lid_permit_ms = lid_permit_ms
        self.lid_closed_ms: int | None = None
        self.lid_permits = False
        self.fire_closed = False
        self.chiller: bool | None = None
        self.key = False
        self.key_ms: int | None = None
        self.unmetered = False
        self.run_on_ms: int | None = None

    @property
    def air(self) -> bool:
        return self.on or self.airing is not None or self.run_on_ms is not None

    @property
    def guarded(self) -> bool:
        """Whether everything that a start waits for is as it has to be."""
        closed = self.lid_permits and self.fire_closed and self.chiller is True
        return closed and not self.key and not self.unmetered

    def off(self, now_ms: int) -> None:
        super().off(now_ms)
        self.run_on_ms = now_ms + self.rules.run_on_s * 1_000

    def stopped(self, now_ms: int) -> None:
        """A stop or a fire: no air either."""
        self.force_off(now_ms)
        self.run_on_ms = None

    @property
    def agrees(self) -> bool:
        return super().agrees and self.guarded

    def durable(self, now_ms: int) -> None:
        """The air comes first, if everything agrees already; a handover is looked at later."""
        if self.pending is None:
            return
        (member, _), self.pending = self.pending, None
        if self.agrees or self.not_before_ms is not None:
            ready_ms = now_ms + self.rules.pre_run_s * 1_000
            self.airing = (member, max(ready_ms, self.not_before_ms or 0))

    def end_pre_run(self, now_ms: int) -> None:
        super().end_pre_run(now_ms)
        if self.on:
            self.run_on_ms = None

    def lid(self, closed: bool, now_ms: int) -> None:
        """An open lid counts at once, where it did not count as open already."""
        self.lid_closed_ms = now_ms if closed else None
        if not closed and self.lid_permits:
            self.lid_permits = False
            if self.on or self.airing is not None or self.pending is not None:
                self.force_off(now_ms)

    def fire(self, closed: bool, now_ms: int) -> None:
        was, self.fire_closed = self.fire_closed, closed
        if was and not closed:
            if self.on or self.airing is not None or self.pending is not None:
                self.force_off(now_ms)
            self.run_on_ms = None

    def turn(self, on: bool, now_ms: int) -> None:
        """The key counts once its chatter is over."""
        self.key = on
        self.key_ms = now_ms if on is not self.unmetered else None

    def time_passed(self, now_ms: int) -> None:
        if self.lid_closed_ms is not None and now_ms - self.lid_closed_ms >= self.lid_permit_ms:
            self.lid_permits = True
        if self.key_ms is not None and now_ms - self.key_ms >= KEY_BOUNCE_MS:
            self.unmetered, self.key_ms = not self.unmetered, None
            if self.unmetered:
                self.pending = self.airing = None
            else:
                self.gate_ms = now_ms
        if self.on and self.chiller is not True and self.busy is False:
            self.off(now_ms)
        if self.run_on_ms is not None and now_ms >= self.run_on_ms:
            self.run_on_ms = None
        super().time_passed(now_ms)
