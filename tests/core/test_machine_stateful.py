"""Random lives of a machine: the core agrees with the reference model, and the safety rules hold throughout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from interlock.core.effects import WriteRecord
from interlock.core.events import (
    BadgeRemoved,
    CutRequested,
    EndRequested,
    JournalFailed,
    JournalRecovered,
    ReaderFailed,
    ReaderRecovered,
)
from interlock.core.model import BadgeState, BadgeUse, Entry, Rules
from interlock.core.states import StartingFacts
from tests.core.reference import Reference
from tests.core.rig import ADA, BEN, TAP, TECHNICIAN, TICK_MS, UNTRAINED, Rig

pytestmark = pytest.mark.fast

BLOCKED = replace(ADA, badge=BadgeState.BLOCKED)
ENTRIES = [ADA, ADA, ADA, BEN, BLOCKED, UNTRAINED, TECHNICIAN, None]

BRIEF = replace(
    TAP, grace_s=1, warning_s=2, idle_timeout_s=3, progress_s=1, start_deadline_ms=500, notice_s=1
)
"""Short durations, so that a life of forty happenings sees every deadline pass."""


class Life(RuleBasedStateMachine):
    asked: Rules = BRIEF

    def __init__(self) -> None:
        super().__init__()
        self.rig = Rig(self.asked, durable=False)
        self.reference = Reference(self.asked, self.rig.ms - TICK_MS)
        self.open: list[str] = []
        self.unanswered: list[WriteRecord] = []
        self.read = 0

    def absorb(self) -> None:
        """Look at every new effect once: starts to answer, sessions opened and closed, order."""
        for effect in self.rig.effects[self.read :]:
            if isinstance(effect, WriteRecord) and effect.type == "session_started":
                self.unanswered.append(effect)
            if isinstance(effect, WriteRecord) and effect.type in (
                "session_ended",
                "session_voided",
            ):
                self.open.remove(effect.body["session"])
        self.read = len(self.rig.effects)

    @rule(entry=st.sampled_from(ENTRIES), ago_ms=st.sampled_from([0, 0, 0, 30, 5_000]))
    def arrive(self, entry: Entry | None, ago_ms: int) -> None:
        self.rig.arrive(entry, ago_ms=ago_ms)
        ms, seen_ms = self.rig.ms, self.rig.ms - ago_ms
        reference = self.reference
        if entry is TECHNICIAN and reference.locked_out:
            if reference.counts(seen_ms, ms):
                reference.locked_out, reference.gate_ms = False, ms
        else:
            member = entry.member if entry is not None else ""
            blocked = entry is BLOCKED
            reference.arrive(member, entry in (ADA, BEN, TECHNICIAN), seen_ms, ms, blocked=blocked)
        self.absorb()

    @precondition(lambda self: not self.rig.is_on)
    @rule(entry=st.sampled_from([ADA, BEN]), answered=st.booleans())
    def start(self, entry: Entry, answered: bool) -> None:
        """The ordinary beginning of a session: everything is put right, then an entitled badge arrives.

        Without it most lives would idle behind a held button, a dead journal or a lock-out.
        """
        self.journal(works=True)
        self.reader_recovers()
        self.stop_button(pressed=False)
        self.emergency_stop(closed=True)
        self.broken_button(pressed=False)
        self.motor(busy=False)
        self.arrive(TECHNICIAN, 0)
        waiting = len(self.unanswered)
        self.arrive(entry, 0)
        if answered and len(self.unanswered) > waiting:
            self.answer(self.unanswered[-1], works=True)

    @precondition(lambda self: self.reference.holder is not None)
    @rule()
    def holder_arrives(self) -> None:
        self.arrive(ADA if self.reference.holder == ADA.member else BEN, 0)

    @rule()
    def press_and_release_while_a_badge_is_read(self) -> None:
        """The reader saw the badge before the stop was pressed and reports it after."""
        self.press_and_release({"stop_pressed": True})
        self.arrive(ADA, 5)

    @precondition(lambda self: self.unanswered)
    @rule(data=st.data(), works=st.booleans())
    def journal_answers(self, data: st.DataObject, works: bool) -> None:
        self.answer(data.draw(st.sampled_from(self.unanswered)), works)

    def answer(self, write: WriteRecord, works: bool) -> None:
        self.unanswered.remove(write)
        facts = self.rig.state.facts
        current = isinstance(facts, StartingFacts) and write.ticket == facts.ticket
        slow = self.rig.state.journal_trouble is not None and "durable in time" in str(
            self.rig.state.journal_trouble
        )
        if works:
            self.open.append(f"1.{self.rig.records + 1}")
        self.rig.answer(write, failed=not works)
        if current and works:
            self.reference.durable(self.rig.ms)
        elif current:
            self.reference.pending = None
        elif slow:
            self.reference.journal_ok = True
        self.absorb()

    @rule(ms=st.sampled_from([20, 100, 520, 1_020, 2_020, 3_020]))
    def wait(self, ms: int) -> None:
        for _ in range(ms // TICK_MS):
            self.rig.pass_ms(TICK_MS)
            self.reference.time_passed(self.rig.ms)
        self.absorb()

    def sample(self, predict: Callable[[], None], **levels: bool) -> None:
        was = self.rig.inputs
        self.rig.sample(**levels)
        if self.rig.inputs != was:
            predict()
        self.reference.time_passed(self.rig.ms)
        self.absorb()

    @rule(pressed=st.booleans())
    def stop_button(self, pressed: bool) -> None:
        def predict() -> None:
            self.reference.stop_held = pressed
            if pressed:
                self.reference.force_off(self.rig.ms)

        self.sample(predict, stop_pressed=pressed)

    @rule(closed=st.booleans())
    def emergency_stop(self, closed: bool) -> None:
        def predict() -> None:
            self.reference.chain_closed = closed
            if closed:
                self.reference.gate_ms = self.rig.ms
            else:
                self.reference.force_off(self.rig.ms)

        self.sample(predict, emergency_stop_closed=closed)

    @rule(pressed=st.booleans())
    def broken_button(self, pressed: bool) -> None:
        def predict() -> None:
            self.reference.broken_held = pressed
            if pressed and not self.reference.locked_out:
                self.reference.broken(self.rig.ms)

        self.sample(predict, broken_pressed=pressed)

    @rule(busy=st.booleans())
    def motor(self, busy: bool) -> None:
        self.sample(lambda: self.reference.sensed(busy, self.rig.ms), busy=busy)

    @rule(
        levels=st.sampled_from(
            [{"stop_pressed": True}, {"emergency_stop_closed": False}, {"broken_pressed": True}]
        )
    )
    def press_and_release(self, levels: dict[str, bool]) -> None:
        """What a hand does; without it most lives would end with a button held down."""
        presses = {
            "stop_pressed": self.stop_button,
            "emergency_stop_closed": self.emergency_stop,
            "broken_pressed": self.broken_button,
        }
        ((name, level),) = levels.items()
        presses[name](level)
        presses[name](not level)

    @rule()
    def remove(self) -> None:
        self.rig.give(BadgeRemoved())
        self.reference.removed(self.rig.ms)
        self.absorb()

    @rule()
    def reader_dies(self) -> None:
        self.rig.give(ReaderFailed("silent"))
        self.reference.removed(self.rig.ms)
        self.reference.reader_ok, self.reference.gate_ms = False, self.rig.ms
        self.absorb()

    @rule()
    def reader_recovers(self) -> None:
        self.rig.give(ReaderRecovered())
        self.reference.reader_ok, self.reference.gate_ms = True, self.rig.ms
        self.absorb()

    @rule(works=st.booleans())
    def journal(self, works: bool) -> None:
        self.rig.give(JournalRecovered() if works else JournalFailed("disk full"))
        self.reference.journal_ok = works
        if not works:
            self.reference.pending = self.reference.airing = None
        self.absorb()

    @rule()
    def cut(self) -> None:
        self.rig.give(CutRequested())
        self.reference.force_off(self.rig.ms)
        self.absorb()

    @rule()
    def hub_asks_for_the_end(self) -> None:
        self.rig.give(EndRequested())
        if self.reference.on:
            self.reference.want_end("hub", self.rig.ms)
        elif self.reference.pending is not None or self.reference.airing is not None:
            self.reference.force_off(self.rig.ms)
        self.absorb()

    @invariant()
    def the_reference_model_agrees_about_the_coil(self) -> None:
        assert self.rig.is_on == self.reference.on

    @invariant()
    def coil_on_means_one_open_session(self) -> None:
        """S1, S12: a durable start is a session, on its way to one, or already taken back."""
        facts = self.rig.state.facts
        recorded = isinstance(facts, StartingFacts) and facts.record is not None
        assert len(self.open) == int(self.rig.is_on or recorded)

    @invariant()
    def an_open_stop_chain_or_held_stop_means_coil_off(self) -> None:
        """S5, S9."""
        if self.rig.inputs.emergency_stop_closed is False or self.rig.inputs.stop_pressed:
            assert not self.rig.is_on

    @invariant()
    def relay_commands_alternate(self) -> None:
        levels = [on for _, on in self.rig.relay]
        assert levels == [index % 2 == 0 for index in range(len(levels))]


class HoldLife(Life):
    asked = replace(BRIEF, badge_use=BadgeUse.HOLD)


LIVES = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestTap = Life.TestCase
TestTap.settings = LIVES
TestHold = HoldLife.TestCase
TestHold.settings = LIVES
