"""The second opinion on who has to be there: a first who waits, a trainer who confirms, a second person.

What `reference.Reference` says of the coil, for a machine at which not everybody may be alone.
"""

from __future__ import annotations

from interlock.core.model import Rules
from tests.core.reference import Reference
from tests.core.rig import ADA, BEN, TECHNICIAN, TRAINEE, TRAINER, UNTRAINED

ALONE = {ADA.member, BEN.member, TECHNICIAN.member, TRAINER.member}
ACTIVE = ALONE | {TRAINEE.member, UNTRAINED.member}


class PeopleReference(Reference):
    """`first` waits for a trainer (`needs_trainer`) or for anybody; `beside` is who came, `confirm_ms` when again."""

    def __init__(self, rules: Rules, now_ms: int) -> None:
        super().__init__(rules, now_ms)
        self.first: tuple[str, int] | None = None
        self.needs_trainer = False
        self.coming: str | None = None
        self.beside: str | None = None
        self.confirm_ms: int | None = None
        self.since_ms = now_ms
        self.tapped_ms: int | None = None

    @property
    def supervised(self) -> bool:
        return self.holder == TRAINEE.member

    def off(self, now_ms: int) -> None:
        super().off(now_ms)
        self.beside = self.confirm_ms = None

    def force_off(self, now_ms: int) -> None:
        self.first = None
        super().force_off(now_ms)

    def broken(self, now_ms: int) -> None:
        self.first = None
        super().broken(now_ms)

    def want_end(self, why: str, now_ms: int) -> None:
        if why != "unconfirmed":
            super().want_end(why, now_ms)
        elif self.ask is None:
            self.ask = (why, now_ms)

    def sensed(self, busy: bool | None, now_ms: int) -> None:
        if self.ask is not None and self.ask[0] == "unconfirmed":
            self.busy = busy
            return
        super().sensed(busy, now_ms)

    def arrive(
        self, member: str, entitled: bool, seen_ms: int, now_ms: int, *, blocked: bool = False
    ) -> None:
        counts = self.counts(seen_ms, now_ms) and member in ACTIVE and not blocked
        if self.on and member != self.holder:
            self.another(member, counts, now_ms)
        elif self.on:
            super().arrive(member, entitled, seen_ms, now_ms, blocked=blocked)
        elif self.first is not None:
            self.complete(member, counts, now_ms)
        elif member == TRAINEE.member or (self.rules.second_person and entitled):
            taken = self.pending is not None or self.airing is not None or self.locked_out
            if counts and not taken and self.agrees:
                self.first = (member, now_ms + self.rules.second_wait_s * 1_000)
                self.needs_trainer = member == TRAINEE.member
        elif not self.rules.second_person:
            before = self.pending
            super().arrive(member, entitled, seen_ms, now_ms, blocked=blocked)
            self.coming = self.coming if self.pending is before else None

    def complete(self, member: str, counts: bool, now_ms: int) -> None:
        """Somebody comes while the first waits."""
        assert self.first is not None
        is_right = member == TRAINER.member or not self.needs_trainer
        if not counts or member == self.first[0] or not is_right:
            return
        first, self.first, self.tapped_ms = self.first[0], None, None
        if self.agrees:
            self.pending, self.not_before_ms, self.coming = (first, now_ms), None, member

    def another(self, member: str, counts: bool, now_ms: int) -> None:
        """Not the holder, while the machine is on."""
        if self.supervised and member == TRAINER.member:
            if counts and (self.ask is None or self.ask[0] in ("gone", "idle", "unconfirmed")):
                if self.ask is not None:
                    self.resume(now_ms)
                self.gone_ms, self.beside = None, member
                self.confirm_ms = now_ms + self.rules.supervise_s * 1_000
        elif member == self.beside:
            if self.is_hold and counts and (self.ask is None or self.ask[0] in ("gone", "idle")):
                if self.ask is not None:
                    self.resume(now_ms)
                self.gone_ms = None
        elif member == TRAINEE.member:
            by_trainer = self.holder == TRAINER.member and self.beside is None
            is_there = now_ms < self.since_ms + self.rules.supervise_s * 1_000
            trainer, tapped_ms = self.holder, self.since_ms
            self.take_over(member, counts and by_trainer and is_there, now_ms)
            if self.pending is not None:
                self.coming, self.tapped_ms = trainer, tapped_ms
        elif not self.rules.second_person:
            self.take_over(member, counts and member in ALONE, now_ms)
            self.coming = None if self.pending is not None else self.coming

    def end_pre_run(self, now_ms: int) -> None:
        was_on = self.on
        super().end_pre_run(now_ms)
        if self.on and not was_on:
            self.beside, self.since_ms = self.coming, now_ms
            if self.supervised:
                seen_ms = now_ms if self.tapped_ms is None else self.tapped_ms
                self.confirm_ms = seen_ms + self.rules.supervise_s * 1_000
            self.tapped_ms = None

    def time_passed(self, now_ms: int) -> None:
        if self.first is not None and now_ms >= self.first[1]:
            self.first = None
        self.end_pre_run(now_ms)
        gone = self.gone_ms is not None and now_ms >= self.gone_ms + self.rules.grace_s * 1_000
        due = self.confirm_ms is not None and now_ms >= self.confirm_ms
        if self.on and self.ask is None and not gone and due:
            self.want_end("unconfirmed", now_ms)
            return
        super().time_passed(now_ms)
