"""The loop's queue: order, bounds, reserved room, and who is kept waiting (never the loop)."""

from __future__ import annotations

import threading

import pytest

from interlock.core.events import (
    BadgeArrived,
    BadgeFound,
    BadgeRemoved,
    CutRequested,
    Event,
    ReaderRecovered,
    RecordDurable,
)
from interlock.core.model import Assurance, Cache, Presented
from interlock.node.inbox import RESERVED_EVENTS, Inbox
from tests.waiting import wait_until

pytestmark = pytest.mark.fast

ARRIVAL = BadgeArrived(Presented(b"t" * 16, 1, Assurance.UID, None, Cache()))


def put_in_thread(inbox: Inbox, event: Event) -> tuple[threading.Thread, list[bool]]:
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(inbox.put(event)), daemon=True)
    thread.start()
    return thread, answers


def test_events_come_out_in_the_order_they_went_in_whatever_their_kind() -> None:
    inbox = Inbox()
    sent: list[Event] = [ARRIVAL, BadgeRemoved(), BadgeFound(), CutRequested(), ReaderRecovered()]
    for event in sent:
        assert inbox.put(event)
    assert inbox.take(2) + inbox.take(32) == sent


def test_a_tick_takes_no_more_than_it_asked_for() -> None:
    inbox = Inbox()
    for _ in range(5):
        inbox.put(BadgeFound())
    assert len(inbox.take(3)) == 3
    assert len(inbox) == 2


def test_a_full_inbox_refuses_badges_and_still_has_room_for_what_opens_the_relay() -> None:
    inbox = Inbox(ordinary_places=4, reserved_places=2)
    for _ in range(4):
        assert inbox.put(BadgeFound(), timeout_s=0)
    assert not inbox.put(ARRIVAL, timeout_s=0)
    assert inbox.put(BadgeRemoved(), timeout_s=0)
    assert inbox.put(RecordDurable(1, "1.1"), timeout_s=0)
    assert not inbox.put(CutRequested(), timeout_s=0), "reserved room is bounded too"


def test_reserved_events_in_the_queue_take_no_room_from_themselves_only() -> None:
    inbox = Inbox(ordinary_places=2, reserved_places=1)
    assert inbox.put(CutRequested(), timeout_s=0)
    assert inbox.put(BadgeFound(), timeout_s=0)
    assert not inbox.put(BadgeFound(), timeout_s=0), "ordinary places count everything that waits"


def test_every_event_that_opens_or_answers_a_start_has_reserved_room() -> None:
    names = {event.__name__ for event in RESERVED_EVENTS}
    assert {"BadgeRemoved", "CutRequested", "RecordDurable", "TerminationRequested"} <= names
    assert "BadgeArrived" not in names, "nothing that closes a relay may overtake the flood"


def test_a_worker_waits_while_the_inbox_is_full_and_goes_on_when_the_loop_took() -> None:
    inbox = Inbox(ordinary_places=1, reserved_places=0)
    inbox.put(BadgeFound())
    thread, answers = put_in_thread(inbox, ARRIVAL)
    thread.join(0.05)
    assert thread.is_alive()
    assert inbox.take(32) == [BadgeFound()]
    wait_until(lambda: answers == [True])
    assert inbox.take(32) == [ARRIVAL]


def test_closing_lets_a_blocked_worker_go_and_tells_it_so() -> None:
    inbox = Inbox(ordinary_places=1, reserved_places=0)
    inbox.put(BadgeFound())
    _, answers = put_in_thread(inbox, ARRIVAL)
    inbox.close()
    wait_until(lambda: answers == [False])
    assert not inbox.put(CutRequested())


def test_waiting_ends_at_once_when_an_event_is_there_or_somebody_woke_the_loop() -> None:
    inbox = Inbox()

    def waits() -> threading.Thread:
        thread = threading.Thread(target=inbox.wait, args=(60,), daemon=True)
        thread.start()
        return thread

    inbox.put(BadgeFound())
    already_there = waits()
    already_there.join(60)
    assert not already_there.is_alive()
    inbox.take(32)
    inbox.wake()
    woken_before = waits()
    woken_before.join(60)
    assert not woken_before.is_alive(), "a wake between two waits was lost"
    later = waits()
    later.join(0.05)
    assert later.is_alive(), "one wake counts once"
    inbox.put(CutRequested())
    later.join(60)
    assert not later.is_alive()
