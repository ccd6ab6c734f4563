"""Random lives of a guarded machine: coil and air agree with the second opinion, and S1, S8 to S12 hold throughout."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from interlock.core.effects import SetExtraction, SetRelay, WriteRecord
from interlock.core.events import RemoteInterlockReported
from interlock.core.model import BadgeUse, Ending, Entry, Interlock
from interlock.core.states import State
from tests.core.reference_guarded import GuardedReference
from tests.core.rig import ADA, BEN, QUIET, TECHNICIAN, TICK_MS, Rig
from tests.core.test_machine_stateful import BRIEF, LIVES, Life

pytestmark = pytest.mark.fast

LID_PERMIT_MS = 60
GUARDED = replace(
    BRIEF,
    pre_run_s=1,
    run_on_s=2,
    interlocks=(
        Interlock("lid", permit_after_ms=LID_PERMIT_MS),
        Interlock("fire", permit_after_ms=0, stops_extraction=True),
        Interlock("chiller", remote=True),
    ),
)
FORCED = {
    Ending.STOP_BUTTON,
    Ending.EMERGENCY_STOP,
    Ending.INTERLOCK_OPENED,
    Ending.CUT_NOW,
    Ending.CONTACT_LOST,
    Ending.FAULT,
}
"""What may cut a busy machine without the warning time (S8)."""


class GuardedLife(Life):
    asked = GUARDED
    reference: GuardedReference

    def __init__(self) -> None:
        RuleBasedStateMachine.__init__(self)
        inputs = replace(QUIET, interlocks_closed=(False, False, None), bypass_on=False)
        self.rig = Rig(self.asked, inputs=inputs, durable=False)
        self.reference = GuardedReference(self.asked, self.rig.ms - TICK_MS, LID_PERMIT_MS)
        self.open: list[str] = []
        self.unanswered: list[WriteRecord] = []
        self.read = 0
        self.air_since_ms: int | None = None
        self.asked_ms: int | None = None
        self.put_right()

    def put_right(self) -> None:
        """Everything that a start waits for is as it has to be."""
        self.lid(closed=True)
        self.fire(closed=True)
        self.key(on=False)
        self.chiller(closed=True)
        self.wait(120)

    def absorb(self) -> None:
        """Every new effect once: S8 and S10 are looked at here, at the instant of the effect."""
        for effect in self.rig.effects[self.read :]:
            if isinstance(effect, SetExtraction):
                self.air_since_ms = self.rig.ms if effect.on else None
            if isinstance(effect, SetRelay) and effect.on:
                # Within one step; `absorb` is called after every tick of `wait`.
                assert self.air_since_ms is not None, "S10: no air"
                assert self.rig.ms - self.air_since_ms >= GUARDED.pre_run_s * 1_000, (
                    "S10: too short"
                )
            if isinstance(effect, WriteRecord) and effect.type == "session_started":
                self.unanswered.append(effect)
            if isinstance(effect, WriteRecord) and effect.type == "session_voided":
                self.open.remove(effect.body["session"])
            if isinstance(effect, WriteRecord) and effect.type == "session_ended":
                self.open.remove(effect.body["session"])
                self.look_at_the_warning(effect)
        self.read = len(self.rig.effects)
        if self.rig.at() is not State.ENDING:
            self.asked_ms = None
        elif self.asked_ms is None:
            self.asked_ms = self.rig.ms

    def look_at_the_warning(self, ended: WriteRecord) -> None:
        """S8."""
        if ended.body["how"] in FORCED or self.rig.inputs.busy is False:
            return
        assert self.asked_ms is not None, "S8: cut without a warning"
        assert self.rig.ms - self.asked_ms >= GUARDED.warning_s * 1_000, "S8: warned too shortly"

    def wait(self, ms: int) -> None:
        for _ in range(ms // TICK_MS):
            self.rig.pass_ms(TICK_MS)
            self.reference.time_passed(self.rig.ms)
            self.absorb()

    wait = rule(ms=st.sampled_from([20, 100, 520, 1_020, 2_020, 3_020]))(wait)

    @precondition(lambda self: not self.rig.is_on and self.rig.at() is not State.STARTING)
    @rule(entry=st.sampled_from([ADA, BEN]), answered=st.booleans())
    def start(self, entry: Entry, answered: bool) -> None:
        """Everything is put right, an entitled badge arrives; `answered`: and its pre-run is waited for."""
        self.journal(works=True)
        self.reader_recovers()
        self.stop_button(pressed=False)
        self.emergency_stop(closed=True)
        self.broken_button(pressed=False)
        self.motor(busy=False)
        self.put_right()
        if self.reference.locked_out:
            self.arrive(TECHNICIAN, 0)
        if not answered:
            self.arrive(entry, 0)
            return
        self.arrive_and_record(entry, 0)
        self.wait(1_020)

    def arrive_and_record(self, entry: Entry, ago_ms: int) -> None:
        """The journal answers at once, should anybody have been let in."""
        waiting = len(self.unanswered)
        self.arrive(entry, ago_ms)
        if len(self.unanswered) > waiting:
            self.answer(self.unanswered[-1], works=True)

    @rule()
    def lid_falls_shut_as_a_badge_arrives(self) -> None:
        """A lid that has just been closed still bounces."""
        self.put_right()
        self.lid(closed=False)
        self.lid(closed=True)
        self.arrive_and_record(ADA, 0)

    @rule()
    def key_returns_while_a_badge_is_read(self) -> None:
        """The reader saw the badge while the key powered the machine and reports it after."""
        self.put_right()
        self.key(on=True)
        self.wait(120)
        self.key(on=False)
        self.wait(100)
        self.arrive_and_record(BEN, 5)

    def levels(self, index: int, closed: bool) -> None:
        before = self.rig.inputs.interlocks_closed
        after = tuple(closed if place == index else level for place, level in enumerate(before))
        self.rig.sample(interlocks_closed=after)

    @rule(closed=st.booleans())
    def lid(self, closed: bool) -> None:
        changed = self.rig.inputs.interlocks_closed[0] is not closed
        self.levels(0, closed)
        if changed:
            self.reference.lid(closed, self.rig.ms)
        self.reference.time_passed(self.rig.ms)
        self.absorb()

    @rule(closed=st.booleans())
    def fire(self, closed: bool) -> None:
        self.levels(1, closed)
        self.reference.fire(closed, self.rig.ms)
        self.reference.time_passed(self.rig.ms)
        self.absorb()

    @rule(closed=st.sampled_from([True, True, False, None]))
    def chiller(self, closed: bool | None) -> None:
        self.rig.give(RemoteInterlockReported("chiller", closed))
        self.reference.chiller = closed
        self.absorb()

    @rule(on=st.booleans())
    def key(self, on: bool) -> None:
        def predict() -> None:
            self.reference.turn(on, self.rig.ms)

        self.sample(predict, bypass_on=on)

    def stop_button(self, pressed: bool) -> None:
        def predict() -> None:
            self.reference.stop_held = pressed
            if pressed:
                self.reference.stopped(self.rig.ms)

        self.sample(predict, stop_pressed=pressed)

    stop_button = rule(pressed=st.booleans())(stop_button)

    def emergency_stop(self, closed: bool) -> None:
        def predict() -> None:
            self.reference.chain_closed = closed
            if closed:
                self.reference.gate_ms = self.rig.ms
            else:
                self.reference.stopped(self.rig.ms)

        self.sample(predict, emergency_stop_closed=closed)

    emergency_stop = rule(closed=st.booleans())(emergency_stop)

    @invariant()
    def the_reference_model_agrees_about_the_air(self) -> None:
        """S10."""
        assert self.rig.air_on == self.reference.air

    @invariant()
    def an_open_interlock_or_a_fire_means_coil_off(self) -> None:
        lid, fire, _ = self.rig.inputs.interlocks_closed
        assert not (self.rig.is_on and not (lid and fire))
        assert fire or not self.rig.air_on

    @invariant()
    def unmetered_is_the_key_alone(self) -> None:
        if self.rig.at() is State.UNMETERED:
            assert not self.rig.is_on
            assert self.rig.state.unmetered_since_ms is not None


class GuardedHoldLife(GuardedLife):
    asked = replace(GUARDED, badge_use=BadgeUse.HOLD)


TestGuarded = GuardedLife.TestCase
TestGuarded.settings = LIVES
TestGuardedHold = GuardedHoldLife.TestCase
TestGuardedHold.settings = LIVES
