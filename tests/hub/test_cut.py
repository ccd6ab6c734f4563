"""A session always ends: with its Pi replaced or its journal's tail lost, at its last proof of life."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings

from interlock.core.model import Ending
from interlock.hub import ingest
from interlock.hub.domain import machines, nodes
from interlock.hub.models import Alarm, AlarmKind, Line, LiveState, Machine, Node, Session
from interlock.protocol.records import RecordType
from tests.hub.journal import Journal
from tests.hub.lab import HUB_URL, SmallLab, console, small_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

WALL_MS = 1_750_000_000_000
HOUR_S = 3_600


def deliver(journal: Journal, since: int = 0) -> None:
    node = Node.objects.get(slug=journal.node)
    ingest.take(node, journal.wires(since), settings.HUB_CLOCK)


def running(lab: SmallLab, enabled_s: int) -> tuple[Journal, str]:
    """A session that reported `enabled_s` and no end yet, delivered."""
    journal = Journal.of(lab.enrolled)
    journal.anchor(WALL_MS)
    session = journal.start(lab)
    journal.progress(session, enabled_s)
    deliver(journal)
    return journal, session


def replaced(lab: SmallLab) -> Journal:
    """Another Pi serves the machine."""
    nodes.revoke_node(console(), lab.enrolled.node, "its card died")
    again = nodes.enrol_node(console(), Machine.objects.get(), HUB_URL)
    journal = Journal.of(again)
    journal.reboot("boot-of-the-new-pi")
    journal.anchor(WALL_MS + 10 * HOUR_S * 1_000)
    return journal


def ends() -> list[tuple[str, bool, int, int | None]]:
    """How each session ended, whether that is an estimate, its seconds, and its price."""
    found = Session.objects.order_by("started_at", "seq")
    columns = found.values_list("how", "estimated", "enabled_ms", "line__cents")
    return [(how, estimated, ms // 1_000, cents) for how, estimated, ms, cents in columns]


def board() -> dict[str, Any]:
    names = ("live_state", "live_session", "live_busy", "live_faults", "live_lock_outs")
    return {name: getattr(Machine.objects.get(), name) for name in names}


CUT = Ending.POWER_LOST.value
FREE: dict[str, Any] = {
    "live_state": LiveState.FREE,
    "live_session": None,
    "live_busy": None,
    "live_faults": [],
    "live_lock_outs": [],
}


def test_revoking_a_node_ends_its_open_session_and_bills_what_it_proved() -> None:
    lab = small_lab()
    running(lab, HOUR_S)
    nodes.revoke_node(console(), lab.enrolled.node, "its card died")
    assert ends() == [(CUT, True, HOUR_S, 1_200)]
    session = Session.objects.get()
    assert session.ended_at == session.started_at + timedelta(seconds=HOUR_S)
    assert board() == FREE
    assert Alarm.objects.get().kind == AlarmKind.SESSION_TO_CHECK


def test_the_new_pis_sessions_overlap_with_none_of_the_old_ones() -> None:
    lab = small_lab()
    running(lab, HOUR_S)
    journal = replaced(lab)
    journal.session(lab, 600)
    deliver(journal)
    assert ends() == [(CUT, True, HOUR_S, 1_200), (Ending.TAP_OFF.value, False, 600, 200)]
    assert [alarm.kind for alarm in Alarm.objects.all()] == [AlarmKind.SESSION_TO_CHECK]
    assert board() == FREE


def test_the_same_number_from_another_pi_is_another_session_on_the_board() -> None:
    """A hub of before this rule: the old Pi's session still stands on the board."""
    lab = small_lab()
    old, _ = running(lab, HOUR_S)
    Node.objects.update(revoked_at=console().now())
    journal = replaced_without_revoking(lab)
    journal.session(lab, 600)
    deliver(journal)
    assert [record.id for record in old.records][1] == journal.records[1].id
    assert ends() == [(CUT, True, HOUR_S, 1_200), (Ending.TAP_OFF.value, False, 600, 200)]
    assert board() == FREE
    kinds = set(Alarm.objects.values_list("node__slug", "kind"))
    assert kinds == {
        ("saw", AlarmKind.SESSION_TO_CHECK),
        ("saw-2", AlarmKind.SESSION_OVERLAP),
    }


def replaced_without_revoking(lab: SmallLab) -> Journal:
    journal = Journal.of(nodes.enrol_node(console(), Machine.objects.get(), HUB_URL))
    journal.reboot("boot-of-the-new-pi")
    journal.anchor(WALL_MS + 10 * HOUR_S * 1_000)
    return journal


def test_a_boot_ends_what_the_lost_tail_of_the_journal_would_have_ended() -> None:
    lab = small_lab()
    journal, session = running(lab, HOUR_S)
    journal.end(session, 2 * HOUR_S)
    known = len(journal.records)
    journal.next_epoch()
    journal.reboot("boot-2")
    journal.write(RecordType.PROBLEM_REPORTED, problem="records_lost", lost=[[1, 4, None]])
    journal.write(RecordType.BOOT, software="1", config_digest="", clean=False)
    deliver(journal, known)
    assert ends() == [(CUT, True, HOUR_S, 1_200)]
    assert board() == FREE
    assert AlarmKind.SESSION_TO_CHECK in set(Alarm.objects.values_list("kind", flat=True))


def test_a_boot_leaves_sessions_that_their_node_ended_as_they_are() -> None:
    lab = small_lab()
    journal, session = running(lab, HOUR_S)
    journal.end(session, HOUR_S, how=Ending.POWER_LOST, estimated=True)
    journal.reboot("boot-2")
    journal.write(RecordType.BOOT, software="1", config_digest="", clean=False)
    journal.session(lab, 600)
    deliver(journal, 3)
    assert ends() == [(CUT, True, HOUR_S, 1_200), (Ending.TAP_OFF.value, False, 600, 200)]
    assert not Alarm.objects.exists()


def test_the_nodes_own_estimate_may_come_after_ours() -> None:
    """Its disk refused the end when it started; the worker writes it as soon as it can."""
    lab = small_lab()
    journal, session = running(lab, HOUR_S)
    journal.reboot("boot-2")
    journal.write(RecordType.BOOT, software="1", config_digest="", clean=False)
    journal.end(session, HOUR_S + 60, how=Ending.POWER_LOST, estimated=True)
    deliver(journal, 3)
    assert ends() == [(CUT, True, HOUR_S + 60, 1_220)]
    assert [alarm.kind for alarm in Alarm.objects.all()] == [AlarmKind.SESSION_TO_CHECK]


def test_a_session_that_another_one_superseded_is_closed_priced_and_put_up_for_a_check() -> None:
    lab = small_lab()
    journal, first = running(lab, HOUR_S)
    journal.session(lab, 600)
    deliver(journal, 3)
    assert ends() == [(CUT, True, HOUR_S, 1_200), (Ending.TAP_OFF.value, False, 600, 200)]
    details = dict(Alarm.objects.values_list("kind", "detail"))
    assert details[AlarmKind.SESSION_TO_CHECK].startswith(f"{first}:")
    assert Line.objects.count() == 2


def test_every_session_to_check_is_named_until_somebody_closes_the_alarm() -> None:
    lab = small_lab()
    journal, first = running(lab, HOUR_S)
    second, third = journal.start(lab), journal.start(lab)
    deliver(journal, 3)
    nodes.revoke_node(console(), lab.enrolled.node, "its card died")
    alarm = Alarm.objects.get(kind=AlarmKind.SESSION_TO_CHECK)
    assert [part.split(":")[0] for part in alarm.detail.split("; ")] == [
        third,
        f"{first}, {second}",
    ]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (RecordType.LOCK_OUT_SET, {"source": "machine", "cause": "broken_pressed"}),
        (RecordType.FAULT_RAISED, {"fault": "contactor_welded"}),
    ],
)
def test_what_barred_the_machine_bars_it_with_a_new_pi_too(
    kind: RecordType, body: dict[str, Any]
) -> None:
    lab = small_lab()
    journal = Journal.of(lab.enrolled)
    journal.write(kind, **body)
    deliver(journal)
    nodes.revoke_node(console(), lab.enrolled.node, "its card died")
    machine = Machine.objects.get()
    assert board() == {**FREE, "live_state": LiveState.LOCKED_OUT}
    assert machine.locked_out_at is not None
    machines.clear_lock_out(console(), machine)
    assert board() == FREE
