"""A second opinion on one question only: is the coil on? Written from 2-machine.md, apart from the table.

One mutable object with plain attributes, the way one would write it without the table: what the core does with
frozen states, this does with a handful of variables, so that the same mistake is unlikely in both.
"""

from __future__ import annotations

from interlock.core.model import BadgeUse, Rules


class Reference:
    """Follows the same happenings as the core and predicts the coil."""

    def __init__(self, rules: Rules, now_ms: int) -> None:
        self.rules = rules
        self.is_hold = rules.badge_use is BadgeUse.HOLD
        self.gate_ms = now_ms
        self.holder: str | None = None
        self.pending: tuple[str, int] | None = None
        self.airing: tuple[str, int] | None = None
        self.not_before_ms: int | None = None
        self.journal_ok = True
        self.reader_ok = True
        self.locked_out = False
        self.ask: tuple[str, int] | None = None
        self.lock_after = False
        self.gone_ms: int | None = None
        self.idle_ms: int | None = None
        self.busy: bool | None = False
        self.chain_closed = True
        self.stop_held = False
        self.broken_held = False

    @property
    def on(self) -> bool:
        return self.holder is not None

    def off(self, now_ms: int) -> None:
        self.holder, self.ask, self.gone_ms, self.idle_ms = None, None, None, None
        self.gate_ms = now_ms
        if self.lock_after:
            self.locked_out, self.lock_after = True, False

    def force_off(self, now_ms: int) -> None:
        self.gate_ms = max(self.gate_ms, now_ms)
        self.pending = self.airing = None
        if self.on:
            self.off(now_ms)

    def want_end(self, why: str, now_ms: int) -> None:
        """The first asking sets the time; an end that a person asked for replaces a softer reason."""
        since_ms = self.ask[1] if self.ask is not None else now_ms
        self.ask = (why, since_ms)
        if self.busy is False and why != "idle":
            self.off(now_ms)

    def counts(self, seen_ms: int, now_ms: int) -> bool:
        recent = now_ms - seen_ms <= self.rules.start_deadline_ms
        return seen_ms > self.gate_ms and recent and self.reader_ok

    def arrive(
        self, member: str, entitled: bool, seen_ms: int, now_ms: int, *, blocked: bool = False
    ) -> None:
        if self.on:
            if member != self.holder:
                self.take_over(member, entitled and self.counts(seen_ms, now_ms), now_ms)
                return
            may_go_on = not blocked and self.counts(seen_ms, now_ms)
            if self.ask is not None:
                if self.ask[0] in ("gone", "idle") and may_go_on:
                    self.resume(now_ms)
                    self.gone_ms = None
            elif self.is_hold:
                if may_go_on:
                    self.gone_ms = None
            else:
                self.want_end("tap", now_ms)
            return
        taken = self.pending is not None or self.airing is not None
        if taken or self.locked_out or not self.counts(seen_ms, now_ms):
            return
        if entitled and self.agrees:
            self.pending, self.not_before_ms = (member, now_ms), None

    @property
    def agrees(self) -> bool:
        """Whether nothing at the machine forbids closing; a machine that is off and draws current does."""
        held = self.stop_held or self.broken_held
        runs_by_itself = not self.on and self.busy is True
        return self.journal_ok and self.chain_closed and not held and not runs_by_itself

    def take_over(self, member: str, entitled: bool, now_ms: int) -> None:
        """The next member at an idle machine: it goes off, and on again for them once the contactor let go."""
        is_asked = self.ask is not None and self.ask[0] not in ("gone", "idle")
        if entitled and self.agrees and self.busy is False and not is_asked:
            self.off(now_ms)
            self.pending = (member, now_ms)
            self.not_before_ms = now_ms + self.rules.open_time_ms

    def resume(self, now_ms: int) -> None:
        self.ask = None
        self.idle_ms = now_ms if self.busy is False else None

    def durable(self, now_ms: int) -> None:
        if self.pending is None:
            return
        member, _ = self.pending
        self.pending = None
        self.airing = (member, self.not_before_ms or now_ms)
        self.end_pre_run(now_ms)

    def end_pre_run(self, now_ms: int) -> None:
        """What a recorded start waited for is over; everything is looked at once more."""
        if self.airing is None or now_ms < self.airing[1]:
            return
        (member, _), self.airing = self.airing, None
        if self.agrees:
            self.holder = member
            self.idle_ms = now_ms if self.busy is False else None

    def removed(self, now_ms: int) -> None:
        if not self.is_hold:
            return
        if self.pending is not None or self.airing is not None:
            self.force_off(now_ms)
        elif self.on and self.gone_ms is None:
            self.gone_ms = now_ms

    def broken(self, now_ms: int) -> None:
        if self.on:
            self.lock_after = True
            self.want_end("broken", now_ms)
        else:
            self.pending = self.airing = None
            self.locked_out = True
            self.gate_ms = now_ms

    def sensed(self, busy: bool | None, now_ms: int) -> None:
        was, self.busy = self.busy, busy
        if busy is was or busy is None or not self.on:
            return
        if busy:
            self.idle_ms = None
            if self.ask is not None and self.ask[0] == "idle":
                self.ask = None
        elif self.ask is None:
            self.idle_ms = now_ms
        elif self.ask[0] != "idle":
            self.off(now_ms)

    def time_passed(self, now_ms: int) -> None:
        self.end_pre_run(now_ms)
        if self.pending is not None and now_ms >= self.pending[1] + self.rules.start_deadline_ms:
            self.pending = None
            self.journal_ok = False
        if not self.on:
            return
        if self.ask is not None:
            if now_ms >= self.ask[1] + self.rules.warning_s * 1_000:
                self.off(now_ms)
        elif self.gone_ms is not None and now_ms >= self.gone_ms + self.rules.grace_s * 1_000:
            self.want_end("gone", now_ms)
        elif (
            self.idle_ms is not None
            and self.rules.idle_timeout_s is not None
            and now_ms >= self.idle_ms + self.rules.idle_timeout_s * 1_000
        ):
            self.want_end("idle", now_ms)
