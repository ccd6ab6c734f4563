"""The page lab with one (or many) of everything that the workshop's pages show."""

from __future__ import annotations

from datetime import timedelta

from interlock.hub import mail
from interlock.hub.domain import (
    activities,
    bookings,
    machine_links,
    maintenance,
    post,
    problems,
    volunteering,
)
from interlock.hub.models import (
    Activity,
    Intervention,
    MachineLink,
    MailKind,
    MaintenancePlan,
    OutboxMail,
    Problem,
    VolunteerTime,
)
from tests.hub.lab import console
from tests.hub.page_lab import PageLab

CALENDAR = "https://calendar.example.org/saw.ics"


def work_in(lab: PageLab, number: int = 1, first: int = 0) -> None:
    """`number` more of everything, numbered from `first` on."""
    actor, small = console(), lab.small
    today = actor.now().date()
    post.set_way(actor, small.lab, post.Way("mailbox"))
    for index in range(first, first + number):
        activities.enter(
            actor, small.lab, activities.Held(f"Laser {index}", today, 90, people={"adults": 3})
        )
        volunteering.enter(actor, small.member, today, 60, f"Oiled {index}")
        plan = maintenance.plan(
            actor,
            small.machine,
            maintenance.Round(f"Clean {index}", every_days=1),
            actor.now() - timedelta(days=3),
        )
        maintenance.intervene(
            actor,
            small.machine,
            maintenance.Work(f"Cleaned {index}", actor.now() - timedelta(days=2)),
            plan,
        )
        problem = problems.report(actor, small.machine, f"It smells {index}")
        problems.answer(actor, problem, f"Known {index}")
        mail.queue(
            small.lab,
            MailKind.TRAINING,
            small.member,
            "en",
            f"Hello {index}",
            "x",
            cause=f"{index}",
        )
    bookings.set_source(actor, small.machine, CALENDAR)
    for purpose in MachineLink.Purpose:
        machine_links.link_of(actor, small.machine, purpose)


def token_of(lab: PageLab, purpose: MachineLink.Purpose) -> str:
    """The machine's link."""
    return MachineLink.objects.get(machine=lab.small.machine, purpose=purpose).token


def arguments(lab: PageLab) -> dict[str, list[object]]:
    """For each of these pages by name, things that exist."""
    slug: list[object] = [lab.small.machine.slug]
    activity: list[object] = [Activity.objects.earliest("pk").pk]
    time: list[object] = [VolunteerTime.objects.earliest("pk").pk]
    plan: list[object] = [MaintenancePlan.objects.earliest("pk").pk]
    work: list[object] = [Intervention.objects.earliest("pk").pk]
    problem: list[object] = [Problem.objects.earliest("pk").pk]
    letter: list[object] = [OutboxMail.objects.earliest("pk").pk]
    report: list[object] = [token_of(lab, MachineLink.Purpose.PROBLEM)]
    return {
        **dict.fromkeys(("activity", "withdraw-activity", "take-up-activity"), activity),
        **dict.fromkeys(("volunteer-time", "confirm-time", "reject-time"), time),
        **dict.fromkeys(("plan", "retire-plan"), plan),
        **dict.fromkeys(("intervention", "withdraw-intervention"), work),
        **dict.fromkeys(
            ("answer-problem", "close-problem", "reopen-problem", "lock-out-for-problem"), problem
        ),
        **dict.fromkeys(("letter", "send-again"), letter),
        **dict.fromkeys(("report-problem", "problem-reported"), report),
        **dict.fromkeys(("edit-machine", "retire-machine", "machine-maintenance"), slug),
        **dict.fromkeys(("new-plan", "new-intervention", "machine-label", "renew-label"), slug),
        **dict.fromkeys(("machine-calendar", "read-calendar", "remove-calendar"), slug),
        "renew-feed": slug,
        "machine-feed": [token_of(lab, MachineLink.Purpose.CALENDAR)],
    }


OPEN = frozenset({"report-problem", "problem-reported", "machine-feed"})
"""Reached by an unguessable link, without a login."""
POSTED = frozenset(
    {
        *("withdraw-activity", "take-up-activity", "confirm-time", "reject-time"),
        *("retire-plan", "withdraw-intervention", "answer-problem", "close-problem"),
        *("reopen-problem", "lock-out-for-problem", "send-again", "retire-machine"),
        *("renew-label", "read-calendar", "remove-calendar", "renew-feed"),
        *("mail-kinds", "test-mail"),
    }
)
"""Changes: they answer to a press of a button only."""
