"""Two labs on one hub: every page of one says the same whatever the other one holds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.db import models
from django.test import Client, override_settings
from django.urls import reverse

from interlock.hub.domain.members import create_member
from interlock.hub.models import AlarmKind, CalendarSource, Lab
from interlock.sim.clocks import VirtualClock
from tests.hub.everywhere import row_of
from tests.hub.lab import console, small_lab
from tests.hub.page_lab import grow, page_lab
from tests.hub.page_objects import MADE_BY_HAND, Objects
from tests.hub.page_rules import LOOKS, OPEN

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

ONCE = re.compile(rb'name="csrfmiddlewaretoken" value="[^"]*"|nonce="[^"]*"')
"""What differs between any two answers."""
READABLE = ("text/", "application/json")
"""Files are made of the same rows as the pages that offer them, and carry the second in which they were made."""

OWN_NEEDS: dict[str, dict[str, Any]] = {
    **MADE_BY_HAND,
    "MailSwitch": {"user": None},
    # What is on a statement can no longer be written.
    "Line": {"statement": None},
}

SEARCHES = {
    "audit": ("?q=t",),
    "billing-payers": ("?q=t", "?kind=person"),
    "members": ("?q=t", "?status=consent"),
    "problems": ("?closed=1",),
    "sessions": ("?member=t", "?payer=t", "?purpose=own", "?from_day=2026-01-01"),
    "set-aside": ("?decided=1",),
    "unknown-badge": ("?q=t",),
}
"""Pages that find: what they are asked for, which rows of both labs have."""


def to_do(at: datetime) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows that wait for somebody, and so stand on the board: of which table, and what makes them so."""
    soon = at + timedelta(days=3)
    yield "Badge", {"condition": "enrol_again"}
    yield "Member", {"minor": True, "credit": "none"}
    yield "Authorisation", {"until_at": soon}
    yield "Training", {"lapse_days": 30}
    yield "UnknownBadge", {"seen_at": at}
    yield "Problem", {"closed_at": at}
    for kind in AlarmKind.values:
        yield "Alarm", {"kind": kind}


def tables() -> list[type[models.Model]]:
    """Every table whose rows belong to a lab."""
    found = []
    for table in apps.get_app_config("hub").get_models():
        keys = [field for field in table._meta.concrete_fields if field.name == "lab"]
        if any(field.related_model is Lab for field in keys):
            found.append(table)
    return found


class Full:
    """A lab with one row in every table, each pointing at the others."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._rows: dict[type[models.Model], models.Model] = {Lab: lab}
        for table in tables():
            self._row(table)
        for name, given in to_do(console().now()):
            table = apps.get_model("hub", name)
            self._rows.pop(table)
            self._row(table, given)

    def _row(self, table: type[models.Model], more: dict[str, Any] | None = None) -> models.Model:
        if table not in self._rows:
            keys: list[Any] = [field for field in table._meta.concrete_fields if field.is_relation]
            given = {key.name: self._row(key.related_model) for key in keys if not key.null}
            # One that may be empty points at what is there by now: tables point at each other in circles.
            free = [key for key in keys if key.null and key.related_model in self._rows]
            given |= {key.name: self._rows[key.related_model] for key in free}
            given |= OWN_NEEDS.get(table.__name__, {}) | (more or {})
            self._rows[table] = row_of(table, self._lab, given)
        return self._rows[table]


def said_by(client: Client, addresses: dict[str, str]) -> dict[str, bytes]:
    """By page: what it says, without what differs between any two answers."""
    said = {}
    asked = dict(addresses)
    for name, searches in SEARCHES.items():
        asked |= {name + search: addresses[name] + search for search in searches}
    for name, where in sorted(asked.items(), key=lambda one: one[0].startswith("audit")):
        answer = client.get(where)
        if answer.get("Content-Type", "").startswith(READABLE):
            said[name] = ONCE.sub(b"", answer.content)
    return said


def test_what_every_page_says_is_the_same_whatever_another_lab_holds() -> None:
    with override_settings(HUB_CLOCK=VirtualClock(wall_ms=settings.HUB_CLOCK.wall_ms())):
        lab, theirs = page_lab(), small_lab(slug="other")
        grow(lab, 2)
        things = Objects(lab.small, lab.small.member)
        # The log last: a first look at somebody's use is itself written down.
        names = sorted(set(LOOKS) - OPEN, key=lambda name: (name.startswith("audit"), name))
        addresses = {name: things.address(name) for name in names}
        client = lab.client("owner")
        before = said_by(client, addresses)
        Full(theirs.lab)
        after = said_by(client, addresses)
    assert [name for name in before if after[name] != before[name]] == []
    assert len(before) > len(addresses) * 3 // 4


def test_a_name_of_another_lab_is_nobodys_in_a_search_for_a_member() -> None:
    lab, theirs = page_lab(), small_lab(slug="other")
    member = create_member(console(), theirs.lab, "Bertrand Elsewhere")
    asked = {"who": "Elsewhere", "pick": member.public_id}
    answer = lab.client("owner").post(reverse("new-volunteer-time"), asked)
    assert "Nobody of that name is a member." in answer.content.decode()
    assert b"Bertrand" not in answer.content


def test_the_calendar_of_another_lab_s_machine_of_the_same_name_is_left_alone() -> None:
    lab, theirs = page_lab(), small_lab(slug="other")
    source = row_of(CalendarSource, theirs.lab, {"machine": theirs.machine})
    assert theirs.machine.slug == lab.small.machine.slug
    where = reverse("remove-calendar", args=[theirs.machine.slug])
    assert lab.client("owner").post(where).status_code == 404
    assert CalendarSource.objects.filter(pk=source.pk).exists()
