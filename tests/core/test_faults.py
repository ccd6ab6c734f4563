"""Lock-outs and contactor faults: found, latched, refused, and cleared by a technician alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from interlock.core.effects import Message
from interlock.core.events import EndRequested, FaultCleared, SnapshotActivated
from interlock.core.model import Assurance, Demands, Fault, Inputs
from interlock.core.states import EndingFacts, FaultFacts, Recovered, State
from tests.core.rig import ADA, CACHE, QUIET, TAP, TECHNICIAN, Rig, enabled

pytestmark = pytest.mark.fast

NO_SENSOR = Inputs()


def test_broken_locks_an_idle_machine_at_once_and_only_a_technician_clears_it() -> None:
    rig = Rig()
    rig.sample(broken_pressed=True)
    rig.sample(broken_pressed=False)
    assert rig.at() is State.LOCKED_OUT
    rig.pass_ms(100)
    rig.arrive(ADA)
    assert (rig.relay, rig.refusals()) == ([], ["MACHINE_LOCKED_OUT"])
    rig.arrive(TECHNICIAN)
    assert rig.at() is State.LOCKED
    assert rig.written("lock_out_cleared")[0]["by"] == TECHNICIAN.member
    assert rig.relay == [], "clearing closes nothing"


def test_broken_during_somebodys_work_asks_for_the_end_and_locks_out_afterwards() -> None:
    rig = enabled()
    rig.sample(busy=True)
    rig.sample(broken_pressed=True)
    rig.pass_ms(1_000)
    assert (rig.is_on, rig.at()) == (True, State.ENDING)
    rig.sample(busy=False)
    assert (rig.is_on, rig.at()) == (False, State.LOCKED_OUT)
    assert rig.types()[-2:] == ["lock_out_set", "session_ended"]


def test_a_power_cut_during_the_warning_does_not_lose_the_lock_out_that_was_asked() -> None:
    rig = enabled()
    rig.sample(busy=True)
    rig.sample(broken_pressed=True)
    assert (rig.at(), rig.types()[-1]) == (State.ENDING, "lock_out_set"), "on the disk by now"
    rig.sample(broken_pressed=False)
    rig.sample(broken_pressed=True)
    rig.sample(busy=False)
    assert rig.types().count("lock_out_set") == 1


def test_broken_during_an_idle_warning_cannot_be_undone_by_working_on() -> None:
    rig = enabled()
    rig.pass_ms(31_000)
    assert isinstance(rig.state.facts, EndingFacts)
    rig.sample(broken_pressed=True)
    assert rig.at() is State.LOCKED_OUT


@pytest.mark.parametrize("levels", [{"stop_pressed": True}, {"emergency_stop_closed": False}])
def test_a_stop_does_not_lose_the_lock_out_that_was_asked(levels: dict[str, bool]) -> None:
    rig = enabled()
    rig.sample(busy=True)
    rig.sample(broken_pressed=True)
    rig.sample(**levels)
    assert (rig.is_on, rig.at()) == (False, State.LOCKED_OUT)


def test_an_end_that_the_hub_asks_for_does_not_lose_the_lock_out_that_was_asked() -> None:
    rig = enabled()
    rig.sample(busy=True)
    rig.sample(broken_pressed=True)
    rig.give(EndRequested())
    rig.sample(busy=False)
    assert (rig.is_on, rig.at()) == (False, State.LOCKED_OUT)
    assert rig.written("session_ended")[0]["how"] == "hub_request"


def test_a_lock_out_survives_a_restart() -> None:
    rig = Rig(recovered=Recovered(locked_out=True))
    rig.arrive(ADA)
    assert rig.relay == []


def test_a_contactor_that_does_not_let_go_is_welded_latched_and_refuses_all() -> None:
    rig = enabled()
    rig.follows = False
    rig.arrive(ADA)
    rig.pass_ms(TAP.open_time_ms + 100)
    assert isinstance(rig.state.facts, FaultFacts)
    assert rig.written("fault_raised") == [{"fault": "contactor_welded"}]
    rig.sample(mirror_closed=True)
    rig.pass_ms(1_000)
    rig.arrive(ADA)
    assert rig.refusals() == ["MACHINE_FAULT"]
    assert not rig.is_on


def test_a_contactor_that_lets_go_just_in_time_is_no_fault() -> None:
    rig = enabled()
    rig.follows = False
    rig.arrive(ADA)
    rig.pass_ms(TAP.open_time_ms - 40)
    rig.sample(mirror_closed=True)
    rig.pass_ms(1_000)
    assert rig.at() is State.LOCKED


def test_a_contactor_that_does_not_close_ends_the_session_and_latches() -> None:
    rig = Rig()
    rig.follows = False
    rig.arrive(ADA)
    rig.pass_ms(TAP.close_time_ms + 100)
    assert not rig.is_on
    assert rig.types() == ["session_started", "session_ended", "fault_raised"]
    assert rig.written("fault_raised") == [{"fault": "contactor_failed"}]


def test_a_contact_that_bounces_while_it_closes_is_not_lost_and_one_that_leaves_then_is() -> None:
    rig = Rig()
    rig.follows = False
    rig.arrive(ADA)
    rig.ms += 15
    for closed in (False, True, False, True, False, True):
        rig.sample(mirror_closed=closed)
        rig.ms += 1
    assert rig.is_on, "auxiliary contacts bounce for some milliseconds"
    rig.pass_ms(40)
    assert not rig.is_on, "it opened for good"
    assert rig.written("session_ended")[0]["how"] == "contact_lost"


def test_a_contactor_found_closed_at_boot_is_welded() -> None:
    rig = Rig(inputs=replace(QUIET, mirror_closed=False))
    rig.pass_ms(TAP.open_time_ms + 100)
    assert rig.at() is State.FAULT


def test_a_fault_survives_a_restart_and_asks_for_a_badge_that_cannot_be_cloned() -> None:
    rig = Rig(recovered=Recovered(frozenset({Fault.CONTACTOR_WELDED}), locked_out=True))
    rig.arrive(TECHNICIAN)
    assert (rig.at(), rig.refusals()) == (State.FAULT, ["BADGE_NOT_SECURE_ENOUGH"])
    rig.arrive(TECHNICIAN, assurance=Assurance.AES)
    assert rig.at() is State.LOCKED_OUT, "the lock-out behind the fault stands"
    (cleared,) = rig.written("fault_cleared")
    assert (cleared["fault"], cleared["by"]) == ("contactor_welded", "m-tec")
    assert cleared["evidence"]["assurance"] == "aes"


def test_a_cleared_weld_that_is_still_there_is_found_again() -> None:
    rig = Rig(inputs=replace(QUIET, mirror_closed=False))
    rig.pass_ms(TAP.open_time_ms + 100)
    rig.give(FaultCleared("u-7"))
    assert rig.at() is State.LOCKED
    rig.arrive(ADA)
    assert rig.refusals() == ["MACHINE_FAULT"]
    rig.pass_ms(TAP.open_time_ms + 100)
    assert rig.at() is State.FAULT


def test_clearing_a_fault_closes_nothing_and_needs_a_new_arrival() -> None:
    rig = Rig(recovered=Recovered(frozenset({Fault.CONTACTOR_FAILED})))
    rig.ms += 5
    rig.give(FaultCleared("u-7"))
    rig.arrive(ADA, ago_ms=5)
    assert rig.relay == []
    rig.arrive(ADA)
    assert rig.is_on


def test_without_a_mirror_contact_nothing_is_claimed_about_the_contactor() -> None:
    rig = enabled(inputs=NO_SENSOR)
    rig.pass_ms(5_000)
    assert rig.at() is State.ENABLED


def test_a_lock_out_set_at_the_hub_refuses_everybody_and_leaves_the_running_job() -> None:
    rig = enabled()
    rig.sample(busy=True)
    rig.give(SnapshotActivated(CACHE, Demands(("saw",), locked_out=True)))
    rig.pass_ms(5_000)
    assert rig.is_on
    rig.sample(stop_pressed=True)
    rig.sample(stop_pressed=False, busy=False)
    rig.pass_ms(TAP.notice_s * 1_000 + 100)
    assert rig.panel.message is Message.LOCKED_OUT
    rig.arrive(ADA)
    assert rig.refusals() == ["MACHINE_LOCKED_OUT"]
    rig.give(SnapshotActivated(CACHE, Demands(("saw",))))
    assert rig.relay[-1] != (rig.ms, True), "taking it back closes nothing"
    rig.pass_ms(100)
    rig.arrive(ADA)
    assert rig.is_on


def test_broken_while_an_end_is_asked_is_recorded_once_and_locks_out_afterwards() -> None:
    rig = enabled(replace(TAP, idle_timeout_s=5))
    rig.pass_ms(5_100)
    assert rig.at() is State.ENDING
    for pressed in (True, False, True, False):
        rig.sample(broken_pressed=pressed)
        rig.pass_ms(100)
    assert rig.types().count("lock_out_set") == 1
    rig.pass_ms(TAP.warning_s * 1_000)
    assert rig.at() is State.LOCKED_OUT
