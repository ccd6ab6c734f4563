"""What the board says of a machine, as records and people change it."""

from __future__ import annotations

from datetime import datetime

import pytest
from django.conf import settings

from interlock.hub import ingest, live
from interlock.hub.domain import machines
from interlock.hub.models import LiveState, Machine, Session
from interlock.protocol.records import RecordType
from tests.hub.journal import Journal
from tests.hub.lab import SmallLab, console, small_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

WALL_MS = 1_750_000_000_000


def take(lab: SmallLab, journal: Journal, since: int = 0) -> None:
    ingest.take(lab.enrolled.node, journal.wires(since), settings.HUB_CLOCK)


def board() -> tuple[str, datetime | None]:
    machine = Machine.objects.get()
    return machine.live_state, machine.live_since_at


def test_a_machine_that_runs_is_in_use_until_its_session_ends_whoever_locked_it_out() -> None:
    lab = small_lab()
    journal = Journal.of(lab.enrolled)
    journal.anchor(WALL_MS)
    session = journal.start(lab)
    take(lab, journal)
    in_use = (LiveState.IN_USE, Session.objects.get().started_at)
    history = [board()]
    machines.lock_out(console(), Machine.objects.get(), "blade cracked")
    history.append(board())
    journal.write(RecordType.LOCK_OUT_SET, source="machine", cause="broken_pressed")
    take(lab, journal, 2)
    history.append(board())
    assert history == [in_use, in_use, in_use]
    journal.end(session, 60)
    take(lab, journal, 3)
    assert board()[0] == LiveState.LOCKED_OUT


def test_a_session_that_is_ending_stays_so_while_something_else_is_reported() -> None:
    lab = small_lab()
    journal = Journal.of(lab.enrolled)
    journal.anchor(WALL_MS)
    journal.start(lab)
    take(lab, journal)
    machine = Machine.objects.get()
    assert live.mode_reported(machine, live.MODE_ENDING, console().now())
    machine.save()
    machines.lock_out(console(), machine, "blade cracked")
    assert board()[0] == LiveState.ENDING
    journal.start(lab)
    take(lab, journal, 2)
    assert board() == (LiveState.IN_USE, Session.objects.latest("seq").started_at)
