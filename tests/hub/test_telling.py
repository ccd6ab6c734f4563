"""Who is told what, in which language, once: alerts to staff, reminders to members, the morning's digest."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from interlock.hub import mail, telling
from interlock.hub.domain import members, post, problems, trainings
from interlock.hub.models import (
    Authorisation,
    Machine,
    MailKind,
    Member,
    Node,
    OutboxMail,
    Training,
    User,
)
from interlock.hub.permissions import Actor
from interlock.sim.clocks import VirtualClock
from tests.hub.lab import console
from tests.hub.page_lab import PageLab, page_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

STAFF = ["manager@example.org", "owner@example.org", "technician@example.org"]


@pytest.fixture
def lab() -> PageLab:
    made = page_lab()
    post.set_way(console(), made.small.lab, post.Way("mailbox"))
    Node.objects.update(last_seen_at=console().now())
    return made


def at(moment: datetime) -> Actor:
    return Actor(VirtualClock(wall_ms=int(moment.timestamp() * 1_000)))


def told(kind: MailKind) -> list[str]:
    return sorted(OutboxMail.objects.filter(kind=kind).values_list("to", flat=True))


def fault(name: str, since: datetime) -> None:
    Machine.objects.update(live_faults=[name], live_since_at=since)


def test_a_welded_contact_is_told_once_to_those_who_look_after_machines(lab: PageLab) -> None:
    fault("contactor_welded", console().now())
    counts = [telling.alerts(console(), lab.small.lab) for _look in range(3)]
    assert counts == [3, 0, 0]
    assert told(MailKind.WELDED) == STAFF
    assert told(MailKind.FAULT) == []
    assert "isolator" in OutboxMail.objects.earliest("pk").text


def test_a_machine_that_flaps_is_told_once_an_hour(lab: PageLab) -> None:
    for minute in range(5):
        fault("contactor_failed", console().now() + timedelta(minutes=minute))
        telling.alerts(console(), lab.small.lab)
    assert told(MailKind.FAULT) == STAFF
    OutboxMail.objects.update(queued_at=console().now() - timedelta(minutes=61))
    telling.alerts(console(), lab.small.lab)
    assert len(told(MailKind.FAULT)) == 6


def test_everybody_reads_it_in_their_own_language(lab: PageLab) -> None:
    User.objects.filter(email="owner@example.org").update(language="fr")
    fault("contactor_welded", console().now())
    telling.alerts(console(), lab.small.lab)
    subjects = dict(OutboxMail.objects.values_list("to", "subject"))
    assert subjects["owner@example.org"] == "Table saw\u00a0: le contacteur reste collé"
    assert subjects["manager@example.org"] == "Table saw: the contactor stays closed"


def test_a_node_that_is_silent_is_told_after_a_quarter_of_an_hour(lab: PageLab) -> None:
    begin = console().now()
    late = [telling.alerts(at(begin + timedelta(minutes=m)), lab.small.lab) for m in (14, 16, 30)]
    assert late == [0, 3, 0]
    assert told(MailKind.OFFLINE) == STAFF


def test_a_problem_reaches_the_staff_with_its_words(lab: PageLab) -> None:
    problems.report(console(), lab.small.machine, "It smokes")
    assert telling.alerts(console(), lab.small.lab) == 3
    assert "It smokes" in OutboxMail.objects.earliest("pk").text


def test_who_switched_it_off_and_a_lab_that_did_are_not_told(lab: PageLab) -> None:
    owner = lab.users["owner"]
    wanted = [kind for kind in mail.SWITCHES if kind is not MailKind.WELDED]
    mail.set_wanted(console(), lab.small.lab, owner, wanted)
    fault("contactor_welded", console().now())
    telling.alerts(console(), lab.small.lab)
    assert told(MailKind.WELDED) == [one for one in STAFF if not one.startswith("owner")]
    post.set_kinds(console(), lab.small.lab, [])
    fault("contactor_failed", console().now())
    assert telling.alerts(console(), lab.small.lab) == 0


def test_a_training_that_ends_soon_is_told_to_its_member_once_and_to_nobody_else(
    lab: PageLab,
) -> None:
    now = console().now()
    Member.objects.filter(pk=lab.small.member.pk).update(language="fr")
    Authorisation.objects.update(until_at=now + timedelta(days=20))
    assert telling.reminders(console(), lab.small.lab) == 0
    Authorisation.objects.update(until_at=now + timedelta(days=13))
    assert [telling.reminders(console(), lab.small.lab) for _ in range(2)] == [1, 0]
    sent = OutboxMail.objects.get()
    assert (sent.to, sent.language) == ("ada@example.org", "fr")
    assert sent.subject == "Votre habilitation «\u00a0Table saw\u00a0» arrive à son terme"
    # It was renewed and ends again later: that is another case.
    Authorisation.objects.update(until_at=now + timedelta(days=10))
    assert telling.reminders(console(), lab.small.lab) == 1


def test_a_training_about_to_lapse_for_want_of_practice_is_told(lab: PageLab) -> None:
    now = console().now()
    Training.objects.update(lapse_days=100)
    Authorisation.objects.update(granted_at=now - timedelta(days=300))
    Authorisation.objects.update(practised_at=now - timedelta(days=80))
    assert telling.reminders(console(), lab.small.lab) == 0
    Authorisation.objects.update(practised_at=now - timedelta(days=90))
    assert telling.reminders(console(), lab.small.lab) == 1
    assert "lapses on" in OutboxMail.objects.get().text
    # It has lapsed already: a reminder would come too late.
    OutboxMail.objects.all().delete()
    Authorisation.objects.update(practised_at=now - timedelta(days=101))
    assert telling.reminders(console(), lab.small.lab) == 0


def test_low_credit_is_told_once_a_month_and_again_when_it_is_used_up(lab: PageLab) -> None:
    Member.objects.update(credit=Member.Credit.LOW)
    assert [telling.reminders(console(), lab.small.lab) for _ in range(2)] == [1, 0]
    Member.objects.update(credit=Member.Credit.NONE)
    assert telling.reminders(console(), lab.small.lab) == 1
    assert told(MailKind.LOW_CREDIT) == ["ada@example.org"] * 2


def test_suspended_members_and_those_without_address_get_nothing(lab: PageLab) -> None:
    other = members.create_member(console(), lab.small.lab, "No Address")
    trainings.grant_training(console(), other, lab.small.training)
    Member.objects.update(credit=Member.Credit.LOW)
    Member.objects.filter(pk=lab.small.member.pk).update(status=Member.Status.SUSPENDED)
    assert telling.reminders(console(), lab.small.lab) == 0


def test_no_mail_to_a_member_names_another_member(lab: PageLab) -> None:
    other = members.create_member(console(), lab.small.lab, "Noor Haddad", email="n@example.org")
    trainings.grant_training(console(), other, lab.small.training)
    Authorisation.objects.update(until_at=console().now() + timedelta(days=3))
    Member.objects.update(credit=Member.Credit.LOW)
    telling.reminders(console(), lab.small.lab)
    sent = OutboxMail.objects.all()
    assert len(sent) == 4
    assert not any("Noor" in one.text for one in sent if one.to == "ada@example.org")
    assert not any("Ada" in one.text for one in sent if one.to == "n@example.org")


def test_the_digest_comes_once_in_the_morning_of_the_lab_to_those_with_something_to_do(
    lab: PageLab,
) -> None:
    problems.report(console(), lab.small.machine, "It smokes")
    day = datetime(2026, 7, 1, tzinfo=UTC)
    # Paris is two hours ahead in July: 07:00 there is 05:00 UTC.
    hours: dict[float, int] = {4.9: 0, 5.1: 1, 6: 0, 11: 0}
    sent: dict[float, int] = {}
    for hour in hours:
        telling.digest(at(day + timedelta(hours=hour)), lab.small.lab)
        fresh = OutboxMail.objects.filter(kind=MailKind.DIGEST, to="technician@example.org")
        sent[hour] = fresh.count() - sum(sent.values())
    assert sent == hours
    assert "1 problem was reported" in fresh.get().text
    telling.digest(at(day + timedelta(days=1, hours=6)), lab.small.lab)
    assert fresh.count() == 2
    assert "member@example.org" not in told(MailKind.DIGEST)


def test_a_lab_that_sends_no_mail_is_not_even_asked(lab: PageLab) -> None:
    post.set_way(console(), lab.small.lab, post.Way("off"))
    fault("contactor_welded", console().now())
    assert telling.alerts(console(), lab.small.lab) == 0
    assert telling.reminders(console(), lab.small.lab) == 0
    assert telling.digest(console(), lab.small.lab) == 0
    assert not OutboxMail.objects.exists()
