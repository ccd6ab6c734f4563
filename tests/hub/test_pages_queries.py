"""A page costs the same number of queries for one row as for fifty: no query hides in a loop."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from interlock.hub.domain import publicity
from interlock.hub.models import Session
from tests.hub.lab import console
from tests.hub.page_lab import PageLab, grow, link_to_member, page_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

FEW, MANY = 1, 50
QUERIES_MAX = 40
"""Four of them are the login's own (session, user, lab, role); the board asks one for each kind of thing to do, a
report each of its sums for two periods."""


def addresses(lab: PageLab) -> dict[str, str]:
    return {
        "board": reverse("board"),
        "board-tiles": reverse("board-tiles"),
        "members": reverse("members"),
        "members found": reverse("members") + "?q=e&status=active",
        "member": reverse("member", args=[lab.small.member.public_id]),
        "confirmations": reverse("confirmations"),
        "machines": reverse("machines"),
        "machine": reverse("machine", args=[lab.small.machine.slug]),
        "machine-state": reverse("machine-state", args=[lab.small.machine.slug]),
        "sessions": reverse("sessions"),
        "sessions found": reverse("sessions") + "?machine=saw&member=a&from_day=2020-01-01",
        "own page": reverse("me"),
        "wall": reverse("wall"),
        "wall-tiles": reverse("wall-tiles"),
        "public page": reverse("public-page", args=[lab.small.lab.slug]),
        "report": reverse("reports"),
        "session": reverse("session", args=[Session.objects.earliest("pk").pk]),
    }


def counts(lab: PageLab, role: str) -> dict[str, int]:
    client = lab.client(role)
    client.get(reverse("board"))
    measured = {}
    for name, where in addresses(lab).items():
        # The first look at somebody's use in a day is written down; the others ask the same each time.
        client.get(where)
        with CaptureQueriesContext(connection) as queries:
            assert client.get(where).status_code == 200
        measured[name] = len(queries)
    return measured


def test_no_page_asks_more_often_for_fifty_rows_than_for_one() -> None:
    lab = page_lab()
    link_to_member(lab, "owner", lab.small.member)
    publicity.show_publicly(console(), lab.small.lab, public_page=True, wall_names=True)
    grow(lab, FEW)
    few = counts(lab, "owner")
    grow_more(lab)
    many = counts(lab, "owner")
    assert many == few
    assert max(few.values()) <= QUERIES_MAX


def test_a_trainer_sees_a_member_with_as_few_queries() -> None:
    lab = page_lab()
    grow(lab, FEW)
    where = reverse("member", args=[lab.small.member.public_id])
    client = lab.client("trainer")
    client.get(where)
    with CaptureQueriesContext(connection) as few:
        client.get(where)
    grow_more(lab)
    with CaptureQueriesContext(connection) as many:
        client.get(where)
    assert len(many) == len(few)


def grow_more(lab: PageLab) -> None:
    """From FEW to MANY of everything; the names of what is there already are taken."""
    grow(lab, MANY - FEW, first=FEW)
