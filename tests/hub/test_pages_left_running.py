"""Who left the machine running: the board's list of things to do says so, when it is so and to whom it may."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse

from interlock.hub.models import Lab, Machine, Node
from tests.hub.lab import console
from tests.hub.page_lab import PageLab
from tests.hub.test_pages_publicity import in_use

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

HOURS_ON = timedelta(hours=7)


def on_for(time: timedelta) -> PageLab:
    pages = in_use()
    Machine.objects.update(live_since_at=console().now() - time)
    return pages


def board(pages: PageLab, role: str = "owner") -> str:
    return pages.client(role).get(reverse("board")).content.decode()


def test_a_machine_that_has_been_on_for_hours_is_something_to_do_and_says_who() -> None:
    pages = on_for(HOURS_ON)
    assert "Table saw has been on for long" in board(pages)
    assert f", {pages.small.member.name}" in board(pages, "technician")


def test_a_member_who_looks_is_not_told_who_left_it_running() -> None:
    pages = on_for(HOURS_ON)
    assert pages.small.member.name not in board(pages, "member")


def test_a_machine_that_somebody_has_just_switched_on_is_nothing_to_do() -> None:
    said = board(on_for(timedelta(minutes=5)))
    assert "has been on for long" not in said
    assert "still on" not in said


def test_a_machine_that_is_on_after_closing_time_is_something_to_do_at_once() -> None:
    pages = on_for(timedelta(minutes=5))
    another_day = (console().now().weekday() + 3) % 7
    Lab.objects.update(hours=[[another_day, 600, 720]])
    assert "Table saw is still on and the lab is closed" in board(pages)


def test_a_machine_whose_node_is_silent_is_not_said_to_run() -> None:
    pages = on_for(HOURS_ON)
    Node.objects.update(last_seen_at=console().now() - timedelta(hours=1))
    assert "has been on for long" not in board(pages)
