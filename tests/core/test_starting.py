"""A start: durable before the relay closes, and only on an arrival that counts."""

from __future__ import annotations

import pytest

from interlock.core.effects import Message, WriteRecord
from interlock.core.events import (
    BadgeFound,
    BadgeRemoved,
    JournalFailed,
    JournalRecovered,
    ReaderFailed,
    ReaderRecovered,
    SnapshotActivated,
)
from interlock.core.model import Cache, Demands, Inputs, Reason, Rules
from interlock.core.states import State
from tests.core.rig import ADA, BEN, CACHE, HOLD, TAP, UNTRAINED, Rig

pytestmark = pytest.mark.fast

NO_SENSOR = Inputs()


def test_a_trained_member_gets_power_only_after_the_start_record_is_durable() -> None:
    rig = Rig(durable=False)
    effects = rig.arrive(ADA)
    writes = [e for e in effects if isinstance(e, WriteRecord)]
    assert [w.type for w in writes] == ["session_started"]
    rig.pass_ms(500)
    assert rig.relay == []
    rig.answer(writes[0])
    assert [on for _, on in rig.relay] == [True]


def test_the_start_record_names_member_and_tag_and_carries_its_evidence() -> None:
    rig = Rig()
    rig.arrive(ADA)
    (body,) = rig.written("session_started")
    assert (body["member"], body["tag"]) == (ADA.member, ADA.tag.hex())
    evidence = body["evidence"]
    assert evidence["entry"]["rights"][0]["training"] == "saw"
    assert evidence["rules"]["trainings"] == ["saw"]
    assert evidence["snapshot"] == [1, 1]
    assert evidence["state"] == "locked"


def test_an_untrained_member_is_refused_with_reason_and_training_and_no_power() -> None:
    rig = Rig()
    rig.arrive(UNTRAINED)
    rig.pass_ms(3_000)
    assert rig.relay == []
    assert rig.refusals() == ["NOT_TRAINED"]
    assert (rig.panel.message, rig.panel.training) == (Message.REFUSED, "saw")


def test_a_refusal_leaves_the_screen_after_its_notice_time() -> None:
    rig = Rig()
    rig.arrive(UNTRAINED)
    rig.pass_ms(TAP.notice_s * 1_000 + 100)
    assert rig.panel.message is Message.READY


def test_a_start_that_is_not_durable_within_its_deadline_is_refused_and_never_closes() -> None:
    rig = Rig(durable=False)
    (write,) = [e for e in rig.arrive(ADA) if isinstance(e, WriteRecord)]
    rig.pass_ms(TAP.start_deadline_ms + 40)
    assert rig.at() is State.LOCKED
    assert rig.panel.reason == "CANNOT_RECORD"
    rig.arrive(BEN)
    assert rig.refusals() == ["CANNOT_RECORD"], "the journal is suspect: refused at once"
    rig.answer(write)
    assert rig.relay == []
    assert rig.written("session_voided") == [{"session": "1.1", "why": "abandoned"}]
    rig.durable = True
    rig.arrive(BEN)
    assert rig.is_on, "the late answer proved that the journal works again"


def test_a_failed_start_record_refuses_and_the_next_badge_may_try_again() -> None:
    rig = Rig(durable=False)
    (write,) = [e for e in rig.arrive(ADA) if isinstance(e, WriteRecord)]
    rig.answer(write, failed=True)
    assert (rig.at(), rig.relay) == (State.LOCKED, [])
    rig.durable = True
    rig.arrive(ADA)
    assert rig.is_on


@pytest.mark.parametrize(
    ("levels", "reason"),
    [
        ({"emergency_stop_closed": False}, "EMERGENCY_STOP"),
        ({"machine_switch_on": True}, "MACHINE_SWITCH_ON"),
        ({"busy": True}, "MACHINE_SWITCH_ON"),
        ({"mirror_closed": False}, "MACHINE_FAULT"),
        ({"stop_pressed": True}, "INTERLOCK_OPEN"),
    ],
)
def test_an_input_that_forbids_closing_refuses_the_badge(
    levels: dict[str, bool], reason: str
) -> None:
    rig = Rig()
    rig.sample(**levels)
    rig.arrive(ADA)
    assert (rig.relay, rig.refusals()) == ([], [reason])


@pytest.mark.parametrize(
    "levels", [{"machine_switch_on": True}, {"busy": True}, {"mirror_closed": False}]
)
def test_a_level_that_turns_bad_while_the_start_is_recorded_voids_it(
    levels: dict[str, bool],
) -> None:
    rig = Rig(durable=False)
    (write,) = [e for e in rig.arrive(ADA) if isinstance(e, WriteRecord)]
    rig.sample(**levels)
    rig.answer(write)
    assert (rig.relay, rig.at()) == ([], State.LOCKED)
    assert rig.types()[-1] == "session_voided"


@pytest.mark.parametrize(("newer", "closes"), [((1, 1), True), ((1, 2), False), ((2, 1), False)])
def test_rights_that_changed_while_the_start_is_recorded_ask_for_the_badge_again(
    newer: tuple[int, int], closes: bool
) -> None:
    rig = Rig(durable=False)
    (write,) = [e for e in rig.arrive(ADA) if isinstance(e, WriteRecord)]
    rig.give(SnapshotActivated(Cache(newer, age_s=0), Demands(("saw",))))
    rig.answer(write)
    assert (rig.is_on, rig.panel.reason) == (closes, None if closes else Reason.PRESENT_AGAIN)
    assert (rig.types()[-1] == "session_voided") is not closes


@pytest.mark.parametrize("use", [TAP, HOLD])
@pytest.mark.parametrize("levels", [{"stop_pressed": True}, {"emergency_stop_closed": False}])
def test_a_stop_while_the_start_is_recorded_abandons_it(
    use: Rules, levels: dict[str, bool]
) -> None:
    rig = Rig(use, durable=False)
    (write,) = [e for e in rig.arrive(ADA) if isinstance(e, WriteRecord)]
    rig.sample(**levels)
    rig.sample(stop_pressed=False, emergency_stop_closed=True)
    rig.answer(write)
    rig.pass_ms(200)
    assert (rig.relay, rig.at()) == ([], State.LOCKED)


def test_in_hold_a_badge_taken_away_before_the_relay_closed_abandons_the_start() -> None:
    rig = Rig(HOLD, durable=False)
    (write,) = [e for e in rig.arrive(ADA) if isinstance(e, WriteRecord)]
    rig.give(BadgeRemoved())
    rig.answer(write)
    assert (rig.relay, rig.types()[-1]) == ([], "session_voided")


def test_in_tap_a_badge_taken_away_before_the_relay_closed_still_starts() -> None:
    rig = Rig(TAP, durable=False)
    (write,) = [e for e in rig.arrive(ADA) if isinstance(e, WriteRecord)]
    rig.give(BadgeRemoved())
    rig.answer(write)
    assert rig.is_on


def test_a_journal_that_dies_while_starting_gives_no_power() -> None:
    rig = Rig(durable=False)
    rig.arrive(ADA)
    rig.give(JournalFailed("I/O error"))
    assert (rig.relay, rig.at()) == ([], State.LOCKED)
    assert rig.panel.reason == "CANNOT_RECORD"
    rig.give(JournalRecovered())
    assert rig.state.journal_trouble is None


def test_no_snapshot_no_power() -> None:
    rig = Rig()
    rig.arrive(ADA, cache=Cache(None))
    assert (rig.relay, rig.refusals()) == ([], ["NO_CACHE"])


def test_a_badge_found_lying_in_the_field_opens_nothing() -> None:
    rig = Rig()
    rig.give(BadgeFound())
    rig.pass_ms(500)
    assert (rig.relay, rig.panel.reason) == ([], "PRESENT_AGAIN")


@pytest.mark.parametrize(
    "gate",
    [
        {"stop_pressed": True},
        {"emergency_stop_closed": False},
        {"broken_pressed": True},
    ],
)
def test_an_arrival_seen_before_the_last_stop_opens_nothing(gate: dict[str, bool]) -> None:
    rig = Rig()
    rig.ms += 5
    rig.sample(**gate)
    rig.sample(stop_pressed=False, emergency_stop_closed=True, broken_pressed=False)
    rig.arrive(ADA, ago_ms=5)
    assert rig.relay == []


def test_an_arrival_seen_before_the_reader_recovered_opens_nothing() -> None:
    rig = Rig()
    rig.give(ReaderFailed("silent"))
    assert rig.panel.message is Message.NO_READER
    rig.ms += 5
    rig.give(ReaderRecovered())
    rig.arrive(ADA, ago_ms=5)
    assert (rig.relay, rig.refusals()) == ([], ["PRESENT_AGAIN"])


def test_an_arrival_that_was_held_up_on_its_way_opens_nothing() -> None:
    rig = Rig()
    rig.pass_ms(10_000)
    rig.arrive(ADA, ago_ms=TAP.start_deadline_ms + 1)
    assert (rig.relay, rig.refusals()) == ([], ["PRESENT_AGAIN"])


def test_an_arrival_of_a_reader_that_died_since_opens_nothing() -> None:
    rig = Rig()
    rig.give(ReaderFailed("silent"))
    rig.arrive(ADA)
    assert (rig.relay, rig.refusals()) == ([], ["PRESENT_AGAIN"])


def test_a_lock_out_from_the_hub_that_comes_while_starting_gives_no_power() -> None:
    rig = Rig(durable=False)
    (write,) = [e for e in rig.arrive(ADA) if isinstance(e, WriteRecord)]
    rig.give(SnapshotActivated(CACHE, Demands(("saw",), locked_out=True)))
    rig.answer(write)
    assert rig.relay == []


def test_an_arrival_seen_before_the_process_was_ready_opens_nothing() -> None:
    rig = Rig()
    rig.arrive(ADA, ago_ms=60_000)
    assert rig.relay == []
