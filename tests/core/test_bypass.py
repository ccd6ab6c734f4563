"""The bypass key: it powers the machine past us, we only see and record it, and never with our coil."""

from __future__ import annotations

from dataclasses import replace

import pytest

from interlock.core.effects import Colour, Message, WriteRecord
from interlock.core.events import BypassTurnedOff, FaultCleared
from interlock.core.model import Assurance, Fault
from interlock.core.sensing import KEY_BOUNCE_MS
from interlock.core.states import Recovered, State
from tests.core.rig import ADA, BEN, QUIET, TAP, TECHNICIAN, TICK_MS, Rig, enabled

pytestmark = pytest.mark.fast

KEYED = replace(QUIET, bypass_on=False)


def turn(rig: Rig, on: bool, *, contactor_follows: bool = True) -> None:
    """The key is turned and its chatter is over; the contactor obeys the key while our coil is off."""
    rig.sample(bypass_on=on)
    if contactor_follows and not rig.is_on:
        rig.sample(mirror_closed=not on)
    rig.pass_ms(KEY_BOUNCE_MS + TICK_MS)


def keyed() -> Rig:
    rig = Rig(inputs=KEYED)
    turn(rig, True)
    assert rig.at() is State.UNMETERED
    return rig


def test_the_key_is_recorded_when_it_is_turned_and_when_it_is_back() -> None:
    rig = keyed()
    assert rig.written("unmetered_use") == [{"phase": "began", "session": None, "duration_ms": 0}]
    assert (rig.panel.message, rig.panel.colour) == (Message.UNMETERED, Colour.GREEN)
    rig.pass_ms(60_000)
    turn(rig, False)
    _, ended = rig.written("unmetered_use")
    assert (ended["phase"], ended["session"]) == ("ended", None)
    assert abs(ended["duration_ms"] - 60_000) <= KEY_BOUNCE_MS + 3 * TICK_MS
    assert rig.at() is State.LOCKED
    assert rig.relay == [], "our coil has no part in it"


def test_a_contactor_that_the_key_closes_is_not_welded() -> None:
    rig = keyed()
    rig.pass_ms(TAP.open_time_ms * 10)
    turn(rig, False)
    rig.pass_ms(TAP.open_time_ms * 3)
    assert (rig.at(), rig.written("fault_raised")) == (State.LOCKED, [])


def test_a_contactor_that_stays_closed_when_the_key_is_back_is_welded() -> None:
    rig = keyed()
    turn(rig, False, contactor_follows=False)
    rig.pass_ms(TAP.open_time_ms)
    assert rig.written("fault_raised") == [{"fault": "contactor_welded"}]
    assert rig.types()[-1] == "fault_raised"


def test_nobody_starts_while_the_key_powers_the_machine() -> None:
    rig = keyed()
    rig.arrive(ADA)
    rig.pass_ms(3_000)
    assert (rig.relay, rig.refusals()) == ([], ["MACHINE_IN_USE"])
    turn(rig, False)
    rig.pass_ms(100)
    assert rig.relay == [], "turning it back starts nobody"
    rig.arrive(ADA)
    assert rig.is_on


def test_an_arrival_seen_before_the_key_was_back_starts_nobody() -> None:
    rig = keyed()
    turn(rig, False)
    rig.arrive(ADA, ago_ms=KEY_BOUNCE_MS + 3 * TICK_MS)
    assert rig.relay == []


def test_nobody_starts_while_the_key_still_chatters() -> None:
    rig = Rig(inputs=KEYED)
    rig.sample(bypass_on=True)
    rig.arrive(ADA)
    assert (rig.relay, rig.refusals()) == ([], ["MACHINE_IN_USE"])


def test_a_key_that_chatters_writes_two_records_and_not_twenty() -> None:
    rig = Rig(inputs=KEYED)
    for turns in range(20):
        rig.ms += 5
        rig.sample(bypass_on=turns % 2 == 0)
    turn(rig, True)
    turn(rig, False)
    assert [body["phase"] for body in rig.written("unmetered_use")] == ["began", "ended"]


def test_a_key_turned_while_the_start_is_recorded_gives_no_power_of_ours() -> None:
    rig = Rig(inputs=KEYED, durable=False)
    (write,) = [e for e in rig.arrive(ADA) if isinstance(e, WriteRecord)]
    turn(rig, True)
    assert rig.at() is State.UNMETERED
    rig.answer(write)
    rig.pass_ms(1_000)
    assert rig.relay == []
    assert {"session": "1.1", "why": "abandoned"} in rig.written("session_voided")


def test_a_key_turned_during_the_pre_run_voids_the_start() -> None:
    rig = Rig(replace(TAP, pre_run_s=2), inputs=KEYED)
    rig.arrive(ADA)
    rig.pass_ms(500)
    turn(rig, True)
    rig.pass_ms(3_000)
    assert (rig.relay, rig.air_on, rig.at()) == ([], False, State.UNMETERED)
    assert rig.written("session_voided") == [{"session": "1.1", "why": "MACHINE_IN_USE"}]


def test_a_key_turned_during_a_session_is_recorded_and_the_session_goes_on() -> None:
    rig = enabled(inputs=KEYED)
    rig.sample(busy=True)
    turn(rig, True)
    assert (rig.is_on, rig.at()) == (True, State.ENABLED)
    assert rig.written("unmetered_use") == [{"phase": "began", "session": "1.1", "duration_ms": 0}]
    rig.sample(busy=False)
    rig.follows = False
    rig.arrive(ADA)
    assert (rig.is_on, rig.at()) == (False, State.UNMETERED), "the key still powers it"
    rig.pass_ms(TAP.open_time_ms * 4)
    assert rig.written("fault_raised") == []


def test_the_stop_chain_still_ends_a_session_while_the_key_is_turned() -> None:
    """The key stands behind the emergency stop: the contactor drops, and our coil must not wait for it."""
    rig = enabled(inputs=KEYED)
    turn(rig, True)
    rig.sample(emergency_stop_closed=False, mirror_closed=True)
    assert not rig.is_on
    other = enabled(inputs=KEYED)
    other.pass_ms(200)
    turn(other, True)
    other.sample(mirror_closed=True)
    assert other.written("session_ended")[0]["how"] == "contact_lost"


def test_nobody_takes_over_while_the_key_has_not_come_back_for_good() -> None:
    rig = enabled(inputs=KEYED)
    turn(rig, True)
    rig.sample(bypass_on=False)
    rig.arrive(BEN)
    assert (rig.at(), rig.refusals()) == (State.ENABLED, ["MACHINE_IN_USE"])
    rig.sample(stop_pressed=True)
    assert (rig.is_on, rig.at()) == (False, State.UNMETERED)


def test_a_key_that_is_on_when_the_process_begins_is_recorded() -> None:
    rig = Rig(inputs=replace(QUIET, bypass_on=True, mirror_closed=False))
    rig.pass_ms(TAP.open_time_ms * 3)
    assert (rig.at(), rig.relay) == (State.UNMETERED, [])
    assert rig.types() == ["unmetered_use"]


@pytest.mark.parametrize(
    ("recovered", "state"),
    [
        (Recovered(locked_out=True), State.LOCKED_OUT),
        (Recovered(frozenset({Fault.CONTACTOR_FAILED})), State.FAULT),
    ],
)
def test_the_key_hides_no_lock_out_and_no_fault_and_is_recorded_behind_them(
    recovered: Recovered, state: State
) -> None:
    rig = Rig(inputs=KEYED, recovered=recovered)
    turn(rig, True)
    assert (rig.at(), rig.types()) == (state, ["unmetered_use"])
    if state is State.FAULT:
        rig.give(FaultCleared("u-7"))
    else:
        rig.arrive(TECHNICIAN, assurance=Assurance.AES)
    assert rig.at() is State.UNMETERED
    turn(rig, False)
    assert rig.at() is State.LOCKED


def test_broken_locks_out_behind_the_key() -> None:
    rig = keyed()
    rig.sample(broken_pressed=True)
    assert rig.at() is State.LOCKED_OUT
    turn(rig, False)
    assert rig.at() is State.LOCKED_OUT
    assert [body["phase"] for body in rig.written("unmetered_use")] == ["began", "ended"]


def test_the_run_on_goes_on_behind_the_key() -> None:
    rig = Rig(replace(TAP, run_on_s=5), inputs=KEYED)
    rig.arrive(ADA)
    rig.pass_ms(100)
    rig.arrive(ADA)
    rig.pass_ms(100)
    turn(rig, True)
    assert (rig.at(), rig.air_on) == (State.UNMETERED, True)
    turn(rig, False)
    assert (rig.at(), rig.air_on) == (State.RUN_ON, True)
    turn(rig, True)
    rig.pass_ms(6_000)
    assert (rig.at(), rig.air_on) == (State.UNMETERED, False)


def test_a_key_that_is_back_without_having_been_seen_turned_counts_nothing() -> None:
    rig = Rig(inputs=KEYED)
    rig.give(BypassTurnedOff())
    assert rig.written("unmetered_use") == [{"phase": "ended", "session": None, "duration_ms": 0}]
    assert rig.at() is State.LOCKED
