"""Uses of a copied SD card: a page where each is billed or left out, once, with a reason, and back again."""

from __future__ import annotations

import copy
from datetime import timedelta

import pytest
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from interlock.errors import ConfigError
from interlock.hub import ingest, set_aside
from interlock.hub.domain import aside_uses
from interlock.hub.domain.closing import close
from interlock.hub.models import (
    AuditRow,
    Line,
    NodeRecord,
    Session,
    SetAside,
    UseSetAside,
)
from interlock.hub.permissions import Actor
from interlock.hub.timeline import moment
from interlock.hub.verifying import verify_hub
from interlock.protocol.records import RecordType
from interlock.sim.clocks import VirtualClock
from tests.hub.journal import Journal
from tests.hub.lab import console
from tests.hub.page_lab import WALL_MS, PageLab, page_lab
from tests.hub.test_erasure import erase

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

USE_S = 3_600
CENTS = 1_200
HOUR_MS = 3_600_000


def copied() -> tuple[PageLab, Journal]:
    """A card and its copy, each used for an hour: the hub billed the original's use and set the other aside."""
    made = page_lab()
    original = made.journal
    copy_ = copy.deepcopy(original)
    original.session(made.small, USE_S)
    made.deliver()
    copy_.reboot("boot-of-the-copy")
    copy_.anchor(WALL_MS + 24 * HOUR_MS)
    copy_.session(made.small, USE_S)
    deliver(made, copy_)
    return made, copy_


def deliver(made: PageLab, journal: Journal) -> None:
    ingest.take(made.small.enrolled.node, journal.wires(), settings.HUB_CLOCK)


def only() -> UseSetAside:
    return UseSetAside.objects.select_related("lab", "start__node__machine").get()


def owed() -> list[int]:
    return list(Line.objects.order_by("day").values_list("cents", flat=True))


def test_a_use_of_a_copied_card_says_who_when_and_how_long() -> None:
    made, _ = copied()
    (use,) = set_aside.uses_of([only()])
    assert (use.member, use.enabled_ms, use.how) == (made.small.member, USE_S * 1_000, "tap_off")
    assert use.started_at.date() == moment(WALL_MS + 24 * HOUR_MS).date()
    assert (use.is_use, use.is_dated, use.is_estimated) == (True, True, False)


def test_the_list_to_do_and_the_machines_alarm_lead_to_it() -> None:
    made, _ = copied()
    address = reverse("set-aside")
    for role, told in (("manager", True), ("accountant", True), ("technician", False)):
        assert (address in made.client(role).get(reverse("board")).content.decode()) == told
    machine = made.client("manager").get(reverse("machine", args=["saw"])).content.decode()
    assert f'<a href="{address}">' in machine
    technician = made.client("technician").get(reverse("machine", args=["saw"])).content.decode()
    assert address not in technician
    page = made.client("manager").get(address).content.decode()
    assert made.small.member.name in page
    assert "€12.00 before caps and passes" in page


def test_a_use_is_billed_once_and_taken_back_until_its_month_is_closed() -> None:
    made, journal = copied()
    client, number = made.client("manager"), only().pk
    bill, back = (reverse(f"{name}-set-aside", args=[number]) for name in ("bill", "take-back"))
    assert owed() == [CENTS]
    client.post(bill, {"why": "she was there"})
    assert owed() == [CENTS, CENTS]
    client.post(bill, {"why": "pressed twice"})
    deliver(made, journal)
    assert owed() == [CENTS, CENTS]
    assert UseSetAside.objects.count() == 1
    assert (
        reverse("session", args=[Session.objects.latest("pk").pk])
        in client.get(reverse("set-aside") + "?decided=1").content.decode()
    )
    client.post(back, {"why": "it was the other card"})
    assert owed() == [CENTS]
    client.post(bill, {"why": "it was her after all"})
    assert owed() == [CENTS, CENTS]
    assert Session.objects.count() == 2
    said = AuditRow.objects.filter(action="use_set_aside").order_by("seq")
    assert [(row.why, (row.after or {})["decision"]) for row in said] == [
        ("she was there", "billed"),
        ("it was the other card", "waiting"),
        ("it was her after all", "billed"),
    ]
    assert verify_hub(settings.HUB_CLOCK).faults == []


def test_what_is_left_out_is_owed_by_nobody_and_can_wait_again() -> None:
    made, _ = copied()
    client, number = made.client("accountant"), only().pk
    client.post(reverse("leave-out-set-aside", args=[number]), {"why": "a test of the new card"})
    assert only().decision == "left_out"
    assert owed() == [CENTS]
    assert "Nothing waits." in client.get(reverse("set-aside")).content.decode()
    client.post(reverse("take-back-set-aside", args=[number]), {"why": "it was none"})
    assert only().decision == "waiting"


def test_a_closed_month_keeps_what_was_billed_from_records_set_aside() -> None:
    made, _ = copied()
    session = aside_uses.bill(console(), only(), "she was there")
    assert session.ended_at is not None
    at = session.ended_at + timedelta(days=40)
    clock = VirtualClock(wall_ms=round(at.timestamp() * 1_000))
    close(Actor(clock), made.small.lab, session.ended_at.date().replace(day=1))
    with pytest.raises(ConfigError, match="month is closed"):
        aside_uses.take_back(Actor(clock), only(), "too late")
    assert (owed(), only().decision) == ([CENTS, CENTS], "billed")


@pytest.mark.parametrize("why", ["", "  ", "x" * 501])
def test_nothing_is_decided_without_a_reason(why: str) -> None:
    made, _ = copied()
    for name in ("bill", "leave-out"):
        address = reverse(f"{name}-set-aside", args=[only().pk])
        assert made.client("owner").post(address, {"why": why}).status_code == 302
    assert (only().decision, owed()) == ("waiting", [CENTS])


def test_a_decision_that_fails_half_way_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    copied()

    def broken(*_args: object, **_more: object) -> None:
        raise ConfigError("the audit log cannot be written")

    monkeypatch.setattr(aside_uses, "log_deed", broken)
    with pytest.raises(ConfigError):
        aside_uses.bill(console(), only(), "she was there")
    assert (only().decision, Session.objects.count(), owed()) == ("waiting", 1, [CENTS])


def test_only_who_corrects_use_decides() -> None:
    made, _ = copied()
    for role in ("technician", "trainer", "member"):
        with pytest.raises(PermissionDenied):
            aside_uses.bill(Actor(settings.HUB_CLOCK, made.users[role]), only(), "please")
    assert only().decision == "waiting"


def test_a_use_without_an_end_counts_to_its_last_sign_of_life_and_one_never_powered_is_none() -> (
    None
):
    made = page_lab()
    original = made.journal
    cut, voided = copy.deepcopy(original), copy.deepcopy(original)
    original.session(made.small, USE_S)
    made.deliver()
    for journal, boot in ((cut, "boot-cut"), (voided, "boot-voided")):
        journal.reboot(boot)
        session = journal.start(made.small)
        if journal is cut:
            journal.progress(session, 600)
        else:
            journal.write(RecordType.SESSION_VOIDED, session=session, why="never powered")
        deliver(made, journal)
    rows = list(UseSetAside.objects.select_related("lab", "start__node__machine").order_by("pk"))
    first, second = set_aside.uses_of(rows)
    assert (first.enabled_ms, first.is_estimated, first.is_dated) == (600_000, True, False)
    assert (second.is_voided, second.is_use) == (True, False)
    with pytest.raises(ConfigError, match="machine was on"):
        aside_uses.bill(console(), rows[1], "please")
    page = made.client("manager").get(reverse("set-aside")).content.decode()
    assert "last sign of life" in page
    assert page.count(reverse("bill-set-aside", args=[rows[1].pk])) == 0
    session_made = aside_uses.bill(console(), rows[0], "he was there")
    assert (session_made.estimated, session_made.provisional) == (True, True)


def test_who_is_erased_waits_for_no_bill() -> None:
    made, _ = copied()
    erase(made.small)
    assert not UseSetAside.objects.filter(decision="waiting").exists()
    assert SetAside.objects.count() == 3
    assert NodeRecord.objects.exists()


def test_the_page_asks_the_database_as_often_for_many_as_for_one() -> None:
    made, journal = copied()
    client, counts = made.client("manager"), []
    client.get(reverse("set-aside"))
    for _ in range(2):
        with CaptureQueriesContext(connection) as asked:
            client.get(reverse("set-aside"))
        counts.append(len(asked))
        for _ in range(5):
            journal.session(made.small, 60)
        deliver(made, journal)
    assert UseSetAside.objects.count() > 5
    assert counts[0] == counts[1]
