"""Every panel whole: colour, lamp, buzzer, words, since when, in whose language, and all that is named on it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from interlock.core import outputs
from interlock.core.effects import Colour, Message, Panel, Pattern
from interlock.core.events import (
    BadgeRemoved,
    FaultCleared,
    InputsSampled,
    JournalFailed,
    NoticeGiven,
    RemoteInterlockReported,
    SnapshotActivated,
)
from interlock.core.model import Demands, Fault, Reason
from interlock.core.states import FaultFacts, State
from tests.core.rig import ADA, BEN, CACHE, TAP, TECHNICIAN, Rig, enabled
from tests.core.test_outputs import AIRED, COOLED, SITUATIONS

pytestmark = pytest.mark.fast

WHITE, GREEN, BLUE = Colour.WHITE, Colour.GREEN, Colour.BLUE
YELLOW, RED = Colour.YELLOW, Colour.RED
OFF, STEADY = Pattern.OFF, Pattern.STEADY
SLOW, FAST, DOUBLE = Pattern.SLOW_BLINK, Pattern.FAST_BLINK, Pattern.DOUBLE_BLINK
ONE, TWO, WARNING = Pattern.ONE_BEEP, Pattern.TWO_BEEPS, Pattern.WARNING_BEEPS
M = Message

BEGAN_MS = 10_021
"""When the first badge of every situation was seen."""

PANELS = {
    "ready": Panel(WHITE, STEADY, OFF, M.READY),
    "starting": Panel(BLUE, FAST, OFF, M.STARTING, BEGAN_MS, "fr", name="Ada"),
    "in use": Panel(GREEN, STEADY, ONE, M.IN_USE, BEGAN_MS, "fr", name="Ada", seconds=0),
    "badge missing": Panel(
        GREEN, FAST, WARNING, M.BADGE_MISSING, BEGAN_MS + 100, "fr", name="Ada", seconds=2
    ),
    "ending": Panel(YELLOW, FAST, WARNING, M.ENDING, BEGAN_MS + 101, "fr", name="Ada", seconds=5),
    "idle soon off": Panel(
        YELLOW, FAST, WARNING, M.IDLE_SOON_OFF, BEGAN_MS + 30_000, "fr", name="Ada", seconds=5
    ),
    "refused": Panel(
        *(YELLOW, DOUBLE, TWO, M.REFUSED, BEGAN_MS, "fr"), reason=Reason.NOT_TRAINED, training="saw"
    ),
    "session ended": Panel(
        WHITE, DOUBLE, OFF, M.SESSION_ENDED, BEGAN_MS + 101, "fr", name="Ada", seconds=0
    ),
    "locked out": Panel(RED, SLOW, OFF, M.LOCKED_OUT),
    "fault": Panel(RED, FAST, OFF, M.FAULT, fault=Fault.CONTACTOR_WELDED),
    "emergency stop": Panel(RED, STEADY, OFF, M.EMERGENCY_STOP),
    "reader": Panel(RED, DOUBLE, OFF, M.NO_READER),
    "journal": Panel(RED, DOUBLE, OFF, M.NO_JOURNAL),
    "rights": Panel(RED, DOUBLE, OFF, M.NO_RIGHTS),
    "waiting for trainer": Panel(
        BLUE, SLOW, ONE, M.WAITING_FOR_TRAINER, BEGAN_MS, "de", name="Tin", seconds=30
    ),
    "waiting for second": Panel(
        BLUE, SLOW, ONE, M.WAITING_FOR_SECOND, BEGAN_MS, "fr", name="Ada", seconds=30
    ),
    "pre-run": Panel(BLUE, DOUBLE, OFF, M.PRE_RUN, BEGAN_MS, "fr", name="Ada", seconds=3),
    "run-on": Panel(WHITE, SLOW, OFF, M.RUN_ON, seconds=24),
    "coasting": Panel(YELLOW, SLOW, OFF, M.COASTING, seconds=10),
    "supervised": Panel(
        GREEN, STEADY, ONE, M.SUPERVISED, BEGAN_MS + 201, "de", name="Tin", seconds=0
    ),
    "confirm supervision": Panel(
        *(YELLOW, FAST, WARNING, M.CONFIRM_SUPERVISION, BEGAN_MS + 20_201, "de"),
        name="Tin",
        seconds=5,
    ),
    "training granted": Panel(
        GREEN, STEADY, ONE, M.TRAINING_GRANTED, BEGAN_MS + 302, "de", training="saw"
    ),
    "long job": Panel(GREEN, SLOW, ONE, M.LONG_JOB, BEGAN_MS, "fr", name="Ada", seconds=0),
    "low credit": Panel(GREEN, STEADY, ONE, M.LOW_CREDIT, BEGAN_MS, "fr"),
    "would be refused": Panel(
        GREEN, STEADY, TWO, M.WOULD_BE_REFUSED, BEGAN_MS, "fr", reason=Reason.NOT_TRAINED
    ),
    "interlock open": Panel(YELLOW, STEADY, OFF, M.INTERLOCK_OPEN, detail="lid"),
    "interlock tripped": Panel(
        YELLOW, STEADY, TWO, M.INTERLOCK_TRIPPED, BEGAN_MS, "fr", detail="lid"
    ),
    "not seen": Panel(YELLOW, STEADY, OFF, M.INTERLOCK_UNKNOWN, detail="chiller"),
    "not seen while running": Panel(
        GREEN, SLOW, TWO, M.INTERLOCK_UNKNOWN, BEGAN_MS, "fr", detail="chiller"
    ),
    "unmetered": Panel(GREEN, DOUBLE, OFF, M.UNMETERED, 10_120),
    "from hub": Panel(WHITE, FAST, TWO, M.FROM_HUB, 10_020, detail="Coffee is ready"),
    "identify": Panel(WHITE, FAST, TWO, M.IDENTIFY, 10_020),
}


@pytest.mark.parametrize("name", SITUATIONS)
def test_every_panel_says_all_it_has_to_and_nothing_else(name: str) -> None:
    assert SITUATIONS[name]().panel == PANELS[name]


def test_a_notice_has_a_look_of_its_own_at_a_machine_that_is_off() -> None:
    looks = {
        message: (shown.colour, shown.lamp, shown.buzzer)
        for message in Message
        for shown in [_with_notice(Rig(), message)]
    }
    plain = (WHITE, DOUBLE, OFF)
    assert {message: look for message, look in looks.items() if look != plain} == {
        M.REFUSED: (YELLOW, DOUBLE, TWO),
        M.INTERLOCK_TRIPPED: (YELLOW, STEADY, TWO),
        M.TRAINING_GRANTED: (WHITE, DOUBLE, ONE),
        M.FROM_HUB: (WHITE, FAST, TWO),
        M.IDENTIFY: (WHITE, FAST, TWO),
        M.WOULD_BE_REFUSED: (YELLOW, DOUBLE, TWO),
    }


def test_what_the_hub_says_over_a_warning_is_heard_and_leaves_the_warning_whole() -> None:
    for name in ("fault", "locked out", "emergency stop", "ending", "not seen"):
        rig = SITUATIONS[name]()
        before = rig.panel
        rig.ms += 7
        rig.give(NoticeGiven(Message.FROM_HUB, "Coffee is ready", 60_000))
        assert rig.panel == replace(before, buzzer=TWO, since_ms=rig.ms), name


def test_a_word_of_the_hub_goes_after_as_long_as_the_hub_said() -> None:
    rig = Rig()
    rig.give(NoticeGiven(Message.FROM_HUB, "Coffee is ready", 3_000))
    rig.pass_ms(2_999)
    assert rig.panel == PANELS["from hub"]
    rig.pass_ms(1)
    assert rig.panel == PANELS["ready"]


def test_what_tripped_is_told_for_the_notice_time() -> None:
    rig = SITUATIONS["interlock tripped"]()
    rig.pass_ms(TAP.notice_s * 1_000 - 1)
    assert rig.panel == PANELS["interlock tripped"]
    rig.pass_ms(1)
    assert rig.panel == PANELS["interlock open"]


def test_a_countdown_rounds_up_and_ends_at_nought() -> None:
    rig = SITUATIONS["ending"]()
    until_ms = rig.ms + TAP.warning_s * 1_000
    left_s = {
        left_ms: outputs.panel(rig.state, until_ms - left_ms).seconds
        for left_ms in (5_000, 4_001, 4_000, 1_001, 1_000, 1, 0, -1, -5_000)
    }
    assert left_s == {
        5_000: 5,
        4_001: 5,
        4_000: 4,
        1_001: 2,
        1_000: 1,
        1: 1,
        0: 0,
        -1: 0,
        -5_000: 0,
    }


def test_the_length_of_a_session_is_told_in_whole_seconds_while_it_runs_and_when_it_ends() -> None:
    rig = enabled()
    told = [outputs.panel(rig.state, BEGAN_MS + ms).seconds for ms in (-1, 999, 1_000, 61_999)]
    assert told == [0, 0, 1, 61]
    rig.pass_ms(2_900)
    rig.arrive(ADA)
    assert (rig.panel.message, rig.panel.seconds) == (M.SESSION_ENDED, 3)
    assert rig.written("session_ended")[0]["enabled_ms"] == 3_001


def _with_notice(rig: Rig, message: Message) -> Panel:
    rig.give(NoticeGiven(message, None, 1_000))
    return rig.panel


# --------------------------------------------------------------------- a tool that turns, air that runs

COASTS = replace(TAP, coast_down_s=10)


def test_a_tool_still_turns_until_its_last_millisecond_and_then_the_session_is_told() -> None:
    rig = enabled(COASTS)
    rig.arrive(ADA)
    rests_ms = rig.ms + 10_000
    assert outputs.panel(rig.state, rests_ms - 1) == Panel(YELLOW, SLOW, OFF, M.COASTING, seconds=1)
    assert outputs.panel(rig.state, rests_ms).message is M.SESSION_ENDED
    assert outputs.panel(replace(rig.state, notice=None), rests_ms) == PANELS["ready"]
    rig.pass_ms(10_000)
    assert rig.state.coasting_until_ms is None
    ended = Panel(WHITE, DOUBLE, OFF, M.SESSION_ENDED, rests_ms, "fr", name="Ada", seconds=0)
    assert rig.panel == ended
    rig.pass_ms(TAP.notice_s * 1_000 - 1)
    assert rig.panel == ended
    rig.pass_ms(1)
    assert rig.panel == PANELS["ready"]


def test_a_tool_without_a_coast_down_time_never_turns_on() -> None:
    rig = enabled()
    rig.arrive(ADA)
    assert rig.state.coasting_until_ms is None


def test_what_turns_is_said_before_a_lock_out_and_a_fault_but_never_before_a_weld() -> None:
    turning = {}
    for fault in Fault:
        rig = enabled(COASTS)
        rig.arrive(ADA)
        state = replace(rig.state, facts=FaultFacts(frozenset({fault})))
        turning[fault] = outputs.panel(state, rig.ms).message
    assert turning == {
        Fault.CONTACTOR_WELDED: M.FAULT,
        Fault.CONTACTOR_FAILED: M.COASTING,
        Fault.UNEXPECTED_START: M.COASTING,
    }
    rig = enabled(COASTS)
    rig.sample(busy=True)
    rig.sample(broken_pressed=True)
    rig.sample(busy=False)
    assert (rig.at(), rig.panel.message) == (State.LOCKED_OUT, M.COASTING)
    rig.pass_ms(10_000)
    assert rig.panel == PANELS["locked out"]


def test_a_start_while_the_tool_turns_does_not_wait_for_it_and_says_so() -> None:
    rig = enabled(COASTS)
    rig.sample(stop_pressed=True)
    rig.sample(stop_pressed=False)
    rig.durable = False
    rig.arrive(ADA)
    assert rig.state.coasting_until_ms is not None
    assert rig.panel == replace(PANELS["starting"], since_ms=rig.ms)


def test_a_handover_waits_for_the_tool_and_says_so_in_place_of_the_start() -> None:
    rig = enabled(COASTS)
    rig.arrive(BEN)
    assert rig.at() is State.STARTING
    assert rig.panel == Panel(YELLOW, SLOW, OFF, M.COASTING, seconds=10)
    waits = outputs.panel(replace(rig.state, coasting_until_ms=None), rig.ms)
    assert waits == Panel(BLUE, FAST, OFF, M.STARTING, rig.ms, "en", name="Ben")


def test_air_runs_on_until_its_last_millisecond() -> None:
    rig = Rig(AIRED)
    rig.arrive(ADA)
    rig.pass_ms(3_100)
    rig.arrive(ADA)
    off_ms = rig.relay[-1][0]
    rig.pass_ms(29_999)
    assert rig.air_on
    rig.pass_ms(1)
    assert rig.air[-1] == (off_ms + 30_000, False)


def test_a_start_in_the_run_on_takes_the_run_on_into_the_session() -> None:
    """Its end must not come from the session before: the air of a running machine never stops."""
    rig = Rig(AIRED)
    rig.arrive(ADA)
    rig.pass_ms(3_100)
    rig.arrive(ADA)
    rig.pass_ms(20_000)
    rig.arrive(ADA)
    rig.pass_ms(3_100)
    assert (rig.at(), rig.state.run_on_until_ms) == (State.ENABLED, None)
    rig.pass_ms(20_000)
    assert rig.air_on


# ------------------------------------------------------------------------------- notices that go in time


def test_the_next_step_takes_the_words_of_the_one_before_from_the_screen() -> None:
    """A refusal still standing there would tell the next person a reason that is not theirs."""
    stranger = Rig(replace(TAP, second_person=True))
    stranger.arrive(None)
    stranger.arrive(ADA)
    assert stranger.panel.message is M.WAITING_FOR_SECOND
    broken = Rig()
    broken.arrive(None)
    broken.sample(broken_pressed=True)
    assert broken.panel == PANELS["locked out"]
    starting = Rig(durable=False)
    starting.arrive(None)
    starting.arrive(ADA)
    assert starting.panel.message is M.STARTING
    slow = Rig(durable=False)
    slow.arrive(ADA)
    slow.arrive(BEN)
    assert slow.panel.reason is Reason.MACHINE_IN_USE
    slow.durable = True
    slow.answer(slow.asked("session_started"))
    assert slow.panel == replace(PANELS["in use"], since_ms=slow.ms)
    slow.sample(busy=True)
    slow.arrive(None)
    slow.arrive(ADA)
    assert slow.panel.message is M.ENDING
    slow.sample(broken_pressed=True)
    slow.sample(busy=False, broken_pressed=False)
    assert slow.panel == PANELS["locked out"]
    slow.arrive(None)
    slow.arrive(TECHNICIAN)
    assert slow.panel == PANELS["ready"]
    faulty = SITUATIONS["fault"]()
    faulty.sample(mirror_closed=True)
    faulty.arrive(ADA)
    assert faulty.panel.reason is Reason.MACHINE_FAULT
    faulty.give(FaultCleared("u-7"))
    assert faulty.panel == PANELS["ready"]


def test_a_session_that_another_node_s_interlock_ends_is_told_like_any_end() -> None:
    rig = Rig(COOLED)
    rig.give(RemoteInterlockReported("chiller", True))
    rig.arrive(ADA)
    rig.give(RemoteInterlockReported("chiller", False))
    rig.give(InputsSampled(rig.inputs))
    assert rig.written("session_ended")[0]["interlocks"] == ["chiller"]
    assert rig.panel.message is M.SESSION_ENDED
    rig.pass_ms(TAP.notice_s * 1_000)
    assert rig.panel == Panel(YELLOW, STEADY, OFF, M.INTERLOCK_OPEN, detail="chiller")


def test_a_badge_that_is_back_takes_the_warning_from_the_screen() -> None:
    rig = SITUATIONS["badge missing"]()
    rig.arrive(ADA)
    assert rig.panel == PANELS["in use"]
    rig.give(BadgeRemoved())
    assert rig.panel == replace(PANELS["badge missing"], since_ms=rig.ms)


# ------------------------------------------------------------------------------- the worst one is said


def test_of_several_faults_the_one_that_may_still_power_the_machine_is_said() -> None:
    said = {}
    for others in ((), (Fault.CONTACTOR_FAILED,), (Fault.UNEXPECTED_START,), tuple(Fault)):
        for fault in Fault:
            state = replace(Rig().state, facts=FaultFacts(frozenset({fault, *others})))
            said[fault, others] = outputs.panel(state, BEGAN_MS)
    worst = {
        Fault.CONTACTOR_WELDED: Fault.CONTACTOR_WELDED,
        Fault.CONTACTOR_FAILED: Fault.CONTACTOR_FAILED,
        Fault.UNEXPECTED_START: Fault.UNEXPECTED_START,
    }
    failed = {**worst, Fault.UNEXPECTED_START: Fault.CONTACTOR_FAILED}
    welded = dict.fromkeys(Fault, Fault.CONTACTOR_WELDED)
    assert said == {
        (fault, others): Panel(RED, FAST, OFF, M.FAULT, fault=of[fault])
        for others, of in (
            ((), worst),
            ((Fault.CONTACTOR_FAILED,), failed),
            ((Fault.UNEXPECTED_START,), worst),
            (tuple(Fault), welded),
        )
        for fault in Fault
    }


def test_a_lock_out_of_the_hub_looks_like_any_and_gives_way_to_a_stop_alone() -> None:
    rig = Rig()
    rig.give(SnapshotActivated(CACHE, Demands(("saw",), locked_out=True)))
    assert rig.panel == PANELS["locked out"]
    rig.give(JournalFailed("disk full"))
    assert rig.panel == PANELS["locked out"]
    rig.sample(emergency_stop_closed=False)
    assert rig.panel == PANELS["emergency stop"]
