"""Hours, rules, reservations, grants, company and the bypass key as pages show and change them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from interlock.core.model import Granted, Level, Reason
from interlock.hub.domain import labs, members, trainings
from interlock.hub.models import AuditRow, Group, Lab, Machine, Node, PendingGrant, Reservation
from interlock.hub.models import Session as StoredSession
from interlock.protocol.records import RecordType
from tests.hub.decides import local, told
from tests.hub.lab import console
from tests.hub.page_lab import PageLab, link_to_member, page_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]


def press(client: Client, name: str, *args: object, **fields: Any) -> str:
    """Press the button and read the page it leads to."""
    answer = client.post(reverse(name, args=args), fields, follow=True)
    assert answer.status_code == 200
    return answer.content.decode()


def look(client: Client, name: str, *args: object) -> str:
    answer = client.get(reverse(name, args=args))
    assert answer.status_code == 200
    return answer.content.decode()


def week(prefix: str = "", **spans: str) -> dict[str, str]:
    """`d0_0="14:00-18:00"` as the fields of the form."""
    fields: dict[str, str] = {}
    for key, text in spans.items():
        day, number = key[1:].split("_")
        first, last = text.split("-")
        fields |= {f"{prefix}from-{day}-{number}": first, f"{prefix}to-{day}-{number}": last}
    return fields


def online(lab: PageLab) -> None:
    Node.objects.filter(pk=lab.small.enrolled.node.pk).update(last_seen_at=console().now())


def test_hours_written_in_the_settings_are_those_the_node_decides_by_and_are_shown_again() -> None:
    lab = page_lab()
    client = lab.client("manager")
    spans = week(d0_0="09:00-12:00", d0_1="14:00-00:00", d5_0="20:00-02:00")
    page = press(client, "settings", **spans)
    assert "The opening hours are kept." in page
    for shown in ('value="09:00"', 'value="14:00"', 'value="00:00"', 'value="02:00"'):
        assert shown in page
    assert Lab.objects.get().hours == [[0, 540, 720], [0, 840, 1440], [5, 1200, 1560]]
    page = press(
        client, "house-rules", "saw", needs="all", trainings=["saw-basics"], within_hours="on"
    )
    assert "only during opening hours" in page
    found, tag = told(lab.small), bytes(lab.small.badge.tag)
    asked = {
        "2027-01-04 13:00": Reason.OUTSIDE_HOURS,
        "2027-01-04 23:59": None,
        "2027-01-10 01:00": None,
    }
    said = {when: found.says(tag, local(when)) for when in asked}
    assert {when: None if isinstance(one, Granted) else one for when, one in said.items()} == asked


def test_half_a_span_and_overlapping_spans_are_said_and_change_nothing() -> None:
    lab = page_lab()
    client = lab.client("owner")
    page = press(client, "settings", **{"from-2-0": "10:00"})
    assert "Write both times, or none." in page
    page = press(client, "settings", **week(d0_0="09:00-12:00", d0_1="11:00-13:00"))
    assert "Two spans of time overlap." in page
    assert 'value="11:00"' in page
    assert Lab.objects.get().hours == []


def test_a_group_gets_hours_of_its_own_on_the_settings_page() -> None:
    lab = page_lab()
    group = labs.create_group(console(), lab.small.lab, "staff", "Staff")
    client = lab.client("owner")
    prefix = f"group-{group.pk}-"
    page = press(client, "group-hours", group.pk, **{f"{prefix}keeps": "own"})
    assert "Write at least one span of time." in page
    wanted = {f"{prefix}keeps": "own", **week(prefix, d1_0="06:00-22:00")}
    page = press(client, "group-hours", group.pk, **wanted)
    assert "The hours of “Staff” are kept." in page
    stored = Group.objects.get()
    assert (stored.keeps, stored.hours) == ("own", [[1, 360, 1320]])
    press(client, "group-hours", group.pk, **{f"{prefix}keeps": "any"})
    stored = Group.objects.get()
    assert (stored.keeps, stored.hours) == ("any", [])


def test_the_rules_of_a_machine_are_changed_whole_or_not_at_all() -> None:
    lab = page_lab()
    laser = trainings.create_training(console(), lab.small.lab, "laser", "Laser")
    client = lab.client("manager")
    page = press(
        client,
        "house-rules",
        "saw",
        trainings=["saw-basics", "laser"],
        needs="any",
        second_person="on",
        daily_limit_min="90",
        max_offline_h="48",
    )
    for shown in ("one of: Laser, Table saw", "Second person", "1\u00a0h\u00a030 a day", "2 days"):
        assert shown in page
    demands = told(lab.small).header.demands
    assert (demands.trainings, demands.second_person) == (("laser", "saw-basics"), True)
    assert (demands.daily_limit_s, demands.max_offline_s) == (5_400, 172_800)
    rows = AuditRow.objects.count()
    # The lab keeps no hours: with that, the trainings stay too.
    page = press(client, "house-rules", "saw", needs="all", within_hours="on")
    assert "The lab keeps no opening hours. Write them in the settings first." in page
    assert set(Machine.objects.get().trainings.all()) == {laser, lab.small.training}
    assert AuditRow.objects.count() == rows
    page = press(client, "house-rules", "saw", needs="all", daily_limit_min="1441")
    assert 'class="wrong"' in page
    page = look(client, "house-rules", "saw")
    assert 'value="90"' in page
    assert 'value="48"' in page


def test_a_reservation_is_made_in_the_labs_time_and_taken_back() -> None:
    lab = page_lab()
    client = lab.client("manager")
    day = (console().now() + timedelta(days=2)).date().isoformat()
    when = {"day": day, "begins": "10:00", "ends": "11:30"}
    page = press(client, "reservations", "saw", **when, member="", note="School visit")
    assert "It is reserved." in page
    assert "School visit" in page
    made = Reservation.objects.get()
    assert (made.from_at, made.until_at) == (local(f"{day} 10:00"), local(f"{day} 11:30"))
    tag = bytes(lab.small.badge.tag)
    assert told(lab.small).says(tag, local(f"{day} 10:00")) is Reason.RESERVED
    page = press(client, "reservations", "saw", **when, member=lab.small.member.public_id)
    assert "The machine is reserved then already." in page
    assert "School visit" in look(client, "machine", "saw")
    # Who may not know names reads when, and no more.
    page = look(lab.client("trainer"), "machine", "saw")
    assert "10:00" in page
    page = press(client, "take-back", made.pk)
    assert "The reservation is taken back." in page
    assert isinstance(told(lab.small).says(tag, local(f"{day} 10:00")), Granted)


def test_a_time_that_the_clocks_jump_over_cannot_be_reserved() -> None:
    lab = page_lab()
    wanted = {"day": "2027-03-28", "begins": "02:30", "ends": "04:00", "member": ""}
    page = press(lab.client("owner"), "reservations", "saw", **wanted)
    assert "that time does not exist" in page
    assert Reservation.objects.count() == 0


def test_credit_is_set_by_hand_with_a_reason_and_stands_in_the_way_of_every_machine() -> None:
    lab = page_lab()
    member = lab.small.member
    page = press(
        lab.client("manager"), "set-credit", member.public_id, credit="none", why="Bill unpaid"
    )
    assert "No credit left." in page
    row = AuditRow.objects.latest("seq")
    assert (row.action, row.why, row.actor) == ("credit_set", "Bill unpaid", "Some manager")
    said = told(lab.small).says(bytes(lab.small.badge.tag), local("2027-01-04 10:00"))
    assert said is Reason.NO_CREDIT
    before = AuditRow.objects.count()
    press(lab.client("manager"), "set-credit", member.public_id, credit="gold", why="x")
    assert AuditRow.objects.count() == before


def supervised(lab: PageLab) -> tuple[Any, Any]:
    """A trainer and a trainee whose grant, with a badge that can be copied, has arrived."""
    small, actor = lab.small, console()
    tess = members.create_member(actor, small.lab, "Tess Trainer")
    card = members.assign_badge(actor, tess, bytes(7))
    trainings.grant_training(actor, tess, small.training, Level.TRAINER.value)
    theo = members.create_member(actor, small.lab, "Theo Trainee")
    lab.journal.write(
        RecordType.TRAINING_GRANTED,
        member=theo.public_id,
        trainings=[small.training.slug],
        by=tess.public_id,
        session="1.1",
        assurance="uid",
        since_at=1,
        until_at=2,
        evidence={"tag": bytes(card.tag).hex()},
    )
    lab.deliver()
    return tess, theo


def test_a_grant_to_confirm_is_asked_on_the_board_and_on_both_peoples_pages() -> None:
    lab = page_lab()
    tess, theo = supervised(lab)
    link_to_member(lab, "trainer", tess)
    client = lab.client("trainer")
    assert "1 training granted at a machine has to be confirmed" in look(client, "board")
    for page in (look(client, "grants"), look(client, "member", theo.public_id)):
        assert "granted by the badge of Tess Trainer" in page
        assert "Confirm the training" in page
    assert "Theo Trainee" in look(client, "member", tess.public_id)
    # The trainee reads on their own page for whom it waits, and can press nothing.
    link_to_member(lab, "member", theo)
    own = look(lab.client("member"), "me")
    assert "waits for Tess Trainer to confirm" in own
    assert "Confirm the training" not in own
    number = PendingGrant.objects.get().pk
    page = press(client, "confirm-grant", number)
    assert "Theo Trainee holds “Table saw”." in page
    assert "by Tess Trainer" in page
    assert "has to be confirmed" not in look(client, "board")
    assert "This was decided before." in press(client, "reject-grant", number, why="x")
    assert PendingGrant.objects.get().state == "confirmed"


def test_a_grant_waits_for_its_own_trainer_whoever_else_looks() -> None:
    lab = page_lab()
    _, theo = supervised(lab)
    other = lab.client("trainer")
    assert "has to be confirmed" not in look(other, "board")
    assert (
        other.post(reverse("confirm-grant", args=[PendingGrant.objects.get().pk])).status_code
        == 403
    )
    page = press(lab.client("manager"), "reject-grant", PendingGrant.objects.get().pk, why="A copy")
    assert "The grant is rejected." in page
    assert trainings.held_of(theo, lab.small.training) is None


def test_a_sessions_page_names_the_company_and_what_would_have_refused_it() -> None:
    lab = page_lab()
    tess = members.create_member(console(), lab.small.lab, "Tess Trainer")
    sam = members.create_member(console(), lab.small.lab, "Sam Second")
    started = lab.journal.write(
        RecordType.SESSION_STARTED,
        member=lab.small.member.public_id,
        tag=bytes(lab.small.badge.tag).hex(),
        badge_use="tap",
        supervisor=tess.public_id,
        second=sam.public_id,
        would_refuse="TRAINING_EXPIRED",
        evidence={},
    ).id
    lab.journal.write(RecordType.SUPERVISION_CONFIRMED, session=started, by=tess.public_id)
    lab.journal.write(RecordType.LONG_JOB_DECLARED, session=started, member=None)
    lab.journal.write(
        RecordType.SESSION_ENDED,
        session=started,
        how="interlock_opened",
        enabled_ms=60_000,
        busy_ms=0,
        idle_ms=0,
        estimated=False,
        interlocks=["Lid"],
    )
    lab.deliver()
    number = StoredSession.objects.get().pk
    page = look(lab.client("owner"), "session", number)
    for said in (
        "Supervised by",
        "Tess Trainer",
        "Sam Second",
        "1 time",
        "it went on without the badge",
        "A training is missing or over.",
        "A door or an extraction contact opened (Lid)",
    ):
        assert said in page
    assert "would have been refused" in look(lab.client("technician"), "sessions")


def test_a_strangers_session_stands_in_the_list_of_those_to_check() -> None:
    lab = page_lab()
    started = lab.journal.write(
        RecordType.SESSION_STARTED,
        member=None,
        tag="5e" * 16,
        badge_use="tap",
        supervisor=None,
        second=None,
        would_refuse="UNKNOWN_BADGE",
        evidence={},
    ).id
    lab.journal.end(started, 60)
    lab.deliver()
    assert "Table saw: sessions to check" in look(lab.client("manager"), "board")
    page = look(lab.client("owner"), "session", StoredSession.objects.get().pk)
    assert "nobody the hub knows" in page
    assert "nobody to bill is known" in page


def test_the_bypass_key_is_on_the_board_and_its_hours_on_the_machines_page() -> None:
    lab = page_lab()
    online(lab)
    lab.journal.write(RecordType.UNMETERED_USE, phase="began", session=None, duration_ms=0)
    lab.deliver()
    online(lab)
    for role in ("member", "owner"):
        page = look(lab.client(role), "board")
        assert "Bypass key" in page
        assert "nobody is asked for a badge" in page
    assert "Table saw: the bypass key is on since" in look(lab.client("technician"), "board")
    assert "Table saw: the bypass key is on since" not in look(lab.client("member"), "board")
    lab.journal.write(RecordType.UNMETERED_USE, phase="ended", session=None, duration_ms=5_400_000)
    lab.deliver()
    assert "bypass key is on" not in look(lab.client("owner"), "board")
    assert "1\u00a0h\u00a030 in all, metered by nobody" in look(
        lab.client("owner"), "machine", "saw"
    )


def test_a_node_nobody_walked_through_says_so_until_somebody_did_with_this_wiring() -> None:
    lab = page_lab()
    client = lab.client("technician")
    never, other = "Table saw was never commissioned", "was commissioned with another wiring"
    assert never in look(client, "board")
    assert never not in look(lab.client("member"), "board")
    lab.journal.write(RecordType.BOOT, software="1", config_digest="a" * 64, clean=True)
    findings = [
        {"name": "stop-chain", "good": True, "measured": {"open_ms": 12}},
        {"name": "current", "good": None, "measured": {}},
        {"name": "inputs: stop_button", "good": False, "measured": {}},
        {"name": "levitation", "good": True, "measured": {"repetitions": 3}},
    ]
    lab.journal.write(
        RecordType.COMMISSIONED,
        id="c",
        by="Fatou",
        config="a" * 64,
        software="1",
        findings=findings,
    )
    lab.deliver()
    assert "commissioned" not in look(client, "board")
    page = look(client, "machine", "saw")
    said_of_it = ("Stop chain", "open 12\u00a0ms", "Inputs at rest (stop button)", "levitation")
    for said in ("by Fatou", *said_of_it, "repetitions 3", "not tested", "not good"):
        assert said in page
    lab.journal.write(RecordType.CONFIGURATION_CHANGED, digest="b" * 64, rules={})
    lab.deliver()
    assert other in look(client, "board")
    assert "With another wiring" in look(client, "machine", "saw")


def test_a_stolen_badge_is_named_to_those_who_may_know_whose_it_is() -> None:
    lab = page_lab()
    members.block_badge(console(), lab.small.badge, lab.small.badge.Condition.STOLEN)
    lab.journal.write(
        RecordType.REFUSED,
        reason="BADGE_BLOCKED",
        tag=bytes(lab.small.badge.tag).hex(),
        member=lab.small.member.public_id,
        training=None,
        detail=None,
        count=1,
        evidence=None,
    )
    lab.deliver()
    said = "A stolen or lost badge was presented at Table saw."
    assert said in look(lab.client("technician"), "board")
    assert said not in look(lab.client("accountant"), "board")
    assert "“blue key ring” of Ada Martin" in look(lab.client("owner"), "machine", "saw")
    assert "Ada Martin" not in look(lab.client("technician"), "machine", "saw")
    assert "was presented at Table saw" in look(
        lab.client("owner"), "member", lab.small.member.public_id
    )
