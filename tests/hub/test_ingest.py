"""Batches of records into real SQLite: each use counted once, contradictions kept aside."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext

from interlock.errors import ProtocolError
from interlock.hub import ingest
from interlock.hub.ingest import Taken, head_of
from interlock.hub.models import (
    Alarm,
    AlarmKind,
    ChangeLog,
    Line,
    LiveState,
    Machine,
    Node,
    NodeRecord,
    Session,
    SetAside,
)
from interlock.protocol.records import RecordType, seal
from interlock.sim.clocks import VirtualClock
from tests.hub.journal import Journal
from tests.hub.lab import SmallLab, small_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

WALL_MS = 1_750_000_000_000


def take(lab: SmallLab, wires: list[dict[str, Any]]) -> Taken:
    return ingest.take(lab.enrolled.node, wires, settings.HUB_CLOCK)


def state(lab: SmallLab) -> dict[str, Any]:
    """Everything ingest can change, to compare whole histories."""
    return {
        "records": list(NodeRecord.objects.order_by("epoch", "seq").values("epoch", "seq", "hash")),
        "sessions": list(Session.objects.order_by("pk").values()),
        "lines": list(Line.objects.order_by("pk").values()),
        "machine": Machine.objects.filter(pk=lab.machine.pk).values().get(),
        "alarms": list(Alarm.objects.values("kind", "count", "closed_at")),
        "aside": list(SetAside.objects.values("epoch", "seq", "why")),
    }


def test_a_whole_session_is_stored_dated_and_priced() -> None:
    lab = small_lab()
    journal = Journal.of(lab.enrolled)
    journal.anchor(WALL_MS)
    started = journal.start(lab)
    journal.progress(started, 60, busy_s=40, idle_s=20)
    journal.end(started, 90, busy_s=50, idle_s=30)
    taken = take(lab, journal.wires())
    assert taken.head == journal.head
    assert taken.set_aside == ()
    session = Session.objects.get()
    assert (session.member, session.badge, session.payer) == (
        lab.member,
        lab.badge,
        lab.member.payer,
    )
    assert (session.enabled_ms, session.busy_ms, session.unknown_ms) == (90_000, 50_000, 10_000)
    assert session.how == "tap_off"
    assert not session.provisional
    # The anchor stands one second before the start record.
    assert session.started_at == datetime.fromtimestamp(WALL_MS / 1_000 + 1, UTC)
    assert session.ended_at == datetime.fromtimestamp(WALL_MS / 1_000 + 4, UTC)
    line = Line.objects.get()
    assert line.cents == 30  # 90 s at 12 € an hour
    assert [step["kind"] for step in line.steps] == ["enabled", "time"]


def test_the_same_batch_again_changes_nothing() -> None:
    lab = small_lab()
    journal = Journal.of(lab.enrolled)
    journal.session(lab, 600)
    first = take(lab, journal.wires())
    before = state(lab)
    changes = ChangeLog.objects.count()
    assert take(lab, journal.wires()) == first
    assert state(lab) == before
    assert ChangeLog.objects.count() == changes


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_any_cutting_into_overlapping_batches_ends_in_the_same_state(size: int) -> None:
    lab = small_lab()
    journal = Journal.of(lab.enrolled)
    journal.anchor(WALL_MS)
    for length_s in (60, 120, 3_600):
        journal.session(lab, length_s, busy_s=length_s // 2)
    wires = journal.wires()
    for start in range(0, len(wires), size):
        take(lab, wires[max(0, start - 2) : start + size])
    assert head_of(Node.objects.get()) == journal.head
    assert NodeRecord.objects.count() == len(wires)
    assert [s.enabled_ms for s in Session.objects.order_by("pk")] == [60_000, 120_000, 3_600_000]
    assert sum(line.cents for line in Line.objects.all()) == 20 + 40 + 1_200
    assert not Alarm.objects.exists()


def test_another_body_under_a_stored_number_is_set_aside_and_alarmed() -> None:
    lab = small_lab()
    journal = Journal.of(lab.enrolled)
    journal.session(lab, 60)
    take(lab, journal.wires())
    before = state(lab)
    old = journal.records[-1]
    forged = seal(
        old.header,
        {**(old.body or {}), "enabled_ms": 1},
        salt=old.salt or b"",
        prev=old.prev,
        chain_key=journal.chain_key,
    )
    taken = take(lab, [forged.to_wire()])
    assert taken.set_aside == ((1, 2, "other_body"),)
    assert taken.head == journal.head
    after = state(lab)
    assert {key: after[key] for key in ("records", "sessions", "lines")} == {
        key: before[key] for key in ("records", "sessions", "lines")
    }
    assert after["aside"] == [{"epoch": 1, "seq": 2, "why": "other_body"}]
    assert [alarm["kind"] for alarm in after["alarms"]] == [AlarmKind.RECORDS_SET_ASIDE]
    take(lab, [forged.to_wire()])
    assert SetAside.objects.count() == 1
    assert Alarm.objects.get().count == 2


def test_an_altered_body_breaks_the_chain_and_what_follows_it_is_set_aside_too() -> None:
    lab = small_lab()
    journal = Journal.of(lab.enrolled)
    journal.session(lab, 60)
    journal.session(lab, 60)
    wires = journal.wires()
    wires[1]["body"] = {**wires[1]["body"], "enabled_ms": 1}
    taken = take(lab, wires)
    assert taken.head.seq == 1
    assert taken.set_aside == tuple((1, seq, "broken_chain") for seq in (2, 3, 4))
    assert NodeRecord.objects.count() == 1


def test_a_record_sealed_with_another_key_is_set_aside() -> None:
    lab = small_lab()
    journal = replace(Journal.of(lab.enrolled), chain_key=bytes(32))
    journal.session(lab, 60)
    assert [why for _, _, why in take(lab, journal.wires()).set_aside] == ["broken_chain"] * 2
    assert not Session.objects.exists()


def test_records_after_missing_ones_wait_and_are_taken_when_sent_again_from_the_head() -> None:
    lab = small_lab()
    journal = Journal.of(lab.enrolled)
    journal.session(lab, 60)
    journal.session(lab, 60)
    take(lab, journal.wires()[:1])
    taken = take(lab, journal.wires()[2:])
    assert taken.head.seq == 1
    assert taken.set_aside == ()
    assert Alarm.objects.get().kind == AlarmKind.RECORDS_MISSING
    assert take(lab, journal.wires()[1:]).head == journal.head
    assert Alarm.objects.get().closed_at is not None


def test_a_hole_in_an_older_epoch_is_jumped_over_and_alarmed() -> None:
    lab = small_lab()
    journal = Journal.of(lab.enrolled)
    for _ in range(3):
        journal.session(lab, 60)
    kept = journal.records[:2] + journal.records[4:]
    journal.next_epoch()
    journal.write(RecordType.PROBLEM_REPORTED, problem="records_lost", lost=[[1, 3, 4]])
    taken = take(lab, [record.to_wire() for record in [*kept, journal.records[-1]]])
    assert taken.head == journal.head
    assert taken.set_aside == ()
    assert NodeRecord.objects.count() == 5
    alarm = Alarm.objects.get()
    assert (alarm.kind, alarm.detail) == (
        AlarmKind.RECORDS_LOST,
        "1.3 to 1.4",
    )
    late = journal.records[2].to_wire()
    assert take(lab, [late]).set_aside == ((1, 3, "behind_head"),)


def test_a_hole_that_nobody_declared_is_alarmed_with_what_surrounds_it() -> None:
    lab = small_lab()
    journal = Journal.of(lab.enrolled)
    for _ in range(3):
        journal.session(lab, 60)
    kept = journal.records[:2] + journal.records[4:]
    journal.next_epoch()
    journal.write(RecordType.BOOT)
    take(lab, [record.to_wire() for record in [*kept, journal.records[-1]]])
    alarm = Alarm.objects.get()
    assert (alarm.kind, alarm.detail) == (AlarmKind.RECORDS_LOST, "nothing between 1.2 and 1.5")


@pytest.mark.parametrize(
    ("body", "alarm"),
    [
        (
            {"problem": "records_lost", "lost": [[1, 2, 2], [1, 4, 9], [2, 1, None]], "kept": 3},
            (AlarmKind.RECORDS_LOST, "1.2, 1.4 to 1.9, 2.1 and what followed"),
        ),
        (
            {"problem": "records_lost", "detail": "malformed page", "lost": [[1, 2, 3]]},
            (AlarmKind.RECORDS_LOST, "1.2 to 1.3 (malformed page)"),
        ),
        (
            {"problem": "journal_damaged", "detail": "not a database", "lost": [], "kept": 3},
            (AlarmKind.PROBLEM_REPORTED, "journal_damaged: not a database"),
        ),
        ({"problem": "too hot"}, (AlarmKind.PROBLEM_REPORTED, "too hot")),
        (
            {"problem": "records_lost", "lost": "all"},
            (
                AlarmKind.RECORD_UNREADABLE,
                "1.1 problem_reported: lost must be a list of at most 1024 ranges",
            ),
        ),
        (
            {"problem": "records_lost", "lost": [[1, 2]]},
            (
                AlarmKind.RECORD_UNREADABLE,
                "1.1 problem_reported: a lost range must be [epoch, first, last]",
            ),
        ),
    ],
)
def test_a_problem_that_a_node_reports_is_an_alarm(
    body: dict[str, Any], alarm: tuple[str, str]
) -> None:
    """A tail that is lost leaves no hole in the numbers: only the node's own word tells of it."""
    lab = small_lab()
    journal = Journal.of(lab.enrolled)
    journal.write(RecordType.PROBLEM_REPORTED, **body)
    take(lab, journal.wires())
    assert list(Alarm.objects.values_list("kind", "detail")) == [alarm]


def test_a_record_in_another_nodes_name_is_refused_and_nothing_is_changed() -> None:
    lab = small_lab()
    own, other = Journal.of(lab.enrolled), replace(Journal.of(lab.enrolled), node="laser")
    own.session(lab, 60)
    other.session(lab, 60)
    before = state(lab)
    with pytest.raises(ProtocolError, match="own records only"):
        take(lab, own.wires() + other.wires())
    assert state(lab) == before


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (RecordType.SESSION_ENDED, {"session": "9.9", "how": "tap_off"}),
        (RecordType.SESSION_ENDED, {"session": "x"}),
        (RecordType.SESSION_ENDED, {"session": "9" * 40 + ".1"}),
        (RecordType.SESSION_STARTED, {"member": 7}),
        (RecordType.SESSION_STARTED, {}),
        (RecordType.CLOCK_ANCHORED, {"wall_ms": -1}),
        (RecordType.FAULT_RAISED, {"fault": "gremlins"}),
        (RecordType.LOCK_OUT_SET, {"source": ["x"]}),
        (RecordType.SESSION_VOIDED, {"session": None}),
    ],
)
def test_a_record_that_makes_no_sense_is_stored_alarmed_and_has_no_effect(
    kind: RecordType, body: dict[str, Any]
) -> None:
    lab = small_lab()
    journal = Journal.of(lab.enrolled)
    journal.write(kind, **body)
    journal.session(lab, 60)
    assert take(lab, journal.wires()).head == journal.head
    assert NodeRecord.objects.count() == 3
    assert [line.cents for line in Line.objects.all()] == [20]
    assert Alarm.objects.get().kind == AlarmKind.RECORD_UNREADABLE


@pytest.mark.parametrize("huge", [2**62, 2**63 - 1])
def test_absurd_numbers_alarm_and_never_crash(huge: int) -> None:
    lab = small_lab()
    journal = Journal.of(lab.enrolled)
    journal.boot_ms = huge - 10_000
    journal.anchor(huge)
    started = journal.start(lab)
    journal.write(
        RecordType.SESSION_ENDED,
        session=started,
        how="tap_off",
        enabled_ms=huge,
        busy_ms=0,
        idle_ms=0,
    )
    assert take(lab, journal.wires()).head == journal.head
    assert Session.objects.get().how == ""


def test_a_second_end_of_the_same_session_changes_nothing_and_is_alarmed() -> None:
    lab = small_lab()
    journal = Journal.of(lab.enrolled)
    started = journal.session(lab, 60)
    journal.end(started, 999)
    take(lab, journal.wires())
    assert Session.objects.get().enabled_ms == 60_000
    assert Alarm.objects.get().kind == AlarmKind.RECORD_UNREADABLE


def test_a_voided_session_costs_nothing() -> None:
    lab = small_lab()
    journal = Journal.of(lab.enrolled)
    journal.write(RecordType.SESSION_VOIDED, session=journal.start(lab), why="late")
    take(lab, journal.wires())
    assert Session.objects.get().voided
    assert not Line.objects.exists()
    assert Machine.objects.get().live_state == LiveState.FREE


def test_a_cut_session_ends_at_its_last_proof_of_life_although_the_record_came_later() -> None:
    lab = small_lab()
    journal = Journal.of(lab.enrolled)
    journal.anchor(WALL_MS)
    started = journal.start(lab)
    journal.reboot("boot-2")
    journal.boot_ms = 3_600_000
    journal.end(started, 120, estimated=True)
    take(lab, journal.wires())
    session = Session.objects.get()
    assert session.estimated
    assert session.ended_at is not None
    assert (session.ended_at - session.started_at).total_seconds() == 120
    assert Line.objects.get().cents == 40


def test_a_session_without_an_anchor_is_provisional_until_one_arrives() -> None:
    lab = small_lab()
    journal = Journal.of(lab.enrolled)
    journal.session(lab, 60)
    take(lab, journal.wires())
    session = Session.objects.get()
    assert session.provisional
    assert abs(session.ended_at.timestamp() - settings.HUB_CLOCK.wall_ms() / 1_000) < 60  # type: ignore[union-attr]
    # Two days ago by the anchor: another day, so its line moves with it.
    old_day = Line.objects.get().day
    journal.anchor(settings.HUB_CLOCK.wall_ms() - 2 * 86_400_000)
    take(lab, journal.wires(2))
    session.refresh_from_db()
    assert not session.provisional
    assert session.ended_at is not None
    assert (session.ended_at - session.started_at).total_seconds() == 60
    assert (old_day - Line.objects.get().day).days == 2


def test_an_anchor_of_another_boot_dates_nothing() -> None:
    lab = small_lab()
    journal = Journal.of(lab.enrolled)
    journal.session(lab, 60)
    journal.reboot("boot-2")
    journal.anchor(WALL_MS)
    take(lab, journal.wires())
    assert Session.objects.get().provisional


def test_the_board_follows_the_records() -> None:
    lab = small_lab()
    journal = Journal.of(lab.enrolled)

    def board() -> tuple[str, bool | None, list[str], list[str]]:
        done = getattr(board, "done", 0)
        take(lab, journal.wires(done))
        board.done = len(journal.records)  # type: ignore[attr-defined]
        machine = Machine.objects.get()
        return (
            machine.live_state,
            machine.live_busy,
            machine.live_faults,
            machine.live_lock_outs,
        )

    assert board() == ("free", None, [], [])
    started = journal.start(lab)
    assert board() == ("in_use", None, [], [])
    journal.progress(started, 10, busy_s=5, idle_s=5)
    assert board() == ("in_use", True, [], [])
    journal.progress(started, 20, busy_s=5, idle_s=15)
    assert board() == ("in_use", False, [], [])
    journal.write(RecordType.FAULT_RAISED, fault="contactor_welded")
    assert board() == ("fault", False, ["contactor_welded"], [])
    journal.write(RecordType.LOCK_OUT_SET, source="machine", cause="broken_pressed")
    journal.end(started, 30)
    assert board() == ("fault", None, ["contactor_welded"], ["machine"])
    journal.write(RecordType.FAULT_CLEARED, fault="contactor_welded", by="t")
    assert board() == ("locked_out", None, [], ["machine"])
    journal.write(RecordType.LOCK_OUT_CLEARED, source="machine", by="t")
    assert board() == ("free", None, [], [])


def test_a_session_of_an_unknown_member_is_kept_and_alarmed_but_not_billed() -> None:
    lab = small_lab()
    journal = Journal.of(lab.enrolled)
    journal.end(journal.start(lab, member="nobody"), 60)
    take(lab, journal.wires())
    assert Session.objects.get().member is None
    assert not Line.objects.exists()
    assert Alarm.objects.get().kind == AlarmKind.MEMBER_UNKNOWN


def test_a_start_during_an_open_session_is_alarmed_and_both_are_kept() -> None:
    lab = small_lab()
    journal = Journal.of(lab.enrolled)
    journal.start(lab)
    journal.start(lab)
    take(lab, journal.wires())
    assert Session.objects.count() == 2
    kinds = set(Alarm.objects.values_list("kind", flat=True))
    assert kinds == {AlarmKind.SESSION_OVERLAP, AlarmKind.SESSION_TO_CHECK}


def test_reports_that_contradict_each_other_never_add_up_to_more_than_was_enabled() -> None:
    lab = small_lab()
    journal = Journal.of(lab.enrolled)
    started = journal.start(lab)
    journal.progress(started, 100, busy_s=80, idle_s=20)
    journal.end(started, 100, busy_s=20, idle_s=80)
    take(lab, journal.wires())
    session = Session.objects.get()
    assert (session.busy_ms, session.idle_ms, session.unknown_ms) == (80_000, 20_000, 0)


def test_a_batch_of_a_hundred_takes_as_many_queries_as_one_of_four() -> None:
    lab = small_lab()
    journal = Journal.of(lab.enrolled)
    journal.anchor(WALL_MS)
    counts = []
    for sessions in (2, 2, 50):
        before = len(journal.records)
        for _ in range(sessions):
            journal.session(lab, 60)
        with CaptureQueriesContext(
            connection,
        ) as captured:
            take(lab, journal.wires(before))
        counts.append(len(captured))
    assert counts[1] == counts[2]
    assert counts[2] <= 30


def test_the_clock_that_dates_arrivals_is_the_hubs_own() -> None:
    lab = small_lab()
    journal = Journal.of(lab.enrolled)
    journal.session(lab, 60)
    clock = VirtualClock(wall_ms=WALL_MS)
    ingest.take(lab.enrolled.node, journal.wires(), clock)
    assert Session.objects.get().ended_at == datetime.fromtimestamp(WALL_MS / 1_000, UTC)
