"""Declared interlocks: an open one starts nobody and stops everybody, and it is named each time."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.core.effects import Message, SetRelay, WriteRecord
from interlock.core.events import RemoteInterlockReported
from interlock.core.interlocks import REMOTE_FRESH_MS, Contact
from interlock.core.model import Interlock, Rules
from interlock.core.states import State
from tests.core.rig import ADA, BEN, QUIET, TAP, TICK_MS, Rig

pytestmark = pytest.mark.fast

LID = Interlock("lid", permit_after_ms=500)
AIR = Interlock("air flow", permit_after_ms=500, trip_after_ms=2_000)
CHILLER = Interlock("chiller", remote=True)
GUARDED = replace(TAP, interlocks=(LID, AIR))
COOLED = replace(TAP, interlocks=(CHILLER,))
ALL_CLOSED = replace(QUIET, interlocks_closed=(True, True))


def guarded(rules: Rules = GUARDED) -> Rig:
    """A machine whose interlocks have been closed for long enough."""
    rig = Rig(rules, inputs=ALL_CLOSED)
    rig.pass_ms(600)
    return rig


def running(rules: Rules = GUARDED) -> Rig:
    rig = guarded(rules)
    rig.arrive(ADA)
    rig.pass_ms(100)
    rig.sample(busy=True)
    assert rig.is_on
    return rig


def levels(lid: bool, air: bool) -> dict[str, tuple[bool, bool]]:
    return {"interlocks_closed": (lid, air)}


# ----------------------------------------------------------------------------------------- one contact


def test_a_contact_permits_only_after_its_time_without_a_break() -> None:
    contact = Contact()
    seen = []
    for at_ms, level in [(0, True), (400, True), (420, False), (440, True), (930, True)]:
        contact = contact.sampled(LID, level, at_ms)
        seen.append(contact.permits)
    assert seen == [False] * 5
    assert contact.sampled(LID, True, 940).permits


def test_a_contact_without_a_trip_time_opens_on_its_first_sample() -> None:
    closed = Contact(True, 0)
    assert not closed.sampled(LID, False, 20).permits
    assert not closed.sampled(LID, None, 20).permits, "not sampled is not closed"


def test_a_flutter_within_the_trip_time_is_forgiven_and_one_beyond_it_is_not() -> None:
    contact = Contact(True, 0).sampled(AIR, False, 1_000)
    contact = contact.sampled(AIR, True, 1_100).sampled(AIR, True, 1_700)
    assert contact.is_settled
    contact = contact.sampled(AIR, False, 3_000)
    for at_ms in range(3_100, 4_900, 200):
        contact = contact.sampled(AIR, True, at_ms).sampled(AIR, False, at_ms + 100)
        assert contact.permits, at_ms
    assert not contact.sampled(AIR, True, 5_000).permits, "never closed for half a second"


@given(
    st.lists(st.tuples(st.integers(0, 700), st.sampled_from([True, False, None])), max_size=40),
    st.integers(0, 1_000),
    st.integers(0, 1_000),
)
def test_no_contact_permits_without_its_time_closed_behind_it(
    steps: list[tuple[int, bool | None]], permit_after_ms: int, trip_after_ms: int
) -> None:
    """An independent reading of the whole history: closed long enough once, never open too long since."""
    declared = Interlock("any", permit_after_ms, trip_after_ms)
    contact, at_ms, permits = Contact(), 0, False
    closed_ms: int | None = None
    broken_ms: int | None = 0
    for passed_ms, level in steps:
        at_ms += passed_ms
        closed_ms = (at_ms if closed_ms is None else closed_ms) if level is True else None
        if closed_ms is not None and at_ms - closed_ms >= permit_after_ms:
            permits, broken_ms = True, None
        elif broken_ms is None:
            broken_ms = at_ms
        if broken_ms is not None and at_ms - broken_ms >= trip_after_ms:
            permits = False
        contact = contact.sampled(declared, level, at_ms)
        assert contact.permits is permits


# ----------------------------------------------------------------------------------------- at the machine


def test_an_open_interlock_starts_nobody_and_is_named() -> None:
    rig = guarded()
    rig.sample(**levels(lid=True, air=False))
    rig.pass_ms(100)
    assert (rig.panel.message, rig.panel.detail) == (Message.INTERLOCK_OPEN, "air flow")
    rig.arrive(ADA)
    assert (rig.relay, rig.refusals()) == ([], ["INTERLOCK_OPEN"])
    assert (rig.panel.reason, rig.panel.detail) == ("INTERLOCK_OPEN", "air flow")


def test_an_interlock_that_was_never_sampled_counts_as_open() -> None:
    rig = Rig(GUARDED)
    rig.pass_ms(5_000)
    rig.arrive(ADA)
    assert (rig.relay, rig.refusals()) == ([], ["INTERLOCK_OPEN"])


def test_a_start_asks_for_more_than_a_running_machine_does() -> None:
    """An air flow that flutters within its trip time runs on, but nobody begins with it."""
    rig = guarded()
    rig.sample(**levels(lid=True, air=False))
    rig.sample(**levels(lid=True, air=True))
    rig.arrive(ADA)
    assert rig.refusals() == ["INTERLOCK_OPEN"]


@pytest.mark.parametrize("is_busy", [True, False])
@pytest.mark.parametrize("in_ending", [True, False])
def test_an_interlock_that_opens_cuts_at_once_and_record_and_screen_name_it(
    is_busy: bool, in_ending: bool
) -> None:
    rig = running()
    if in_ending:
        rig.arrive(ADA)
        assert rig.at() is State.ENDING
    if not in_ending:
        rig.sample(busy=is_busy)
    effects = rig.sample(**levels(lid=False, air=True))
    assert effects[0] == SetRelay(False)
    (body,) = rig.written("session_ended")
    assert (body["how"], body["interlocks"]) == ("interlock_opened", ["lid"])
    assert (rig.panel.message, rig.panel.detail) == (Message.INTERLOCK_TRIPPED, "lid")
    rig.sample(**levels(lid=True, air=True))
    rig.pass_ms(5_000)
    assert [on for _, on in rig.relay] == [True, False], "closing it again closes nothing"


def test_several_interlocks_that_open_together_are_all_recorded() -> None:
    rig = running(replace(GUARDED, interlocks=(LID, replace(AIR, trip_after_ms=0))))
    rig.sample(**levels(lid=False, air=False))
    assert rig.written("session_ended")[0]["interlocks"] == ["lid", "air flow"]


def test_a_trip_time_holds_the_power_exactly_as_long() -> None:
    rig = running()
    rig.sample(**levels(lid=True, air=False))
    opened_ms = rig.ms
    rig.pass_ms(3_000)
    assert not rig.is_on
    assert 0 <= rig.relay[-1][0] - opened_ms - AIR.trip_after_ms <= TICK_MS


def test_an_interlock_that_opens_while_the_start_is_recorded_voids_it() -> None:
    rig = guarded()
    rig.durable = False
    (write,) = [e for e in rig.arrive(ADA) if isinstance(e, WriteRecord)]
    rig.sample(**levels(lid=False, air=True))
    assert (rig.at(), rig.panel.detail) == (State.LOCKED, "lid")
    rig.sample(**levels(lid=True, air=True))
    rig.pass_ms(600)
    rig.answer(write)
    assert (rig.relay, rig.types()[-1]) == ([], "session_voided")


def test_an_interlock_that_only_flickers_while_the_start_is_recorded_voids_it_by_name() -> None:
    rig = guarded()
    rig.durable = False
    (write,) = [e for e in rig.arrive(ADA) if isinstance(e, WriteRecord)]
    rig.sample(**levels(lid=True, air=False))
    rig.answer(write)
    assert rig.relay == []
    (void,) = rig.written("session_voided")
    assert void == {"session": "1.1", "why": "INTERLOCK_OPEN", "detail": "air flow"}


# ------------------------------------------------------------------------------------------ other nodes


def cooled(closed: bool | None = True) -> Rig:
    rig = Rig(COOLED)
    rig.give(RemoteInterlockReported("chiller", closed))
    rig.pass_ms(TICK_MS)
    return rig


@pytest.mark.parametrize(
    ("closed", "message"),
    [(False, Message.INTERLOCK_OPEN), (None, Message.INTERLOCK_UNKNOWN)],
)
def test_another_nodes_interlock_that_is_not_closed_starts_nobody(
    closed: bool | None, message: Message
) -> None:
    rig = cooled(closed)
    assert (rig.panel.message, rig.panel.detail) == (message, "chiller")
    rig.arrive(ADA)
    assert (rig.relay, rig.refusals(), rig.panel.detail) == ([], ["INTERLOCK_OPEN"], "chiller")
    rig.give(RemoteInterlockReported("chiller", True))
    assert rig.relay == [], "a report from the network closes nothing"
    rig.arrive(ADA)
    assert rig.is_on


def test_another_nodes_interlock_that_nobody_spoke_of_starts_nobody() -> None:
    rig = Rig(COOLED)
    rig.arrive(ADA)
    assert (rig.relay, rig.refusals()) == ([], ["INTERLOCK_OPEN"])


@pytest.mark.parametrize(("late_ms", "starts"), [(0, True), (1, False)])
def test_a_report_is_believed_for_its_time_and_no_longer(late_ms: int, starts: bool) -> None:
    rig = Rig(COOLED)
    rig.give(RemoteInterlockReported("chiller", True))
    rig.ms += REMOTE_FRESH_MS + late_ms - 1
    rig.arrive(ADA)
    assert rig.is_on is starts


@pytest.mark.parametrize(("late_ms", "starts"), [(0, True), (1, False)])
def test_a_report_is_as_old_as_its_word_and_not_as_its_arrival(late_ms: int, starts: bool) -> None:
    rig = Rig(COOLED)
    rig.give(RemoteInterlockReported("chiller", True, age_ms=REMOTE_FRESH_MS - 5_000))
    rig.ms += 5_000 + late_ms - 1
    rig.arrive(ADA)
    assert rig.is_on is starts


@pytest.mark.parametrize("closed", [None, False])
def test_another_nodes_interlock_never_cuts_a_job_and_ends_the_session_with_it(
    closed: bool | None,
) -> None:
    rig = cooled()
    rig.arrive(ADA)
    rig.pass_ms(100)
    rig.sample(busy=True)
    rig.give(RemoteInterlockReported("chiller", closed))
    rig.pass_ms(TAP.warning_s * 1_000 * 3)
    assert (rig.is_on, rig.panel.detail) == (True, "chiller")
    assert rig.panel.message in (Message.INTERLOCK_UNKNOWN, Message.INTERLOCK_OPEN)
    rig.sample(busy=False)
    assert not rig.is_on
    (body,) = rig.written("session_ended")
    assert (body["how"], body["interlocks"]) == ("interlock_opened", ["chiller"])


@pytest.mark.parametrize(
    ("levels", "how"),
    [({"stop_pressed": True}, "stop_button"), ({"emergency_stop_closed": False}, "emergency_stop")],
)
def test_a_stop_is_heard_while_another_nodes_interlock_is_lost(
    levels: dict[str, bool], how: str
) -> None:
    rig = cooled()
    rig.arrive(ADA)
    rig.pass_ms(100)
    rig.sample(busy=True)
    rig.give(RemoteInterlockReported("chiller", False))
    rig.pass_ms(100)
    effects = rig.sample(**levels)
    assert effects[0] == SetRelay(False)
    assert [body["how"] for body in rig.written("session_ended")] == [how]


def test_reports_that_stop_coming_end_the_session_of_a_resting_machine() -> None:
    rig = Rig(replace(COOLED, idle_timeout_s=None))
    rig.give(RemoteInterlockReported("chiller", True))
    rig.arrive(ADA)
    rig.pass_ms(REMOTE_FRESH_MS - 40)
    assert rig.is_on
    rig.pass_ms(100)
    assert rig.written("session_ended")[0]["how"] == "interlock_opened"


@pytest.mark.parametrize("closed", [None, False])
def test_no_job_begins_in_the_idle_warning_once_another_nodes_interlock_is_not_closed(
    closed: bool | None,
) -> None:
    """Found by the simulator (I3): the warning went on, and whoever pressed start in it worked."""
    rig = cooled()
    rig.arrive(ADA)
    rig.pass_ms(31_000)
    assert rig.at() is State.ENDING
    rig.give(RemoteInterlockReported("chiller", closed))
    rig.pass_ms(TICK_MS)
    assert not rig.is_on
    (body,) = rig.written("session_ended")
    assert (body["how"], body["interlocks"]) == ("interlock_opened", ["chiller"])


def test_another_nodes_interlock_takes_no_lock_out_and_no_warned_job_away() -> None:
    rig = cooled()
    rig.arrive(ADA)
    rig.sample(busy=True)
    rig.sample(busy=True, broken_pressed=True)
    rig.give(RemoteInterlockReported("chiller", False))
    rig.pass_ms(1_000)
    assert (rig.at(), rig.is_on) == (State.ENDING, True)
    rig.sample(busy=False)
    assert (rig.at(), rig.is_on) == (State.LOCKED_OUT, False)


def test_without_a_current_sensor_a_lost_report_only_warns() -> None:
    rig = Rig(replace(COOLED, idle_timeout_s=None), inputs=replace(QUIET, busy=None))
    rig.give(RemoteInterlockReported("chiller", True))
    rig.arrive(ADA)
    rig.pass_ms(REMOTE_FRESH_MS + 5_000)
    assert (rig.is_on, rig.panel.message) == (True, Message.INTERLOCK_UNKNOWN)
    rig.give(RemoteInterlockReported("chiller", True))
    rig.pass_ms(40)
    assert rig.panel.message is Message.IN_USE


def test_reports_on_what_is_not_declared_are_not_kept() -> None:
    rig = Rig(GUARDED)
    for name in ("lid", "nowhere", "chiller"):
        rig.give(RemoteInterlockReported(name, True))
    assert rig.state.remote == ()


def test_only_the_newest_report_on_an_interlock_counts() -> None:
    rig = cooled()
    for closed in (True, False, True, False):
        rig.give(RemoteInterlockReported("chiller", closed))
    assert len(rig.state.remote) == 1
    rig.arrive(BEN)
    assert rig.relay == []
